"""Test problems with a known Pareto front, over whole-number genes, and runs of them by Forge and by plain Optuna."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna

from forge_core.evolution.nsga import front
from forge_core.evolution.nsga.nsga2 import Nsga2, Operators, make_nsga2
from forge_core.evolution.run.migration import parents_after_migration, source_island
from forge_core.evolution.search.generation import seed_of, select_distinct
from forge_core.evolution.search.genes import Gene

STEPS = 1000  # values of a gene
Problem = Callable[[np.ndarray], tuple[float, ...]]


def zdt1(x: np.ndarray) -> tuple[float, float]:
    """Convex front, 30 variables (Zitzler, Deb, Thiele 2000)."""
    g = 1 + 9 * x[1:].mean()
    return float(x[0]), float(g * (1 - np.sqrt(x[0] / g)))


def zdt2(x: np.ndarray) -> tuple[float, float]:
    """Concave front."""
    g = 1 + 9 * x[1:].mean()
    return float(x[0]), float(g * (1 - (x[0] / g) ** 2))


def dtlz2(x: np.ndarray) -> tuple[float, float, float]:
    """Three objectives, spherical front (Deb, Thiele, Laumanns, Zitzler 2005)."""
    g = ((x[2:] - 0.5) ** 2).sum()
    a, b = x[0] * np.pi / 2, x[1] * np.pi / 2
    return tuple(float(v * (1 + g)) for v in (np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)))


@dataclass(frozen=True)
class Point:
    """A candidate for ``Nsga2``."""

    genes: tuple[int, ...]
    objectives: tuple[float, ...]
    violation: float = 0.0

    @property
    def play(self) -> str:
        """What tells one candidate from another."""
        return str(self.genes)


def genes_of(variables: int) -> list[Gene]:
    return [Gene(f"x{i:02d}", STEPS) for i in range(variables)]


def evaluate(problem: Problem, genes: tuple[int, ...]) -> Point:
    return Point(genes, problem(np.array(genes) / (STEPS - 1)))


def run_forge(
    problem: Problem, variables: int, objectives: int, *, population: int, generations: int, seed: int
) -> np.ndarray:
    """Return the objectives of all points that a chain of stored generations evaluates."""
    algorithm: Nsga2 = make_nsga2(genes_of(variables), ["minimize"] * objectives, Operators())
    parents: list[Point] = []
    seen = []
    for generation in range(1, generations + 1):
        ask = algorithm.asker(parents, seed_of(seed, 0, generation))
        children = [evaluate(problem, genes) for genes in ask(population)]
        seen += children
        pool = [*parents, *children]
        parents = [pool[i] for i in algorithm.select(pool, population)]
    return np.array([point.objectives for point in seen])


def run_islands(
    problem: Problem,
    variables: int,
    objectives: int,
    *,
    population: int,
    generations: int,
    seed: int,
    operators: Operators | None = None,
    islands: int = 2,
    epochs: int = 2,
) -> np.ndarray:
    """Return the same for islands that meet, as a study's do: each one's best five move on in the ring."""
    algorithm = make_nsga2(genes_of(variables), ["minimize"] * objectives, operators or Operators())
    size = population // islands
    parents: list[list[Point]] = [[] for _ in range(islands)]
    seen = []
    for generation in range(1, generations + 1):
        if islands > 1 and generation > 1 and (generation - 1) % (generations // epochs) == 0:
            parents = [
                parents_after_migration(
                    algorithm, residents, parents[source_island(island, islands)], count=5, size=size
                )
                for island, residents in enumerate(parents)
            ]
        for island in range(islands):
            ask = algorithm.asker(parents[island], seed_of(seed, island, generation))
            children = [evaluate(problem, genes) for genes in ask(size)]
            seen += children
            parents[island] = select_distinct(algorithm, [*parents[island], *children], size)
    return np.array([point.objectives for point in seen])


def run_pymoo(
    problem: Problem, variables: int, objectives: int, *, population: int, generations: int, seed: int
) -> np.ndarray:
    """Return the same of pymoo's NSGA-II with its own operators (SBX and polynomial mutation on real numbers)."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.optimize import minimize

    seen = []

    class Wrapped(ElementwiseProblem):
        def __init__(self) -> None:
            super().__init__(n_var=variables, n_obj=objectives, xl=0.0, xu=1.0)

        def _evaluate(self, x: np.ndarray, out: dict, *args: object, **kwargs: object) -> None:
            out["F"] = problem(x)
            seen.append(out["F"])

    minimize(Wrapped(), NSGA2(pop_size=population), ("n_gen", generations), seed=seed)
    return np.array(seen)


def run_optuna(
    problem: Problem, variables: int, objectives: int, *, population: int, generations: int, seed: int
) -> np.ndarray:
    """Return the same of one plain Optuna study with the same budget."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        genes = tuple(trial.suggest_int(gene.name, 0, STEPS - 1) for gene in genes_of(variables))
        return problem(np.array(genes) / (STEPS - 1))

    study.optimize(objective, n_trials=population * generations)
    return np.array([trial.values for trial in study.trials])


def volume(points: np.ndarray, reference: float) -> float:
    return front.volume(points[front.nondominated(points)], np.full(points.shape[1], reference))
