"""Children of NSGA-II on arrays of genes: the draws of Optuna's sampler, without its trial objects.

Optuna's public crossover and mutation operators do the arithmetic; the selection of parents, the crossover of unordered
genes and the random genes repeat, draw by draw, what ``NSGAIISampler`` of Optuna 5.0.0 does with a study of the same
parents, so that both give the same children from the same seed (``tests/evolution/test_nsga2.py`` compares them).

Source of the algorithm: Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm:
NSGA-II, IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers.nsgaii import BaseCrossover, BaseMutation, UniformCrossover

from forge_core.evolution.nsga.uniform_children import breed_uniform
from forge_core.evolution.search.genes import Gene, Genes

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class GeneLayout:
    """The genes as arrays, and the order in which Optuna crosses, mutates and draws them."""

    def __init__(self, genes: Sequence[Gene]) -> None:
        self.sizes: Integers = np.array([gene.size for gene in genes], np.int64)
        by_name = [i for i in sorted(range(len(genes)), key=lambda i: genes[i].name) if genes[i].size > 1]
        self.crossed: Integers = np.array(by_name, np.int64)
        self.unordered: Integers = np.array([i for i in by_name if not genes[i].ordered], np.int64)
        self.ordered: Integers = np.array([i for i in by_name if genes[i].ordered], np.int64)
        self.is_ordered: Flags = np.array([gene.ordered for gene in genes], np.bool_)
        self.drawn: Integers = np.flatnonzero(self.sizes > 1)

    @cached_property
    def bounds(self) -> Floats:
        """Return the bounds of the ordered genes, shape (genes, 2): half a step beyond the first and last value."""
        return np.stack([np.full(self.ordered.size, -0.5), self.sizes[self.ordered] - 0.5], axis=1)


class Breeder:
    """Children of one generation's parents.

    ``genes`` has shape (parents, genes); ``dominates[i, j]`` is True where parent ``i`` dominates parent ``j``.
    Without parents every child is random. ``study`` is what Optuna's operators read the number of objectives from.
    """

    def __init__(
        self,
        layout: GeneLayout,
        genes: Integers,
        dominates: Flags,
        *,
        crossover: BaseCrossover,
        crossover_probability: float,
        swapping: float,
        mutation: BaseMutation | None,
        mutation_probability: float | None,
        study: optuna.Study,
        seed: int,
    ) -> None:
        self._layout = layout
        self._genes = genes
        self._dominates = dominates
        self._crossover = crossover
        self._crossover_probability = crossover_probability
        self._swapping = swapping
        self._mutation = mutation
        crossed = max(layout.crossed.size, 1)
        self._mutation_probability = 1.0 / crossed if mutation_probability is None else mutation_probability
        self._study = study
        self._rng = np.random.RandomState(seed)
        self._random = np.random.RandomState(seed)

    def children(self, count: int) -> list[Genes]:
        """Return the genes of the next ``count`` children."""
        if self._mutation is not None or not isinstance(self._crossover, UniformCrossover):
            return [self.child() for _ in range(count)]
        layout = self._layout
        children = np.empty((count, layout.sizes.size), np.int64)
        breed_uniform(
            children,
            self._genes,
            self._dominates,
            layout.sizes,
            layout.is_ordered,
            layout.unordered,
            layout.ordered,
            layout.crossed,
            layout.drawn,
            self._crossover_probability,
            self._swapping,
            self._mutation_probability,
            self._state,
            self._random_state,
        )
        return list(map(tuple, children.tolist()))

    @cached_property
    def _state(self) -> Integers:
        return _words(self._rng)

    @cached_property
    def _random_state(self) -> Integers:
        return _words(self._random)

    def child(self) -> Genes:
        """Return the genes of the next child."""
        layout = self._layout
        child = np.zeros(layout.sizes.size, np.int64)
        if len(self._genes):
            if self._rng.rand() < self._crossover_probability:
                self._cross(child)
                order = np.concatenate((layout.unordered, layout.ordered))
            else:
                child[:] = self._genes[self._rng.choice(len(self._genes))]
                order = layout.crossed
            redrawn = self._mutate(child, order)
        else:
            redrawn = layout.drawn
        for gene in redrawn:
            child[gene] = self._random_value(int(gene))
        return tuple(child.tolist())

    def _cross(self, child: Integers) -> None:
        layout = self._layout
        parents = self._parents()
        if layout.unordered.size:
            second = self._rng.rand(layout.unordered.size) >= self._swapping
            first, last = self._genes[parents[0]], self._genes[parents[-1]]
            child[layout.unordered] = np.where(second, last[layout.unordered], first[layout.unordered])
        if layout.ordered.size:
            values = self._genes[parents][:, layout.ordered].astype(np.float64)
            crossed = self._crossover.crossover(values, self._rng, self._study, layout.bounds)
            child[layout.ordered] = _steps(crossed, layout.sizes[layout.ordered])

    def _parents(self) -> list[int]:
        """Return distinct parents, each the winner of a tournament of two."""
        chosen: list[int] = []
        for _ in range(self._crossover.n_parents):
            left = [i for i in range(len(self._genes)) if i not in chosen]
            first, second = left[self._rng.choice(len(left))], left[self._rng.choice(len(left))]
            chosen.append(first if self._dominates[first, second] else second)
        return chosen

    def _mutate(self, child: Integers, order: Integers) -> Integers:
        """Mutate the ordered genes where the study has a mutation of its own; return the genes to draw at random."""
        if self._mutation is None:
            redrawn = order[self._rng.rand(order.size) < self._mutation_probability]
            return np.sort(redrawn)
        unmoved = []
        for gene in order.tolist():
            if self._rng.rand() >= self._mutation_probability:
                continue
            if not self._layout.is_ordered[gene]:
                unmoved.append(gene)
                continue
            size = int(self._layout.sizes[gene])
            low, high = -0.5, size - 0.5
            moved = self._mutation.mutation(float(child[gene]), self._rng, self._study, np.array([low, high]))
            child[gene] = _steps(np.clip(np.array([moved]), low, high), np.array([size]))[0]
        return np.sort(np.array(unmoved, np.int64))

    def _random_value(self, gene: int) -> int:
        size = int(self._layout.sizes[gene])
        if self._layout.is_ordered[gene]:
            return int(_steps(self._random.uniform(-0.5, size - 0.5, 1), np.array([size]))[0])
        return int(self._random.uniform(0.0, 1.0, size).argmax())


def dominance(losses: Floats, violations: Floats) -> Flags:
    """Return for each pair whether the first dominates the second, shape (candidates, candidates).

    ``losses`` has shape (candidates, objectives), less is better; ``violations`` are zero or more. A feasible candidate
    dominates every infeasible one, of two infeasible ones the smaller violation, of two feasible ones the one that is
    nowhere worse and somewhere better (Deb et al. 2002, section VI A).
    """
    no_worse = (losses[:, None] <= losses[None, :]).all(axis=2)
    better = (losses[:, None] < losses[None, :]).any(axis=2)
    feasible = violations <= 0.0
    both = feasible[:, None] & feasible[None, :]
    return np.where(both, no_worse & better, np.maximum(violations, 0.0)[:, None] < np.maximum(violations, 0.0)[None])


def by_crowding(values: Floats) -> Integers:
    """Return the indexes of the objective ``values`` (n, m) by falling crowding distance.

    Ties are in the order of Optuna's sampler: it sorts by one objective after the other, each time from the order
    before, then by distance, and reverses.
    """
    order = np.arange(len(values))
    distances = np.zeros(len(values))
    for column in values.T:
        order = order[np.argsort(column[order], kind="stable")]
        ascending = column[order]
        if ascending[0] == ascending[-1]:
            continue
        around = np.concatenate(([-np.inf], ascending, [np.inf]))
        gaps = np.where(around[:-2] == around[2:], 0.0, around[2:] - around[:-2])
        distances[order] += gaps / (ascending[-1] - ascending[0])
    return order[np.argsort(distances[order], kind="stable")][::-1]


def _words(rng: np.random.RandomState) -> Integers:
    """Return the state of ``rng`` as ``breed_uniform`` reads it."""
    _, words, position, *_ = rng.get_state()
    return np.append(words, position).astype(np.int64)


def _steps(values: Floats, sizes: Integers) -> Integers:
    """Return the whole number nearest each value, halves upwards, within 0 to size - 1."""
    return np.clip(np.floor(values + 0.5).astype(np.int64), 0, sizes - 1)
