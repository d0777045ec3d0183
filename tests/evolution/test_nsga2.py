"""NSGA-II: both ways to Optuna's sampler agree, and it optimizes as well as Optuna does."""

import warnings

import numpy as np
import pytest

from forge_core.evolution.nsga import nsga2
from forge_core.evolution.nsga.nsga2 import FastNsga2, Operators, PublicNsga2, make_nsga2
from forge_core.evolution.search.genes import Gene
from tests.extras import import_extra

from .benchmarks import Point, dtlz2, run_forge, run_islands, run_optuna, run_pymoo, volume, zdt1, zdt2

GENES = [
    Gene("role", 4, ordered=False),
    Gene("a_feature", 17, ordered=False),
    Gene("period", 12),
    Gene("operand", 60),
    Gene("mirror", 2, ordered=False),
    Gene("timeframe", 1, ordered=False),
    Gene("a_constant", 1),
    Gene("stop", 9),
]
OPERATORS = [
    Operators(),
    Operators(crossover="sbx", mutation="polynomial"),
    Operators(crossover="vsbx", crossover_eta=5.0, mutation_probability=0.3),
    Operators(crossover="blx_alpha", crossover_probability=0.5, mutation="polynomial", mutation_probability=0.5),
    Operators(swapping=0.1, mutation_probability=1.0),
    Operators(mutation="polynomial", mutation_probability=0.4, mutation_eta=2.0),
    Operators(crossover="spx", mutation_probability=0.2),
    Operators(crossover="undx", mutation="polynomial", swapping=0.3),
]


def random_points(count: int, objectives: int, seed: int, *, feasible: float = 0.5) -> list[Point]:
    """Random candidates; few distinct values, so that ranks and crowding distances tie."""
    rng = np.random.default_rng(seed)
    return [
        Point(
            tuple(int(v) for v in rng.integers(0, [gene.size for gene in GENES])),
            tuple(float(v) for v in rng.integers(0, 6, objectives)),
            0.0 if rng.random() < feasible else float(rng.integers(1, 4)),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("operators", OPERATORS, ids=lambda o: f"{o.crossover}-{o.mutation}")
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_both_ways_breed_the_same_children(operators: Operators, objectives: int) -> None:
    directions = ["maximize", "minimize", "maximize"][:objectives]
    parents = random_points(12, objectives, seed=objectives)
    fast = FastNsga2(GENES, directions, operators).asker(parents, seed=7)
    public = PublicNsga2(GENES, directions, operators).asker(parents, seed=7)
    assert [*fast(10), *fast(15)] == [*public(15), *public(10)]


@pytest.mark.parametrize("crossover", ["spx", "undx"])
@pytest.mark.parametrize("way", [FastNsga2, PublicNsga2])
def test_a_child_of_three_needs_three_parents(way: type, crossover: str) -> None:
    directions = ["maximize", "minimize"]
    two = random_points(2, 2, seed=1)
    ask = way(GENES, directions, Operators(crossover=crossover)).asker(two, seed=3)
    other = FastNsga2(GENES, directions).asker([], seed=3)
    assert ask(20) == other(20)
    assert len(way(GENES, directions, Operators(crossover=crossover)).select(two, 2)) == 2


@pytest.mark.parametrize("way", [FastNsga2, PublicNsga2])
@pytest.mark.parametrize("count", [0, 1])
def test_without_two_parents_children_are_random(way: type, count: int) -> None:
    parents = random_points(count, 2, seed=1)
    ask = way(GENES, ["maximize", "minimize"]).asker(parents, seed=3)
    other = FastNsga2(GENES, ["maximize", "minimize"]).asker([], seed=3)
    children = ask(40)
    assert children == other(40)
    for place, gene in enumerate(GENES):
        assert {child[place] for child in children} <= set(range(gene.size))
    assert len(set(children)) > 35


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("feasible", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 2, 7, 20, 30, 50])
def test_both_ways_select_the_same_survivors(objectives: int, feasible: float, size: int) -> None:
    directions = ["maximize", "minimize", "maximize", "minimize"][:objectives]
    candidates = random_points(30, objectives, seed=objectives, feasible=feasible)
    fast = FastNsga2(GENES, directions).select(candidates, size)
    assert fast == PublicNsga2(GENES, directions).select(candidates, size)
    assert len(fast) == len(set(fast)) == min(size, 30)


def test_the_best_come_first() -> None:
    """The best of a selection cut inside the first rank are its extremes; the dominated and infeasible go."""
    front = [
        Point((0, 0, 0, 0, 0, 0, 0, i), (float(i), float(i))) for i in range(5)
    ]  # maximize, minimize: all on one front
    dominated = Point((0, 0, 0, 0, 0, 0, 1, 0), (0.0, 5.0))
    broken = Point((0, 0, 0, 0, 0, 0, 1, 1), (9.0, 0.0), violation=0.1)
    algorithm = make_nsga2(GENES, ["maximize", "minimize"])
    candidates = [broken, dominated, *front]
    assert {candidates[i].objectives for i in algorithm.select(candidates, 2)} == {(0.0, 0.0), (4.0, 4.0)}
    assert candidates[algorithm.select(candidates, 1)[0]] in (front[0], front[4])
    assert set(algorithm.select(candidates, 5)) == {2, 3, 4, 5, 6}
    assert algorithm.select(candidates, 6)[-1] == 1
    assert algorithm.select(candidates, 7)[-1] == 0
    assert algorithm.select([], 3) == []


def test_children_depend_on_seed_and_order_alone() -> None:
    parents = random_points(10, 2, seed=5)
    algorithm = make_nsga2(GENES, ["maximize", "minimize"])

    def children(of: list[Point], seed: int) -> list[tuple[int, ...]]:
        return algorithm.asker(of, seed)(20)

    assert children(parents, 1) == children(parents, 1)
    assert children(parents, 1) != children(parents, 2)
    assert children(parents, 1) != children(parents[::-1], 1)


def test_the_public_way_stands_in_when_a_private_name_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_nsga2(GENES, ["maximize"]), FastNsga2)
    monkeypatch.setattr(nsga2, "_PRIVATE", ("_elite_population_selection_strategy", "_gone_in_this_version"))
    assert isinstance(make_nsga2(GENES, ["maximize"]), PublicNsga2)


def test_optuna_stays_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for way in (FastNsga2, PublicNsga2):
            algorithm = way(GENES, ["maximize", "minimize"], Operators(crossover="sbx", mutation="polynomial"))
            algorithm.asker(random_points(6, 2, seed=1), seed=1)(1)
            algorithm.select(random_points(6, 2, seed=1), 3)


def compare(problem, variables: int, objectives: int, reference: float, seeds: range, **budget: int) -> None:
    """Forge's mean hypervolume may not lie below Optuna's by more than Optuna's own spread."""
    ours = [volume(run_forge(problem, variables, objectives, seed=s, **budget), reference) for s in seeds]
    theirs = [volume(run_optuna(problem, variables, objectives, seed=s, **budget), reference) for s in seeds]
    assert np.mean(ours) >= np.mean(theirs) - max(np.std(theirs), 0.01 * np.mean(theirs))


def test_zdt1_as_good_as_plain_optuna() -> None:
    compare(zdt1, 10, 2, 6.0, range(2), population=20, generations=25)


@pytest.mark.long
@pytest.mark.parametrize(
    ("problem", "variables", "objectives", "reference"), [(zdt1, 30, 2, 1.1), (zdt2, 30, 2, 1.1), (dtlz2, 12, 3, 1.1)]
)
def test_as_good_as_plain_optuna_over_ten_seeds(problem, variables: int, objectives: int, reference: float) -> None:
    compare(problem, variables, objectives, reference, range(10), population=50, generations=100)


@pytest.mark.long
@pytest.mark.extras
@pytest.mark.parametrize(
    ("problem", "variables", "objectives", "reference"), [(zdt1, 30, 2, 1.1), (zdt2, 30, 2, 1.1), (dtlz2, 12, 3, 1.1)]
)
def test_islands_beside_one_population_and_pymoo(problem, variables: int, objectives: int, reference: float) -> None:
    """With pymoo's operators Forge comes near pymoo, whose genes are not steps; two islands lose little to one."""
    import_extra("pymoo", extra="bench")
    budget = {"population": 100, "generations": 100}
    operators = Operators(crossover="sbx", crossover_eta=15.0, mutation="polynomial", mutation_eta=20.0)
    ways = {
        "one island": lambda seed: run_islands(
            problem, variables, objectives, seed=seed, islands=1, operators=operators, **budget
        ),
        "two islands": lambda seed: run_islands(
            problem, variables, objectives, seed=seed, operators=operators, **budget
        ),
        "two islands, uniform": lambda seed: run_islands(problem, variables, objectives, seed=seed, **budget),
        "pymoo": lambda seed: run_pymoo(problem, variables, objectives, seed=seed, **budget),
    }
    volumes = {name: [volume(run(seed), reference) for seed in range(1, 6)] for name, run in ways.items()}
    for name, found in volumes.items():
        print(f"{problem.__name__}, {name}: {np.mean(found):.4f} +- {np.std(found):.4f}")
    means = {name: np.mean(found) for name, found in volumes.items()}
    assert means["one island"] >= 0.9 * means["pymoo"]
    assert means["two islands"] >= 0.9 * means["one island"]


@pytest.mark.parametrize("parents", [0, 2, 3, 80])
def test_compiled_children_are_those_of_the_loop_draw_by_draw(parents: int) -> None:
    """More draws than the generator's state holds; genes with one value, large and small, ordered or not."""
    rng = np.random.default_rng(parents)
    genes = [Gene(f"g{i:02d}", int(rng.integers(1, 60)), bool(i % 3)) for i in range(40)]
    points = [
        Point(tuple(int(v) for v in rng.integers(0, [gene.size for gene in genes])), (float(i % 7), float(i % 5)))
        for i in range(parents)
    ]
    way = FastNsga2(genes, ["maximize", "minimize"], Operators(mutation_probability=0.1))
    compiled, loop = (way.asker(points, seed=9).__self__ for _ in range(2))
    assert [*compiled.children(30), *compiled.children(120)] == [loop.child() for _ in range(150)]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_large_population_with_ties_is_selected_as_by_the_sampler(objectives: int) -> None:
    points = random_points(160, objectives, seed=objectives, feasible=0.8)
    directions = ["maximize", "minimize", "maximize"][:objectives]
    fast, public = FastNsga2(GENES, directions), PublicNsga2(GENES, directions)
    for size in (2, 40, 100, 159, 160):
        assert fast.select(points, size) == public.select(points, size)
