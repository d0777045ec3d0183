"""NSGA-II by Optuna's sampler.

``PublicNsga2`` uses Optuna's public API: a study with the parents samples children, and the sampler's
``select_parent`` selects the survivors. Its trial objects cost more than a small backtest, so ``FastNsga2`` breeds on
arrays (``breeding``) and selects on arrays, ranked by Optuna's own function. Both give the same children
and the same survivors (a test compares them); ``make_nsga2`` returns the public way where that function is missing.

Source of the algorithm: Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm:
NSGA-II, IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import NSGAIISampler
from optuna.samplers.nsgaii import (
    BaseCrossover,
    BaseMutation,
    BLXAlphaCrossover,
    PolynomialMutation,
    SBXCrossover,
    SPXCrossover,
    UNDXCrossover,
    UniformCrossover,
    VSBXCrossover,
)
from optuna.trial import FrozenTrial, create_trial

from forge_core.evolution.nsga.breeding import Breeder, Floats, GeneLayout, by_crowding, dominance
from forge_core.evolution.search.genes import Gene, Genes

Ask = Callable[[int], list[Genes]]
Direction = Literal["maximize", "minimize"]
Crossover = Literal["uniform", "sbx", "vsbx", "blx_alpha", "spx", "undx"]

_GENERATION = "NSGAIISampler:generation"  # where the sampler finds a stored trial's generation
_PRIVATE = ("_fast_non_domination_rank",)  # of optuna.study._multi_objective
_VIOLATION = "violation"


class Candidate(Protocol):
    """Protocol of an evaluated Play for the algorithm."""

    @property
    def genes(self) -> Genes:
        """One small whole number for each gene."""
        ...

    @property
    def objectives(self) -> tuple[float, ...]:
        """The objectives' values, all finite."""
        ...

    @property
    def violation(self) -> float:
        """Sum of the constraint violations; zero for a feasible Play, always finite."""
        ...


@dataclass(frozen=True)
class Operators:
    """Crossover and mutation. ``mutation_probability`` is that of one gene, None meaning 1 / number of genes."""

    crossover: Crossover = "uniform"
    crossover_probability: float = 0.9
    swapping: float = 0.5
    crossover_eta: float | None = None
    alpha: float = 0.5
    mutation: Literal["uniform", "polynomial"] = "uniform"
    mutation_probability: float | None = None
    mutation_eta: float = 20.0

    def make_crossover(self) -> BaseCrossover:
        """Return Optuna's crossover operator."""
        match self.crossover:
            case "uniform":
                return UniformCrossover(self.swapping)
            case "sbx":
                return SBXCrossover(self.crossover_eta)
            case "vsbx":
                return VSBXCrossover(self.crossover_eta)
            case "blx_alpha":
                return BLXAlphaCrossover(self.alpha)
            case "spx":
                return SPXCrossover()
            case "undx":
                return UNDXCrossover()

    def make_mutation(self) -> BaseMutation | None:
        """Return Optuna's mutation operator; None means that a mutated gene is drawn at random."""
        return PolynomialMutation(self.mutation_eta) if self.mutation == "polynomial" else None

    @property
    def parents(self) -> int:
        """Number of parents of a child."""
        return self.make_crossover().n_parents

    def sampler(self, population: int, seed: int, **strategies: Any) -> NSGAIISampler:
        """Return Optuna's sampler with these operators."""
        return NSGAIISampler(
            population_size=population,
            mutation=self.make_mutation(),
            mutation_prob=self.mutation_probability,
            crossover=self.make_crossover(),
            crossover_prob=self.crossover_probability,
            swapping_prob=self.swapping,
            seed=seed,
            **strategies,
        )


class Nsga2(ABC):
    """Children and survivors over ``genes`` and objectives that are each to ``maximize`` or to ``minimize``."""

    def __init__(
        self, genes: Sequence[Gene], directions: Sequence[Direction], operators: Operators | None = None
    ) -> None:
        self.directions: list[Direction | optuna.study.StudyDirection] = list(directions)
        self.operators = operators or Operators()
        self.distributions: dict[str, BaseDistribution] = {
            gene.name: (
                IntDistribution(0, gene.size - 1) if gene.ordered else CategoricalDistribution(tuple(range(gene.size)))
            )
            for gene in genes
        }

    def asker(self, parents: Sequence[Candidate], seed: int) -> Ask:
        """Return a function that draws the genes of the next children, as many as it is given.

        The children depend on the parents, their order and ``seed`` alone. Fewer parents than a child has (two, of
        simplex and normal-distribution crossover three) cannot be crossed: children are then drawn at random, as in
        the first generation.
        """
        with _quiet():
            return self._asker(parents if len(parents) >= self.operators.parents else [], seed)

    def select(self, candidates: Sequence[Candidate], size: int) -> list[int]:
        """Return the indexes of the ``size`` best by rank, then crowding distance, in the survivors' order.

        Whole ranks come in the candidates' order; the rank that does not fit whole comes by falling crowding distance.
        """
        if size <= 0 or not candidates:
            return []
        return self._select(candidates, max(size, 2))[:size]

    @abstractmethod
    def _asker(self, parents: Sequence[Candidate], seed: int) -> Ask: ...

    @abstractmethod
    def _select(self, candidates: Sequence[Candidate], size: int) -> list[int]: ...

    def _study(self, sampler: NSGAIISampler) -> optuna.Study:
        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(), directions=self.directions, sampler=sampler
        )

    def _params(self, genes: Genes) -> dict[str, Any]:
        return dict(zip(self.distributions, genes, strict=True))

    def _genes(self, params: Mapping[str, Any]) -> Genes:
        return tuple(int(params[name]) for name in self.distributions)


class PublicNsga2(Nsga2):
    """NSGA-II by Optuna's public API, with a new in-memory study per call."""

    def _asker(self, parents: Sequence[Candidate], seed: int) -> Ask:
        sampler = self.operators.sampler(
            max(len(parents), self.operators.parents), seed, elite_population_selection_strategy=_everyone
        )
        study = self._study(sampler)
        study.add_trials([self._trial(parent) for parent in parents])

        def ask(count: int) -> list[Genes]:
            with _quiet():
                return [self._genes(study.ask(self.distributions).params) for _ in range(count)]

        return ask

    def _select(self, candidates: Sequence[Candidate], size: int) -> list[int]:
        with _quiet():
            sampler = Operators().sampler(size, seed=0)  # what breeds has no part in selection
            study = self._study(sampler)
            study.add_trials([self._trial(candidate) for candidate in candidates])
            return [trial.number for trial in sampler.select_parent(study, 1)]

    def _trial(self, candidate: Candidate) -> FrozenTrial:
        return create_trial(
            params=self._params(candidate.genes),
            distributions=self.distributions,
            values=list(candidate.objectives),
            system_attrs={_GENERATION: 0},
            constraints={_VIOLATION: candidate.violation},
        )


class FastNsga2(Nsga2):
    """The same algorithm without an Optuna study; see ``supported``."""

    def __init__(
        self, genes: Sequence[Gene], directions: Sequence[Direction], operators: Operators | None = None
    ) -> None:
        super().__init__(genes, directions, operators)
        with _quiet():
            self._empty = self._study(Operators().sampler(2, seed=0))
        self._layout = GeneLayout(genes)

    @staticmethod
    def supported() -> bool:
        """Whether Optuna has the expected private names."""
        return all(callable(getattr(optuna.study._multi_objective, name, None)) for name in _PRIVATE)

    def _asker(self, parents: Sequence[Candidate], seed: int) -> Ask:
        operators = self.operators
        losses = self._losses(parents)
        breeder = Breeder(
            self._layout,
            np.array([parent.genes for parent in parents], np.int64).reshape(len(parents), self._layout.sizes.size),
            dominance(losses, np.array([parent.violation for parent in parents], np.float64)),
            crossover=operators.make_crossover(),
            crossover_probability=operators.crossover_probability,
            swapping=operators.swapping,
            mutation=operators.make_mutation(),
            mutation_probability=operators.mutation_probability,
            study=self._empty,
            seed=seed,
        )
        return breeder.children

    def _select(self, candidates: Sequence[Candidate], size: int) -> list[int]:
        penalty = np.array([candidate.violation for candidate in candidates])
        losses = self._losses(candidates)
        ranks = optuna.study._multi_objective._fast_non_domination_rank(losses, penalty=penalty)
        chosen: list[int] = []
        for rank in range(ranks.max() + 1):
            members = np.flatnonzero(ranks == rank)
            if len(chosen) + members.size < size:
                chosen += members.tolist()
                continue
            values = np.array([candidates[index].objectives for index in members.tolist()])
            return chosen + members[by_crowding(values)][: size - len(chosen)].tolist()
        return chosen

    def _losses(self, candidates: Sequence[Candidate]) -> Floats:
        """Return the objectives of candidates with signs such that less is better, shape (candidates, objectives)."""
        signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in self.directions])
        return signs * np.array([candidate.objectives for candidate in candidates]).reshape(len(candidates), signs.size)


def make_nsga2(genes: Sequence[Gene], directions: Sequence[Direction], operators: Operators | None = None) -> Nsga2:
    """Return the fast implementation, or the public one if this Optuna does not have the private names."""
    way = FastNsga2 if FastNsga2.supported() else PublicNsga2
    return way(genes, directions, operators)


def _everyone(study: optuna.Study, population: list[FrozenTrial]) -> list[FrozenTrial]:
    return population


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's warnings on experimental features and its log of new studies."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
