"""Search in memory: islands, epochs, migration and selection of a champion, as a pure function."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from forge_core.evolution.nsga.front import hypervolume, knee, losses, nondominated
from forge_core.evolution.nsga.nsga2 import Nsga2
from forge_core.evolution.run.migration import parents_after_migration, source_island
from forge_core.evolution.search.assessment import Assessor
from forge_core.evolution.search.evaluation import Evaluation, Objective, Objectives
from forge_core.evolution.search.generation import Generation, Individual, Trial, evolve_generation
from forge_core.evolution.search.genes import Genes
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.spec.algorithm import EarlyStoppingSpec


@dataclass(frozen=True)
class Search:
    """Settings of a search, without the bars: all numbers of the study that affect the result.

    ``sizes``: Plays per island; ``epochs``: generations per epoch; ``seeds``: genes of known Plays, distributed over
    the islands; ``champion``: the study's rule.
    """

    genome: Genome
    algorithm: Nsga2
    objectives: Objectives
    seed: int
    sizes: tuple[int, ...]
    epochs: tuple[int, ...]
    migrants: int
    champion: str = "knee"
    early_stopping: EarlyStoppingSpec | None = None
    seeds: tuple[Genes, ...] = ()

    @property
    def budget(self) -> int:
        """Children bred in all, known Plays among them."""
        return sum(self.sizes) * sum(self.epochs)


@dataclass(frozen=True)
class Found:
    """The outcome of a search: ``front`` (feasible, non-dominated, best first objective first), the ``champion`` among
    them (None where nothing is feasible), ``score`` (``score_of``), ``evaluated`` backtests and ``generations`` run."""

    front: tuple[Individual, ...]
    champion: Individual | None
    score: float | None
    evaluated: int
    generations: int
    trials: tuple[Trial, ...] = field(default=(), repr=False)


class Step(NamedTuple):
    """One generation of one island: its number, its outcome, and the parents it was bred from."""

    generation: int
    outcome: Generation
    parents: list[Individual]


def evolve_generations(
    search: Search,
    island: int,
    generations: Sequence[int],
    parents: list[Individual],
    known: MutableMapping[str, Evaluation],
    assessor: Assessor,
) -> Iterator[Step]:
    """Run ``generations`` of ``island``, each bred from the survivors of the one before; ``known`` grows with them."""
    assessor.learn(island, known)
    for generation in generations:
        known.update({parent.play: parent.evaluation for parent in parents})
        assessor.learn(island, (parent.play for parent in parents))
        outcome = evolve_generation(
            parents,
            known,
            algorithm=search.algorithm,
            assessor=assessor,
            seed=search.seed,
            generation=generation,
            island=island,
            size=search.sizes[island],
            seeds=search.seeds[island :: len(search.sizes)] if generation == 1 else (),
        )
        known.update({child.play: child.evaluation for child in outcome.offspring})
        yield Step(generation, outcome, parents)
        parents = list(outcome.survivors)


def run_search(search: Search, assessor: Assessor, *, keep_trials: bool = False) -> Found:
    """Run a whole search in memory: the same children, front and champion as a study of these numbers on these bars.

    ``keep_trials``: also return every Play that was backtested, with its daily returns.
    """
    islands = range(len(search.sizes))
    known: list[dict[str, Evaluation]] = [{} for _ in islands]
    parents: list[list[Individual]] = [[] for _ in islands]
    fresh: list[Individual] = []
    trials: list[Trial] = []
    volumes: list[float] = []
    first = 1
    for number, count in enumerate(search.epochs):
        if number:
            parents = _after_migration(search, parents)
        bred: dict[int, list[Individual]] = {generation: [] for generation in range(first, first + count)}
        for island in islands:
            for step in evolve_generations(search, island, list(bred), parents[island], known[island], assessor):
                bred[step.generation] += [child for child in step.outcome.offspring if not child.is_duplicate]
                if keep_trials:
                    trials += step.outcome.trials
                parents[island] = list(step.outcome.survivors)
        for generation in bred:  # islands one after the other within a generation, as merged tables have them
            fresh += bred[generation]
            if search.early_stopping is not None:
                volumes.append(_volume(search, fresh))
        first += count
        if (
            search.early_stopping is not None
            and number + 1 < len(search.epochs)
            and stops_early(search.early_stopping, volumes)
        ):
            break
    front = find_front(fresh, search.objectives.terms)
    champion = choose_champion(front, search.objectives.terms, search.champion) if front else None
    return Found(tuple(front), champion, score_of(search, front), len(fresh), first - 1, tuple(trials))


def run_random(search: Search, assessor: Assessor) -> Found:
    """Draw as many Plays from the same space as the search breeds, and choose a champion by the same rule.

    The random search of equal intensity of Chen and Navet (Failure of Genetic-Programming Induced Trading Strategies,
    2007): a search that does not beat it owes nothing to its operators.
    """
    unseeded = replace(search, seeds=())
    known: dict[str, Evaluation] = {}
    fresh: list[Individual] = []
    generation = 0
    for generation in range(1, sum(search.epochs) + 1):  # in as many parts, each without parents
        for island in range(len(search.sizes)):
            step = next(evolve_generations(unseeded, island, [generation], [], known, assessor))
            fresh += [child for child in step.outcome.offspring if not child.is_duplicate]
    front = find_front(fresh, search.objectives.terms)
    champion = choose_champion(front, search.objectives.terms, search.champion) if front else None
    return Found(tuple(front), champion, score_of(search, front), len(fresh), generation)


def _after_migration(search: Search, parents: list[list[Individual]]) -> list[list[Individual]]:
    if len(parents) == 1:
        return parents
    return [
        parents_after_migration(
            search.algorithm,
            parents[island],
            parents[source_island(island, len(parents))],
            count=search.migrants,
            size=search.sizes[island],
        )
        for island in range(len(parents))
    ]


def stops_early(rule: EarlyStoppingSpec, volumes: Sequence[float]) -> bool:
    """Return whether the hypervolume rose by no more than the share ``rule.gain`` over ``rule.generations``."""
    if len(volumes) <= rule.generations:
        return False
    now, before = volumes[-1], volumes[-1 - rule.generations]
    return now > 0.0 and now - before <= rule.gain * now


def find_front(individuals: Sequence[Individual], objectives: Sequence[Objective]) -> list[Individual]:
    """Return the feasible individuals that no other dominates, best first objective first.

    ``individuals`` are in the order of their birth. Of Plays with identical metrics the
    oldest is returned.
    """
    feasible = [individual for individual in individuals if individual.evaluation.feasible]
    if not feasible:
        return []
    points = losses(np.array([individual.objectives for individual in feasible]), objectives)
    distinct: dict[bytes, int] = {}
    for index in np.flatnonzero(nondominated(points)):
        distinct.setdefault(feasible[index].evaluation.metrics.tobytes(), int(index))
    rows = np.array(list(distinct.values()))
    return [feasible[rows[place]] for place in np.lexsort(points[rows].T[::-1])]


def choose_champion(front: Sequence[Individual], objectives: Sequence[Objective], rule: str) -> Individual:
    """Return the champion of a front: its knee, or with ``best:<metric>`` the best by one objective."""
    points = losses(np.array([individual.objectives for individual in front]), objectives)
    kind, _, metric = rule.partition(":")
    if kind == "best":
        column = next(i for i, objective in enumerate(objectives) if objective.metric == metric)
        return front[int(np.argmin(points[:, column]))]
    return front[knee(points)]


def score_of(search: Search, front: Sequence[Individual]) -> float | None:
    """Return how good a search is, more being better: of one objective the best value found (turned where less is
    better), of several the hypervolume of the front. None where nothing is feasible."""
    if not front:
        return None
    points = losses(np.array([individual.objectives for individual in front]), search.objectives.terms)
    return float(-points.min()) if points.shape[1] == 1 else hypervolume(points, search.objectives.terms)


def _volume(search: Search, individuals: Sequence[Individual]) -> float:
    feasible = [individual.objectives for individual in individuals if individual.evaluation.feasible]
    objectives = search.objectives.terms
    return hypervolume(losses(np.array(feasible), objectives), objectives) if feasible else 0.0


def gene_values(champion: Individual, genome: Genome) -> Mapping[str, int]:
    """Return the champion's genes by name."""
    return dict(zip((gene.name for gene in genome.genes), champion.genes, strict=True))
