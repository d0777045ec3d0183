"""A generation: pure, never paying twice for one Play, its survivors unique."""

import itertools
import json
from collections.abc import Sequence

import numpy as np
import pytest

from forge_core.evolution.nsga.nsga2 import make_nsga2
from forge_core.evolution.search.assessment import LocalAssessor
from forge_core.evolution.search.evaluation import Evaluation
from forge_core.evolution.search.generation import Generation, Individual, evolve_generation, seed_of
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.space import SpaceSpec
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Play
from forge_core.plays.parser import parse_play

from .plays import OBJECTIVES, made_up

GENOME = Genome(build_space(SpaceSpec(level=2), timeframe="1d", sides="both"))
TINY = Genome(  # a handful of Plays only
    build_space(
        SpaceSpec(
            indicator_slots=1,
            timeframes=["1d"],
            indicators={"ema": {"timeperiod": [5]}},
            operators=[">", "<"],
            risk={"stop": {}, "take_profit": {}, "trailing": {}, "max_bars": [5]},
        ),
        timeframe="1d",
        sides="long",
    )
)


class Backtests:
    """Stands for the evaluator: made-up results, and a count of what was asked of it."""

    def __init__(self) -> None:
        self.plays: list[str] = []

    def __call__(self, play: Play) -> tuple[Evaluation, tuple]:
        self.plays.append(play_hash(play))
        return made_up(self.plays[-1]), (np.zeros(3, np.float32),)


def breed(
    parents: Sequence[Individual] = (),
    known: dict[str, Evaluation] | None = None,
    *,
    genome: Genome = GENOME,
    backtests: Backtests | None = None,
    generation: int = 1,
    island: int = 0,
    size: int = 12,
    seed: int = 1,
) -> Generation:
    return evolve_generation(
        parents,
        known or {},
        algorithm=make_nsga2(genome.genes, OBJECTIVES.directions),
        assessor=LocalAssessor(genome, backtests or Backtests()),
        seed=seed,
        generation=generation,
        island=island,
        size=size,
    )


def evolve(generations: int, **settings: object) -> tuple[list[Generation], Backtests]:
    backtests = Backtests()
    known: dict[str, Evaluation] = {}
    parents: Sequence[Individual] = ()
    done = []
    for generation in range(1, generations + 1):
        done.append(breed(parents, known, backtests=backtests, generation=generation, **settings))
        known |= {child.play: child.evaluation for child in done[-1].offspring}
        parents = done[-1].survivors
    return done, backtests


def test_the_first_generation_is_random_and_survives_whole() -> None:
    first = breed()
    assert len(first.offspring) == 12
    assert set(first.survivors) == set(first.offspring)
    assert [child.id for child in first.offspring[:2]] == ["g0001-i0-n0000", "g0001-i0-n0001"]


def test_a_generation_is_a_pure_function() -> None:
    first = breed()
    again, other_seed = breed(first.survivors, generation=2), breed(first.survivors, generation=2, seed=2)
    assert breed(first.survivors, generation=2) == again
    assert again.offspring != other_seed.offspring
    assert breed(generation=1).offspring[0].genes != breed(generation=1, island=1).offspring[0].genes


def test_seeds_differ_between_islands_and_generations() -> None:
    seeds = {seed_of(study, island, g) for study in (0, 1, 2**62) for island in range(4) for g in range(1, 60)}
    assert len(seeds) == 3 * 4 * 59
    assert seed_of(1, 0, 1) == seed_of(1, 0, 1)


def test_survivors_are_the_best_and_unique() -> None:
    done, _ = evolve(6)
    for before, after in itertools.pairwise(done):
        assert len({individual.play for individual in after.survivors}) == len(after.survivors) == 12
        assert max(i.evaluation.feasible for i in after.survivors) >= max(
            i.evaluation.feasible for i in before.survivors
        )
        best = [max(i.objectives[0] for i in g.survivors if i.evaluation.feasible) for g in (before, after)]
        assert best[1] >= best[0]  # elitism: the best Sharpe never gets lost


def test_no_play_is_backtested_twice() -> None:
    done, backtests = evolve(8, size=20)
    assert len(backtests.plays) == len(set(backtests.plays))
    assert sum(len(generation.trials) for generation in done) == len(backtests.plays)


def test_where_there_is_nothing_new_the_known_result_is_taken() -> None:
    done, backtests = evolve(5, genome=TINY, size=10)
    assert len(set(backtests.plays)) == len(backtests.plays) < 12
    for generation in done:
        assert len(generation.offspring) == 10
        for child in generation.offspring:
            assert child.evaluation.objectives == made_up(child.play).objectives
        fresh = [child.play for child in generation.offspring if not child.is_duplicate]
        assert fresh == [trial.play_hash for trial in generation.trials]
    assert all(child.is_duplicate for child in done[-1].offspring)
    assert len(done[-1].survivors) == len({i.play for i in done[-1].survivors}) <= 10


def test_a_known_play_is_asked_again_first() -> None:
    known_before = breed().offspring[0]
    again = breed(known={known_before.play: known_before.evaluation})
    assert known_before.play not in {trial.play_hash for trial in again.trials}
    assert len(again.trials) == 12


def test_trials_hold_the_play_that_was_backtested() -> None:
    for trial in breed().trials:
        assert play_hash(parse_play(json.loads(trial.document))) == trial.play_hash


@pytest.mark.parametrize("size", [2, 3])
def test_the_smallest_islands_work(size: int) -> None:
    done, _ = evolve(5, size=size)
    assert all(len(generation.survivors) == size for generation in done)
