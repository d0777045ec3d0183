"""Evaluation of a Play: backtests on train, objectives and constraint violations (all finite)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.params import Policy
from forge_core.engine.report.result import trades_table
from forge_core.engine.simulate import Simulation, simulate
from forge_core.engine.terms import Terms
from forge_core.errors import ConfigError, DataError
from forge_core.evolution.spec.objectives import Aggregate, Direction, constraint_metric
from forge_core.evolution.spec.study import StudySpec
from forge_core.feeds.feed import Feed
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, Metric, get_metric
from forge_core.metrics.formula import Formula
from forge_core.metrics.own import own_metric
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
    """One objective: ``name`` of its column; ``worst``, the value of a failed evaluation.

    ``own`` is its definition if it is none of the catalogue's metrics: a ``formula`` of them, or the function of an
    extension, whose values are in ``column``.
    """

    name: str
    metric: str
    direction: Direction
    aggregate: Aggregate
    worst: float
    own: Metric | None = None
    formula: Formula | None = None
    column: int = -1

    @property
    def definition(self) -> Metric:
        """Definition of the metric: unit, worst value, cap, scaling for the hypervolume."""
        return self.own or get_metric(self.metric)

    def value(self, metrics: Floats) -> float:
        """Return the objective of metrics of shape (datasets, metrics): finite, between the metric's worst and cap."""
        return _aggregate([self._of(vector) for vector in metrics], self.aggregate, self.direction)

    def _of(self, vector: Floats) -> float:
        if self.own is None:
            return objective_value(vector[: len(METRICS)], self.metric)
        value = float(vector[self.column]) if self.formula is None else self.formula.value(vector)
        if not math.isfinite(value):
            return self.worst
        if self.direction == "minimize":
            return min(value, self.worst)
        return max(value, self.worst) if self.own.cap is None else min(max(value, self.worst), self.own.cap)


@dataclass(frozen=True)
class Constraint:
    """One constraint: ``metric`` must stay at or above (``maximize``) or at or below (``minimize``) ``bound``."""

    name: str
    metric: str
    direction: Direction
    aggregate: Aggregate
    bound: float
    formula: Formula | None = None
    column: int = -1

    def violation(self, metrics: Floats) -> float:
        """Return the violation relative to the bound (to 1 if the bound is 0); 0 if satisfied.

        An undefined metric has the value of the objective of that name, or else violates the bound fully.
        """
        value = _aggregate([self._of(vector) for vector in metrics], self.aggregate, self.direction)
        missed = self.bound - value if self.direction == "maximize" else value - self.bound
        if math.isnan(missed):
            return _MOST
        return min(max(missed, 0.0) / (abs(self.bound) or 1.0), _MOST)

    def _of(self, vector: Floats) -> float:
        if self.formula is not None:
            return self.formula.value(vector)
        if self.column >= 0:
            return float(vector[self.column])
        value = float(vector[METRIC_INDEX[self.metric]])
        if math.isfinite(value) or get_metric(self.metric).better is None:
            return value
        return objective_value(vector[: len(METRICS)], self.metric)


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
    """The objectives (``terms``) and constraints of a study.

    ``own`` are the metrics of extensions among them; their values follow the catalogue's in a vector of metrics.
    """

    terms: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    own: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: StudySpec) -> "Objectives":
        """Return the objectives and constraints that ``spec`` declares."""
        metrics = [objective.metric for objective in spec.objectives]
        own = spec.own_metrics
        columns = {name: len(METRICS) + place for place, name in enumerate(own)}
        terms = []
        for objective in spec.objectives:
            metric = objective.definition
            assert metric.better is not None  # the study's check
            unique = metrics.count(metric.name) == 1
            name = metric.name if unique else f"{metric.name}_{objective.aggregate}"
            terms.append(
                Objective(
                    name,
                    metric.name,
                    metric.better,
                    objective.aggregate,
                    metric.worst,
                    None if metric.name in METRIC_INDEX else metric,
                    None if objective.formula is None else Formula(objective.formula),
                    columns.get(metric.name, -1),
                )
            )
        constraints = tuple(
            Constraint(
                name,
                metric_of := constraint_metric(name, constraint.formula),
                "maximize" if name.startswith("min_") else "minimize",
                constraint.aggregate,
                constraint.value,
                None if constraint.formula is None else Formula(constraint.formula),
                columns.get(metric_of, -1),
            )
            for name, constraint in spec.constraints.items()
        )
        return cls(tuple(terms), constraints, own)

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
            np.full((datasets, len(METRICS) + len(self.own)), np.nan),
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
        self._own = [own for name in objectives.own if (own := own_metric(name)) is not None]
        self._terms: Terms = {"costs": costs, "cash": cash, "policy": policy, "fills": fills}

    def evaluate(self, play: Play) -> tuple[Evaluation, DailyReturns]:
        """Backtest ``play`` on every dataset.

        A Play that fails is judged infeasible with its reason and has no daily returns. Errors that are not
        caused by the Play (missing or damaged data, full disk, no memory) are raised.
        """
        vectors, daily = [], []
        for name, feed in self.feeds.items():
            try:
                result = simulate(play, feed, **self._terms, record=bool(self._own))
                vectors.append(np.append(result.metrics, self._own_values(result, feed)))
            except (DataError, ConfigError, OSError, MemoryError):
                raise
            except Exception as error:
                reason = f"{name}: {type(error).__name__}: {error}".splitlines()[0][:300]
                return self.objectives.failed(len(self.feeds), reason), ()
            daily.append(result.daily_returns.astype(np.float32))
        return self.objectives.score(np.array(vectors)), tuple(daily)

    def _own_values(self, result: Simulation, feed: Feed) -> list[float]:
        """Return the metrics of extensions, which are computed from the trades, the equity and the daily returns."""
        if not self._own or result.trades is None or result.equity is None:
            return []
        closes = feed.time[feed.start :] + feed.bar_microseconds
        index = pd.DatetimeIndex(closes.astype("datetime64[us]"), name="timestamp").tz_localize("UTC")
        trades, equity = trades_table(result.trades), pd.Series(result.equity, index=index, name="equity")
        return [own.value(trades, equity, result.daily_returns.copy()) for own in self._own]
