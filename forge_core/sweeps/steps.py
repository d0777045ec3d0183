"""The steps of a sweep, as a scheduler or ``run_sweep`` calls them: plain data in, plain data out.

``plan_sweep``, then ``run_sweep_task`` for every symbol and interval that is not complete yet (``pending_tasks``; in
any order, in any processes), then ``finish_sweep``. Every step can be run again, and two sweeps can run at once: what
is there already is not done again.
"""

import logging
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from forge_core.errors import ConfigError, StudyError
from forge_core.parallelism import threads_per_task, worker_count
from forge_core.paths import Home
from forge_core.sweeps.plan import SweepPlan, read_plan
from forge_core.sweeps.report import ranking_folder, read_failures, write_ranking
from forge_core.sweeps.spec import SweepSpec, list_sweeps, load_sweep, month_label
from forge_core.sweeps.task import is_complete, run_task

__all__ = [
    "SweepSpec",
    "check_results",
    "finish_sweep",
    "list_sweeps",
    "load_sweep",
    "pending_tasks",
    "plan_sweep",
    "read_plan",
    "run_sweep",
    "run_sweep_task",
]


def plan_sweep(spec: SweepSpec, home: Home | None = None, log: logging.Logger | None = None) -> dict[str, Any]:
    """Take in the bars of a sweep and pin what its tests depend on; return the plan as plain data.

    It holds the ``spec``, the ``home``, the number of ``tests`` and the ``tasks``, each with its symbol and interval.
    Told to ``log``: what makes no sense in a grid (left out) or is odd, and intervals without bars. Raises DataError
    for a symbol without any bars, or a future without roll dates, and says what brings them.
    """
    return SweepPlan.make(spec, home, log).document()


def pending_tasks(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tasks of a plan of which something is missing."""
    read = SweepPlan.read(plan)
    return [task.document() for task in read.tasks if not is_complete(read, task)]


def run_sweep_task(
    plan: dict[str, Any],
    symbol: str,
    interval: str,
    months: Collection[str] | None = None,
    log: logging.Logger | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Run the missing tests of one symbol and interval, of ``months`` alone if they are named; return a report.

    ``threads`` is by default the workers divided among the sweep's series; it changes no result. The report counts
    tests: asked, known (there already), run, failed (of those), kept (whose trades were written).
    """
    read = SweepPlan.read(plan)
    wanted = None if months is None else {month_label(month) for month in months}
    if threads is None:
        threads = threads_per_task(plan["series"])
    return run_task(read, read.task(symbol, interval), wanted, log, threads).document()


def run_sweep(
    spec: SweepSpec, home: Home | None = None, *, workers: int | None = None, log: logging.Logger | None = None
) -> dict[str, Any]:
    """Run a whole sweep in this process; return its report (see ``finish_sweep``), or raise as ``check_results`` does.

    ``workers``: symbols and intervals at a time, by default the number of workers (``forge_core.parallelism``). It
    changes no result.
    """
    workers = worker_count() if workers is None else workers
    if workers < 1:
        raise ConfigError(f"workers is {workers}: it must be 1 or more")
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
    """Rank all results of the sweep, write the ranking (see ``write_ranking``), and add up the tasks' reports.

    Returns the sweep's name, its tests (asked, known, run, failed, kept: see ``run_sweep_task``), ``failed_in_all``
    (those on record that failed, now or before), up to three of their ``errors``, where the ranking is and the best
    strategy in it. Tasks without a report were complete before. ``check_results`` raises where every test failed.
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
    """Raise StudyError, with the first errors, where every test of a finished sweep failed."""
    if report["errors"] and report["failed_in_all"] == report["asked"]:
        raise StudyError(
            f"sweep {report['sweep']!r}: all {report['asked']:,} tests failed; the first errors: "
            + "; ".join(report["errors"])
        )
