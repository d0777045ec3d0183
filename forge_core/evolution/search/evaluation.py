"""Evaluation of a Play: backtests on train, objectives and constraint violations (all finite)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.params import Policy
from forge_core.engine.simulate import simulate
from forge_core.engine.terms import Terms
from forge_core.errors import ConfigError, DataError
from forge_core.evolution.spec.objectives import Aggregate, Direction, constraint_metric
from forge_core.evolution.spec.study import StudySpec
from forge_core.feeds.feed import Feed
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, get_metric
from forge_core.metrics.summary import objective_value
from forge_core.plays.model import Play

Floats = NDArray[np.float64]
DailyReturns = tuple[NDArray[np.float32], ...]  # one array a dataset, one return a trade date

FAILURE = 1e6
"""The violation of each constraint by a Play whose evaluation failed: above what any other Play can reach."""

_MOST = 1e3  # violation of one constraint


@dataclass(frozen=True)
class Evaluation:
    """Results of the backtests of a Play on all train datasets.

    ``metrics``: float64 of shape (datasets, metrics) in the catalogue's order, NaN where undefined. ``objectives`` and
    ``violations`` are finite; a violation is 0 where the constraint is kept. ``error`` is the reason of a
    failed evaluation.
    """

    metrics: Floats = field(repr=False, compare=False)
    objectives: tuple[float, ...]
    violations: tuple[float, ...]
    error: str | None = None
    violation: float = field(init=False, repr=False, compare=False)
    """Sum of the constraint violations."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "violation", math.fsum(self.violations))

    @property
    def feasible(self) -> bool:
        """Whether all constraints are satisfied."""
        return self.violation == 0.0


@dataclass(frozen=True)
class Objective:
    """One objective: ``name`` of its column; ``worst``, the value of a failed evaluation."""

    name: str
    metric: str
    direction: Direction
    aggregate: Aggregate
    worst: float

    def value(self, metrics: Floats) -> float:
        """Return the objective of metrics of shape (datasets, metrics): finite, between the metric's worst and cap."""
        values = [objective_value(vector, self.metric) for vector in metrics]
        return _aggregate(values, self.aggregate, self.direction)


@dataclass(frozen=True)
class Constraint:
    """One constraint: ``metric`` must stay at or above (``maximize``) or at or below (``minimize``) ``bound``."""

    name: str
    metric: str
    direction: Direction
    aggregate: Aggregate
    bound: float

    def violation(self, metrics: Floats) -> float:
        """Return the violation relative to the bound (to 1 if the bound is 0); 0 if satisfied.

        An undefined metric has the value of the objective of that name, or else violates the bound fully.
        """
        column = METRIC_INDEX[self.metric]
        directed = get_metric(self.metric).better is not None
        values = [
            float(vector[column])
            if math.isfinite(vector[column])
            else objective_value(vector, self.metric)
            if directed
            else math.nan
            for vector in metrics
        ]
        value = _aggregate(values, self.aggregate, self.direction)
        missed = self.bound - value if self.direction == "maximize" else value - self.bound
        if math.isnan(missed):
            return _MOST
        return min(max(missed, 0.0) / (abs(self.bound) or 1.0), _MOST)


def _aggregate(values: Sequence[float], aggregate: Aggregate, direction: Direction) -> float:
    if aggregate == "median":
        return float(np.median(values))
    if aggregate == "mean":
        return math.fsum(values) / len(values)
    if any(math.isnan(value) for value in values):
        return math.nan
    return min(values) if direction == "maximize" else max(values)


@dataclass(frozen=True)
class Objectives:
    """The objectives (``terms``) and constraints of a study."""

    terms: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def of(cls, spec: StudySpec) -> "Objectives":
        """Return the objectives and constraints that ``spec`` declares."""
        metrics = [objective.metric for objective in spec.objectives]
        terms = []
        for objective in spec.objectives:
            metric = objective.definition
            assert metric.better is not None  # the study's check
            unique = metrics.count(metric.name) == 1
            name = metric.name if unique else f"{metric.name}_{objective.aggregate}"
            terms.append(Objective(name, metric.name, metric.better, objective.aggregate, metric.worst))
        constraints = tuple(
            Constraint(
                name,
                constraint_metric(name),
                "maximize" if name.startswith("min_") else "minimize",
                constraint.aggregate,
                constraint.value,
            )
            for name, constraint in spec.constraints.items()
        )
        return cls(tuple(terms), constraints)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The direction of each objective."""
        return tuple(objective.direction for objective in self.terms)

    def score(self, metrics: Floats) -> Evaluation:
        """Return the evaluation of ``metrics`` (datasets, metrics); infinite values are undefined."""
        metrics = np.where(np.isfinite(metrics), metrics, np.nan)
        return Evaluation(
            metrics,
            tuple(objective.value(metrics) for objective in self.terms),
            tuple(constraint.violation(metrics) for constraint in self.constraints),
        )

    def failed(self, datasets: int, reason: str) -> Evaluation:
        """Return the evaluation of a failed backtest: worst values, the largest violation."""
        return Evaluation(
            np.full((datasets, len(METRICS)), np.nan),
            tuple(objective.worst for objective in self.terms),
            (FAILURE,) * len(self.constraints),
            reason,
        )


class Evaluator:
    """Backtests Plays on the feeds of a study's datasets, by name."""

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        objectives: Objectives,
        *,
        costs: Costs | None = None,
        cash: float = 100_000.0,
        policy: Policy = "pessimistic",
        fills: FillRules = STRICT,
    ) -> None:
        self.feeds = dict(feeds)
        self.objectives = objectives
        self._terms: Terms = {"costs": costs, "cash": cash, "policy": policy, "fills": fills}

    def evaluate(self, play: Play) -> tuple[Evaluation, DailyReturns]:
        """Backtest ``play`` on every dataset.

        A Play that fails is judged infeasible with its reason and has no daily returns. Errors that are not
        caused by the Play (missing or damaged data, full disk, no memory) are raised.
        """
        vectors, daily = [], []
        for name, feed in self.feeds.items():
            try:
                result = simulate(play, feed, **self._terms)
            except (DataError, ConfigError, OSError, MemoryError):
                raise
            except Exception as error:
                reason = f"{name}: {type(error).__name__}: {error}".splitlines()[0][:300]
                return self.objectives.failed(len(self.feeds), reason), ()
            vectors.append(result.metrics)
            daily.append(result.daily_returns.astype(np.float32))
        return self.objectives.score(np.array(vectors)), tuple(daily)
