"""Results of a sweep in memory: arrays over its tests, indexed by variant, task and month."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forge_core.errors import ConfigError, unknown
from forge_core.files import content_hash, read_table
from forge_core.sweeps.plan import SweepPlan, Task
from forge_core.sweeps.results import ResultFiles, positions
from forge_core.sweeps.spec import MonthRange, month_label

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Filters:
    """Filters of tests; None selects all. Months are inclusive; ``min_trades`` applies to the sum over all tests of a
    row of the ranking."""

    symbols: Collection[str] | None = None
    intervals: Collection[str] | None = None
    strategies: Collection[str] | None = None
    first_month: str | None = None
    last_month: str | None = None
    min_trades: int = 0

    def tasks(self, plan: SweepPlan) -> list[Task]:
        """Return the selected tasks of ``plan`` with the selected months; raise ConfigError for unknown names."""
        _check("symbol", self.symbols, {task.symbol for task in plan.tasks})
        _check("interval", self.intervals, {task.interval for task in plan.tasks})
        _check("strategy", self.strategies, {variant.strategy.name for variant in plan.spec.variants})
        bounds = {"from": self.first_month, "to": self.last_month}
        period = MonthRange.model_validate({k: month_label(v) for k, v in bounds.items() if v is not None})
        chosen = [
            replace(task, cells=tuple(cell for cell in task.cells if period.holds(cell.month)))
            for task in plan.tasks
            if (self.symbols is None or task.symbol in self.symbols)
            and (self.intervals is None or task.interval in self.intervals)
        ]
        return [task for task in chosen if task.cells]

    def wants(self, strategy: str) -> bool:
        """Whether a strategy is selected."""
        return self.strategies is None or strategy in self.strategies


@dataclass(frozen=True)
class Results:
    """Results of n completed tests, without the failed ones.

    ``variant``, ``task`` and ``month`` (n,) are positions in the plan's variants, in ``tasks`` and in ``months``;
    ``columns`` are metrics by name (n,), NaN where undefined; the daily returns of test k are
    ``returns[offsets[k]:offsets[k + 1]]``. ``failed`` is the number of failed tests.
    """

    plan: SweepPlan
    tasks: Sequence[Task]
    months: Sequence[str]
    variant: NDArray[np.int64]
    task: NDArray[np.int64]
    month: NDArray[np.int64]
    columns: dict[str, Floats]
    returns: NDArray[np.float32]
    offsets: NDArray[np.int64]
    failed: int

    def __len__(self) -> int:
        return self.variant.size


def load_results(plan: SweepPlan, filters: Filters, metrics: Sequence[str]) -> Results:
    """Read the completed tests of ``plan``: those with its bars, costs, roll dates and engine version."""
    tasks = filters.tasks(plan)
    months = sorted({cell.month for task in tasks for cell in task.cells})
    place = {label: position for position, label in enumerate(months)}
    wanted = np.array([filters.wants(variant.strategy.name) for variant in plan.spec.variants], np.bool_)
    parts = [
        part for number, task in enumerate(tasks) for part in _read(plan, task, number, place, wanted, list(metrics))
    ]
    failed = sum(int(part["failed"].sum()) for part in parts)

    def joined(name: str, dtype: type) -> NDArray[Any]:
        return np.concatenate([np.empty(0, dtype), *(part[name] for part in parts)])

    return Results(
        plan=plan,
        tasks=tasks,
        months=months,
        variant=joined("variant", np.int64),
        task=joined("task", np.int64),
        month=joined("month", np.int64),
        columns={name: joined(name, np.float64) for name in metrics},
        returns=joined("returns", np.float32),
        offsets=np.concatenate(([0], np.cumsum(joined("days_kept", np.int64)))),
        failed=failed,
    )


def _read(
    plan: SweepPlan,
    task: Task,
    number: int,
    place: dict[str, int],
    wanted: NDArray[np.bool_],
    metrics: list[str],
) -> list[dict[str, NDArray[Any]]]:
    """Return the rows of one task, one part per file."""
    tests = plan.test_hashes(task.interval)
    cells = [cell.hash for cell in task.cells]
    month_of = np.array([place[cell.month] for cell in task.cells], np.int64)
    parts = []
    for path in ResultFiles(plan.home, "results", task.symbol, task.interval).files():
        table = read_table(path, columns=["cell", "test", "error", "daily_returns", *metrics])
        variant, cell = positions(table["test"], tests), positions(table["cell"], cells)
        asked = (variant >= 0) & (cell >= 0) & wanted[variant]
        fine = table["error"].is_null().to_numpy()
        kept = np.flatnonzero(asked & fine)
        table = table.take(pa.array(kept))
        lists = table["daily_returns"].combine_chunks()
        numbers = {name: pc.fill_null(table[name].cast(pa.float64()), float("nan")).to_numpy() for name in metrics}
        parts.append(
            {
                "variant": variant[kept],
                "task": np.full(kept.size, number, np.int64),
                "month": month_of[cell[kept]],
                "returns": lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32),
                "days_kept": lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64),
                "failed": asked & ~fine,
                **numbers,
            }
        )
    return parts


def month_hashes(plan: SweepPlan) -> dict[str, str]:
    """Return for each month with results a hash of the completed tests of the plan."""
    done: dict[str, list[str]] = {}
    for task in plan.tasks:
        tests = plan.test_hashes(task.interval)
        found = ResultFiles(plan.home, "results", task.symbol, task.interval).done([c.hash for c in task.cells], tests)
        for cell, column in zip(task.cells, found.T, strict=True):
            if column.any():
                there = content_hash(cell.hash, *(tests[k] for k in np.flatnonzero(column)))
                done.setdefault(cell.month, []).append(there)
    return {month: content_hash(*hashes) for month, hashes in sorted(done.items())}


def _check(kind: str, asked: Collection[str] | None, known: set[str]) -> None:
    for word in asked or ():
        if word not in known:
            raise ConfigError(unknown(kind, word, known))
