"""Execution of one task of a sweep: the missing tests of all strategies and months of one symbol and interval."""

import logging
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.windows import WindowResults
from forge_core.errors import ForgeError, StudyError
from forge_core.features.bank.bank import Bank
from forge_core.sweeps import plan as planning
from forge_core.sweeps.month_feeds import MonthFeeds
from forge_core.sweeps.months import cut_months
from forge_core.sweeps.plan import SweepPlan, Task
from forge_core.sweeps.results import ResultBuffer, ResultFiles, identity, locked, trades_table
from forge_core.sweeps.series import SeriesVersion, load_series
from forge_core.sweeps.simulation import Simulator

logger = logging.getLogger(__name__)

CHUNK_ROWS = 20_000  # tests in memory at most
CHUNK_TRADES = 100_000
_PROGRESS_SECONDS = 5.0
_AHEAD = 4  # variants submitted per thread before the first is written


@dataclass
class Report:
    """Numbers of tests of a task: ``asked`` (requested), ``known`` (recorded before), ``run`` now, ``failed`` of those
    run, and ``kept`` (trades written now)."""

    symbol: str
    interval: str
    asked: int = 0
    known: int = 0
    run: int = 0
    failed: int = 0
    kept: int = 0
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        speed = f", {self.run / self.seconds:,.0f} a second" if self.run and self.seconds else ""
        return (
            f"{self.symbol} {self.interval}: {self.known + self.run:,} of {self.asked:,} tests, {self.run:,} of them "
            f"now{speed}" + (f", {self.failed:,} failed" if self.failed else "")
        )


@dataclass(frozen=True)
class _Outcome:
    """Results of one variant on ``cells``, or the ``error``; trades by cell."""

    test: int
    cells: NDArray[np.int64]
    found: WindowResults | None = None
    annualization: NDArray[np.float64] | None = None
    trades: tuple[tuple[int, NDArray[np.void]], ...] = ()
    error: str | None = None


def run_task(
    plan: SweepPlan,
    task: Task,
    months: set[str] | None = None,
    log: logging.Logger | None = None,
    threads: int = 1,
) -> Report:
    """Run the missing tests of one task, optionally of ``months`` only, on ``threads``, and write their results.

    A failed test is recorded with its error; the other tests run. Neither results nor files depend on ``threads``: the
    kernels run in parallel, and results are written in the order of the plan. Raises DataError if the bars of the plan
    are missing or a file of results is damaged, StudyError if the plan was made for another engine version.
    """
    log = log or logger
    if plan.engine != planning.ENGINE:
        planned = f"sweep {plan.spec.name!r} was planned for engine version {plan.engine}"
        raise StudyError(f"{planned}, got {planning.ENGINE}: run the sweep again")
    with locked(plan.home, task, log):
        return _Worker(plan, task, months, log, threads).run()


class _Worker:
    """State of one running task; the caller holds the task's lock."""

    def __init__(self, plan: SweepPlan, task: Task, months: set[str] | None, log: logging.Logger, threads: int) -> None:
        self.plan, self.task, self.log, self.threads = plan, task, log, threads
        self.tests = plan.test_hashes(task.interval)
        self.simulator = Simulator(plan.spec, task)
        self.results = ResultFiles(plan.home, "results", task.symbol, task.interval)
        self.trades = ResultFiles(plan.home, "trades", task.symbol, task.interval)
        self.wanted = np.array([months is None or cell.month in months for cell in task.cells], np.bool_)
        self.report = Report(task.symbol, task.interval, asked=int(self.wanted.sum()) * len(self.tests))
        self.buffer = ResultBuffer(plan, task, self.tests)
        self.kept: list[tuple[int, int, NDArray[np.void]]] = []
        self.kept_trades = 0
        self.faults: Counter[str] = Counter()
        self.started = self.last_logged = time.monotonic()

    def run(self) -> Report:
        for files in (self.results, self.trades):
            files.clear_leftovers()
        cells = [cell.hash for cell in self.task.cells]
        missing = ~self.results.done(cells, self.tests) & self.wanted
        untraded = np.zeros_like(missing)
        if self.plan.spec.verbose:
            untraded = ~self.trades.done(cells, self.tests) & self.wanted
        self.report.known = self.report.asked - int(missing.sum())
        if missing.any() or untraded.any():
            self.test(missing, untraded)
            self.flush()
        for fault, count in self.faults.items():
            self.log.warning(f"{self.task.name}: {count:,} tests failed: {fault}")
        self.report.failed = self.faults.total()
        self.report.seconds = time.monotonic() - self.started
        self.log.info(str(self.report))
        return self.report

    def test(self, missing: NDArray[np.bool_], untraded: NDArray[np.bool_]) -> None:
        """Run each variant on its missing months, and write the results in the order of the variants."""
        months = self.open()

        def run(test: int) -> _Outcome:
            return self.run_variant(test, np.flatnonzero(missing[test]), np.flatnonzero(untraded[test]), months)

        pending = iter(np.flatnonzero((missing | untraded).any(axis=1)).tolist())
        with ThreadPoolExecutor(self.threads, "sweep") as pool:
            running = deque(pool.submit(run, test) for test in islice(pending, _AHEAD * self.threads))
            try:
                while running:
                    self.take(running.popleft().result())
                    running.extend(pool.submit(run, test) for test in islice(pending, 1))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def run_variant(
        self, test: int, cells: NDArray[np.int64], traded: NDArray[np.int64], months: MonthFeeds
    ) -> _Outcome:
        """Test one variant on ``cells`` and record its trades on ``traded``, without changing the worker's state."""
        found, periods, trades = None, None, []
        try:
            variant = self.plan.spec.variants[test]
            play = self.simulator.play(variant)
            if cells.size:
                found, periods = self.simulator.simulate(variant, play, months, cells)
            for cell in traded.tolist():
                trades.append((cell, self.simulator.record_trades(variant, play, months.month(cell))))
        except (MemoryError, OSError):
            raise  # a fault of the machine, not of the test
        except ForgeError as error:
            return _Outcome(test, cells, found, periods, tuple(trades), str(error))
        except Exception as error:
            return _Outcome(test, cells, found, periods, tuple(trades), f"{type(error).__name__}: {error}")
        return _Outcome(test, cells, found, periods, tuple(trades))

    def take(self, outcome: _Outcome) -> None:
        """Add the results of one variant to the buffer, and write a full buffer."""
        if outcome.found is not None and outcome.annualization is not None:
            self.buffer.add(outcome.test, outcome.cells, outcome.found, outcome.annualization)
            self.report.run += outcome.cells.size
        elif outcome.error is not None:
            self.fail(outcome.test, outcome.cells, outcome.error)
        for cell, trades in outcome.trades:
            self.kept.append((outcome.test, cell, trades))
            self.kept_trades += trades.size
            self.report.kept += 1
        if self.buffer.rows >= CHUNK_ROWS or self.kept_trades >= CHUNK_TRADES:
            self.flush()
        self.log_progress()

    def open(self) -> MonthFeeds:
        """Return the months of the task's cells."""
        task = self.task
        series = load_series(task.symbol, task.interval, task.series, self.plan.home)
        months = cut_months(series.bars, task.instrument.session).only(cell.month for cell in task.cells)
        return self.simulator.open(
            series.bars,
            months,
            series.funding,
            lambda: Bank(SeriesVersion(series, task.instrument), task.interval, self.plan.home),
        )

    def fail(self, test: int, cells: NDArray[np.int64], error: str) -> None:
        """Record the error of one variant on ``cells``."""
        if cells.size:
            self.buffer.add_failure(test, cells, error)
            self.report.run += cells.size
            self.faults[error] += cells.size

    def flush(self) -> None:
        """Write the buffered results and trades."""
        if self.buffer.rows:
            self.results.append(self.buffer.table())
            self.buffer = ResultBuffer(self.plan, self.task, self.tests)
        if self.kept:
            test, cell = (np.array([row[k] for row in self.kept], np.int32) for k in (0, 1))
            columns = identity(self.plan, self.task, self.tests, test, cell)
            self.trades.append(trades_table(columns, [trades for _, _, trades in self.kept]))
            self.kept, self.kept_trades = [], 0

    def log_progress(self) -> None:
        """Log the progress every few seconds."""
        now = time.monotonic()
        if now - self.last_logged >= _PROGRESS_SECONDS:
            self.last_logged = now
            self.report.seconds = now - self.started
            self.report.failed = self.faults.total()
            self.log.info(str(self.report))
