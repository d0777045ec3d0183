"""Tests of a sweep that are not recorded yet, and the disk space they need."""

import numpy as np

from forge_core.files import check_free_space
from forge_core.metrics.catalog import METRICS
from forge_core.sweeps.plan import SweepPlan, Task
from forge_core.sweeps.results import ResultFiles

_ROW_OVERHEAD = 250  # bytes of a row besides its metrics: hashes, times, and its share of the file's dictionaries
_DAYS = 31  # of a month, each with a return of 4 bytes
_TRADE, _BARS_OF_TRADE = 120, 20  # bytes of a trade of a verbose sweep, and bars to one trade


def count_missing(plan: SweepPlan, task: Task) -> int:
    """Return how many tests of ``task`` are not recorded."""
    cells, tests = [cell.hash for cell in task.cells], plan.test_hashes(task.interval)
    kinds = ("results", "trades") if plan.spec.verbose else ("results",)
    done = [ResultFiles(plan.home, kind, task.symbol, task.interval).done(cells, tests) for kind in kinds]
    return int(np.count_nonzero(~np.logical_and.reduce(done)))


def is_complete(plan: SweepPlan, task: Task) -> bool:
    """Whether all tests of a task are recorded."""
    return count_missing(plan, task) == 0


def incomplete_tasks(plan: SweepPlan) -> list[Task]:
    """Return the tasks with missing tests; raise DataError if the disk has no room for their results."""
    missing = [count_missing(plan, task) for task in plan.tasks]
    needed = sum(count * _bytes_of_test(plan, task) for count, task in zip(missing, plan.tasks, strict=True))
    check_free_space(plan.home.root, needed, f"sweep {plan.spec.name!r}")
    return [task for count, task in zip(missing, plan.tasks, strict=True) if count]


def _bytes_of_test(plan: SweepPlan, task: Task) -> int:
    """Return about how many bytes the results of one test take, from above."""
    row = 8 * len(METRICS) + 4 * _DAYS + _ROW_OVERHEAD
    bars = task.bars // len(task.cells)
    return row + (bars // _BARS_OF_TRADE * _TRADE if plan.spec.verbose else 0)
