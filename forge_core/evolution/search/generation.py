"""One generation: parents to children and survivors, a pure function of its arguments."""

import time
from collections import ChainMap, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forge_core.evolution.nsga.nsga2 import Nsga2
from forge_core.evolution.search.assessment import Assessment, Assessor
from forge_core.evolution.search.evaluation import DailyReturns, Evaluation
from forge_core.evolution.search.genes import Genes

RETRIES = 4
"""How often a child that decodes to a Play already evaluated is asked again before it takes the known result."""


@dataclass(frozen=True)
class Individual:
    """One genome with the Play it decodes to (its hash) and that Play's evaluation.

    It was born in generation ``born`` (from 1) of island ``island`` (from 0) as child ``child_index`` (from 0). An
    ``is_duplicate`` has the Play of an earlier evaluation, so it was not backtested.
    """

    born: int
    island: int
    child_index: int
    genes: Genes
    play: str
    evaluation: Evaluation
    is_duplicate: bool = False

    @property
    def id(self) -> str:
        """Identifier, unique within the study."""
        return f"g{self.born:04d}-i{self.island}-n{self.child_index:04d}"

    @property
    def objectives(self) -> tuple[float, ...]:
        """The objectives' values."""
        return self.evaluation.objectives

    @property
    def violation(self) -> float:
        """Sum of the constraint violations."""
        return self.evaluation.violation


@dataclass(frozen=True)
class Trial:
    """A Play that was backtested in this generation, for the ledger; ``document`` is the Play as JSON."""

    play_hash: str
    evaluation: Evaluation
    daily_returns: DailyReturns = field(repr=False, compare=False)
    document: str = field(repr=False, compare=False)


@dataclass
class Timing:
    """Durations in seconds; not part of the result. ``backtest`` includes decoding and hashes."""

    ask: float = 0.0
    backtest: float = 0.0
    select: float = 0.0


@dataclass(frozen=True)
class Generation:
    """The outcome: ``survivors`` are parents and children in the order in which they are the next parents."""

    offspring: tuple[Individual, ...]
    survivors: tuple[Individual, ...]
    trials: tuple[Trial, ...]
    timing: Timing = field(compare=False)


def seed_of(study_seed: int, island: int, generation: int) -> int:
    """Return the 32-bit seed of one generation of one island."""
    return int(np.random.SeedSequence([study_seed, island, generation]).generate_state(1)[0])


def evolve_generation(
    parents: Sequence[Individual],
    known: Mapping[str, Evaluation],
    *,
    algorithm: Nsga2,
    assessor: Assessor,
    seed: int,
    generation: int,
    island: int,
    size: int,
    seeds: Sequence[Genes] = (),
) -> Generation:
    """Breed ``size`` children of ``parents``, evaluate those whose Play is new, and select ``size`` survivors.

    ``parents`` are in order and unique by Play; without any, the children are random. ``known`` holds the evaluations
    of this island's earlier Plays by hash, parents and migrants included. ``seeds`` are the genes of the
    first children. The outcome depends on the arguments alone.
    """
    timing = Timing()
    ask = algorithm.asker(parents, seed_of(seed, island, generation))
    children: list[tuple[Genes, str]] = []
    fresh: dict[str, Assessment] = {}
    evaluations: dict[str, Evaluation] = {}
    everything = ChainMap(evaluations, known)  # type: ignore[arg-type]  # only read
    drawn: deque[tuple[Genes, Assessment]] = deque()
    tries = 0
    while len(children) < size:
        if not drawn:  # every open place takes at least one more genome, in the order of drawing
            start = time.perf_counter()
            given = list(seeds[len(children) : size])
            genomes = given + ask(size - len(children) - len(given))
            asked = time.perf_counter()
            drawn.extend(zip(genomes, assessor.assess(island, genomes, everything), strict=True))
            timing.ask += asked - start
            timing.backtest += time.perf_counter() - asked
        genes, found = drawn.popleft()
        tries += 1
        if found.play not in everything:
            assert found.evaluation is not None
            fresh[found.play] = found
            evaluations[found.play] = found.evaluation
        elif len(children) >= len(seeds) and tries <= RETRIES:
            continue
        children.append((genes, found.play))
        tries = 0

    offspring = []
    seen: set[str] = set()
    for number, (genes, name) in enumerate(children):
        repeated = name in known or name in seen
        offspring.append(Individual(generation, island, number, genes, name, everything[name], repeated))
        seen.add(name)
    trials = tuple(Trial(name, evaluations[name], found.daily_returns, found.document) for name, found in fresh.items())

    start = time.perf_counter()
    survivors = select_distinct(algorithm, [*parents, *offspring], size)
    timing.select = time.perf_counter() - start
    return Generation(tuple(offspring), tuple(survivors), trials, timing)


def select_distinct(algorithm: Nsga2, pool: Sequence[Individual], size: int) -> list[Individual]:
    """Return the ``size`` best of ``pool`` by NSGA-II's selection, of equal Plays only the first in the pool."""
    first: dict[str, Individual] = {}
    for individual in pool:
        first.setdefault(individual.play, individual)
    distinct = list(first.values())
    return [distinct[index] for index in algorithm.select(distinct, size)]
