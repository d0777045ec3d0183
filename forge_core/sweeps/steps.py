"""Steps of a sweep for a scheduler or ``run_sweep``, with plain data as input and output.

``plan_sweep``, then ``run_sweep_task`` for every incomplete symbol and interval (``pending_tasks``; in any order, in
any process), then ``finish_sweep``. Every step is idempotent, and sweeps can run at the same time: recorded tests are
not repeated.
"""

import logging
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from forge_core.errors import ConfigError, StudyError
from forge_core.parallelism import worker_count, workers_per_task
from forge_core.paths import Home
from forge_core.sweeps.pending import incomplete_tasks
from forge_core.sweeps.plan import SweepPlan, read_plan
from forge_core.sweeps.report import ranking_folder, read_failures, write_ranking
from forge_core.sweeps.results import ResultFiles, locked
from forge_core.sweeps.spec import SweepSpec, list_sweeps, load_sweep, month_label
from forge_core.sweeps.task import run_task

__all__ = [
    "SweepSpec",
    "check_results",
    "finish_sweep",
    "forget_results",
    "list_sweeps",
    "load_sweep",
    "pending_tasks",
    "plan_sweep",
    "read_plan",
    "run_sweep",
    "run_sweep_task",
]


def plan_sweep(spec: SweepSpec, home: Home | None = None, log: logging.Logger | None = None) -> dict[str, Any]:
    """Import the bars of a sweep and pin the inputs of its tests; return the plan as plain data.

    The plan has the ``spec``, the ``home``, the number of ``tests`` and the ``tasks``, each with its symbol and
    interval. Logs skipped invalid combinations, unusual values, and intervals without bars. Raises DataError for a
    symbol without bars or a future without roll dates, with a hint how to get them.
    """
    return SweepPlan.make(spec, home, log).document()


def pending_tasks(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the incomplete tasks of a plan; raise DataError if the disk has no room for their results."""
    return [task.document() for task in incomplete_tasks(SweepPlan.read(plan))]


def forget_results(plan: dict[str, Any], log: logging.Logger | None = None) -> int:
    """Delete the recorded results and trades of all tests of a plan, so that they run again; return their number.

    Other sweeps that share these tests have to run them again too.
    """
    read, deleted = SweepPlan.read(plan), 0
    for task in read.tasks:
        cells, tests = [cell.hash for cell in task.cells], read.test_hashes(task.interval)
        with locked(read.home, task, log or logging.getLogger(__name__)):
            ResultFiles(read.home, "trades", task.symbol, task.interval).forget(cells, tests)
            deleted += ResultFiles(read.home, "results", task.symbol, task.interval).forget(cells, tests)
    return deleted


def run_sweep_task(
    plan: dict[str, Any],
    symbol: str,
    interval: str,
    months: Collection[str] | None = None,
    log: logging.Logger | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Run the missing tests of one symbol and interval, optionally of ``months`` only; return a report.

    ``threads`` is by default the number of workers divided by the number of series; it does not affect results. The
    report has numbers of tests: asked (requested), known (recorded before), run, failed (of those run) and kept (trades
    written).
    """
    read = SweepPlan.read(plan)
    wanted = None if months is None else {month_label(month) for month in months}
    if threads is None:
        threads = workers_per_task(plan["series"])
    return run_task(read, read.task(symbol, interval), wanted, log, threads).document()


def run_sweep(
    spec: SweepSpec, home: Home | None = None, *, workers: int | None = None, log: logging.Logger | None = None
) -> dict[str, Any]:
    """Run a whole sweep in this process; return its report (see ``finish_sweep``), or raise as ``check_results`` does.

    ``workers``: number of concurrent tasks (symbol and interval), by default that of ``forge_core.parallelism``. It
    does not affect results.
    """
    workers = worker_count() if workers is None else workers
    if workers < 1:
        raise ConfigError(f"workers is {workers}: expected 1 or more")
    plan = plan_sweep(spec, home, log)
    names = [(task["symbol"], task["interval"]) for task in pending_tasks(plan)]
    threads = max(1, workers // max(1, min(workers, len(names))))
    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(run_sweep_task, plan, *name, None, log, threads) for name in names]
        try:
            reports = [task.result() for task in running]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    report = finish_sweep(plan, reports)
    check_results(report)
    return report


def finish_sweep(plan: dict[str, Any], reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Rank all results of the sweep, write the ranking (see ``write_ranking``), and sum the tasks' reports.

    Returns the sweep's name, its tests (asked, known, run, failed, kept: see ``run_sweep_task``), ``failed_in_all``
    (failed tests of this and earlier runs), up to three of their ``errors``, the path of the ranking and its best
    strategy. Tasks without a report were complete before. ``check_results`` raises if every test failed.
    """
    read = SweepPlan.read(plan)
    failures = read_failures(read)
    totals = {key: sum(report[key] for report in reports) for key in ("run", "failed", "kept")}
    totals = {"asked": read.tests, "known": read.tests - totals["run"], **totals}
    ranking = write_ranking(read)
    best = None if ranking.empty else f"{ranking['strategy'].iloc[0]} {ranking['parameters'].iloc[0]}"
    folder = ranking_folder(read.spec.name, read.home)
    totals["failed_in_all"] = failures.failed
    return {
        "sweep": read.spec.name,
        **totals,
        "errors": list(failures.errors),
        "best": best,
        "ranking": str(folder / "ranking.parquet"),
    }


def check_results(report: dict[str, Any]) -> None:
    """Raise StudyError with the first errors if every test of a finished sweep failed."""
    if report["errors"] and report["failed_in_all"] == report["asked"]:
        raise StudyError(
            f"sweep {report['sweep']!r}: all {report['asked']:,} tests failed; the first errors: "
            + "; ".join(report["errors"])
        )
