"""Results of sweeps on disk: one row per test, written exactly once.

``<home>/mass_tests/results/<symbol>/<interval>/<hash>.parquet``: files of some thousand rows each, named by the hash of
their keys, written atomically and never changed. A writer holds the lock of the symbol and interval, which the
operating system releases when the process ends, and reads the existing keys after acquiring it. So no result is lost
or duplicated if processes are killed or several sweeps run at once. ``trades/`` has the same layout, for the trades of
verbose sweeps.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from forge_core.engine.kernel.exit_reasons import EXIT_REASONS
from forge_core.engine.windows import WindowResults
from forge_core.files import canonical_json, content_hash, read_table, write_table
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.trade import FLAGS, TIMES, TRADE
from forge_core.paths import Home, safe_name
from forge_core.sweeps.plan import SweepPlan, Task

_TEXT = pa.dictionary(pa.int32(), pa.string())
_FACTS = (
    "month", "symbol", "interval", "strategy", "parameters", "options", "data", "instrument", "costs", "roll_dates",
    "adjust", "roll_mode", "policy", "fills", "engine",
)  # fmt: skip
_KEY = "-"  # between the two hashes of a key
_WAIT = 30.0  # seconds between two log lines while waiting for the lock

_NARROW = {"side": pa.int8(), "exit_reason": pa.string(), "bars_held": pa.int32()}


def _trade_type(name: str) -> pa.DataType:
    """Return the type of a column of trades."""
    if name in TIMES:
        return pa.timestamp("us", "UTC")
    return pa.bool_() if name in FLAGS else _NARROW.get(name, pa.float64())


TRADE_TYPE = pa.struct([(name, _trade_type(name)) for name in TRADE.names or ()])

RESULT_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("cell", _TEXT),
        ("test", _TEXT),
        *((name, _TEXT) for name in _FACTS),
        ("cash", pa.float64()),
        ("annualization", pa.float64()),
        ("tested_at", pa.timestamp("us", "UTC")),
        ("error", pa.string()),
        *((metric.name, pa.int32() if metric.integer else pa.float64()) for metric in METRICS),
        ("gross_profit", pa.float64()),
        ("gross_loss", pa.float64()),
        ("daily_returns", pa.list_(pa.float32())),
    ]
)
"""One row per test. Undefined metrics are null; all metrics are null if the test failed with ``error``."""

TRADES_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("cell", _TEXT),
        ("test", _TEXT),
        *((name, _TEXT) for name in _FACTS[:6]),
        ("trades", pa.list_(TRADE_TYPE)),
    ]
)
"""One row per test of a verbose sweep, with its trades in order of exit."""


@dataclass(frozen=True)
class ResultFiles:
    """The files of one symbol and interval; ``kind`` is ``results`` or ``trades``."""

    home: Home
    kind: str
    symbol: str
    interval: str

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return result_folder(self.home, self.kind) / safe_name(self.symbol, "symbol") / safe_name(self.interval)

    def files(self) -> list[Path]:
        """Return the files, sorted."""
        return sorted(self.folder.glob("*.parquet"))

    def done(self, cells: Sequence[str], tests: Sequence[str]) -> NDArray[np.bool_]:
        """Return which tests are recorded, as bool (tests, cells); read two columns of hashes of each file."""
        found = np.zeros((len(tests) + 1, len(cells) + 1), np.bool_)  # one more of each, for other rows
        for path in self.files():
            table = read_table(path, columns=["cell", "test"])
            rows, columns = positions(table["test"], tests), positions(table["cell"], cells)
            found[rows, columns] = True
        return found[:-1, :-1]

    def append(self, table: pa.Table) -> Path:
        """Write a file of new rows atomically; the caller holds the lock."""
        path = self.folder / f"{content_hash(*table['key'].to_pylist())}.parquet"
        write_table(path, table)
        return path

    def forget(self, cells: Sequence[str], tests: Sequence[str]) -> int:
        """Delete the rows of ``tests`` in ``cells``; return how many. The caller holds the lock.

        A file that keeps other rows is written again, under the name of its keys, before the old one is deleted.
        """
        deleted = 0
        for path in self.files():
            table = read_table(path)
            named = (positions(table["test"], tests) >= 0) & (positions(table["cell"], cells) >= 0)
            if not named.any():
                continue
            deleted += int(named.sum())
            if not named.all():
                self.append(table.filter(pa.array(~named)))
            path.unlink()
        return deleted

    def clear_leftovers(self) -> None:
        """Delete temporary files of killed processes; the caller holds the lock."""
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)


def result_folder(home: Home, kind: str) -> Path:
    """Return the folder of all results or of all trades."""
    return home.mass_tests / kind


@contextmanager
def locked(home: Home, task: Task, log: logging.Logger) -> Iterator[None]:
    """Hold the lock of a symbol and interval; wait, with log lines, while another process holds it."""
    path = home.mass_tests / "locks" / f"{safe_name(task.symbol, 'symbol')}_{safe_name(task.interval)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    timeout = 0.0
    while not lock.is_locked:
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            log.info(f"{task.name}: waiting for another sweep that writes its results")
            timeout = _WAIT
    try:
        yield
    finally:
        lock.release()


@dataclass
class ResultBuffer:
    """Buffer of result rows: tests by position in the plan's variants, months by position in the task's cells."""

    plan: SweepPlan
    task: Task
    tests: Sequence[str]
    rows: int = 0
    _test: list[NDArray[np.int32]] = field(default_factory=list)
    _cell: list[NDArray[np.int32]] = field(default_factory=list)
    _metrics: list[NDArray[np.float64]] = field(default_factory=list)
    _gross: list[NDArray[np.float64]] = field(default_factory=list)
    _annualization: list[NDArray[np.float64]] = field(default_factory=list)
    _returns: list[NDArray[np.float32]] = field(default_factory=list)
    _days: list[NDArray[np.int64]] = field(default_factory=list)
    _errors: list[str | None] = field(default_factory=list)
    _times: list[datetime] = field(default_factory=list)

    def add(
        self, test: int, cells: NDArray[np.int64], found: WindowResults, annualization: NDArray[np.float64]
    ) -> None:
        """Add the results of one variant on ``cells``; ``annualization`` is the number of returns per year of each."""
        days = np.diff(found.offsets)
        self._take(test, cells, found.metrics, found.gross, annualization, found.returns, days, None)

    def add_failure(self, test: int, cells: NDArray[np.int64], error: str) -> None:
        """Add the error of one variant on ``cells``."""
        nothing = np.full((cells.size, len(METRICS)), np.nan)
        days = np.zeros(cells.size, np.int64)
        self._take(test, cells, nothing, nothing[:, :2], nothing[:, 0], np.empty(0), days, error)

    def _take(
        self,
        test: int,
        cells: NDArray[np.int64],
        metrics: NDArray[np.float64],
        gross: NDArray[np.float64],
        annualization: NDArray[np.float64],
        returns: NDArray[np.float64],
        days: NDArray[np.int64],
        error: str | None,
    ) -> None:
        self._test.append(np.full(cells.size, test, np.int32))
        self._cell.append(cells.astype(np.int32))
        self._metrics.append(metrics)
        self._gross.append(gross)
        self._annualization.append(annualization)
        self._returns.append(returns.astype(np.float32))
        self._days.append(days)
        self._errors += [error] * cells.size
        self._times += [datetime.now(UTC)] * cells.size
        self.rows += cells.size

    def table(self) -> pa.Table:
        """Return the rows as a table."""
        test, cell = np.concatenate(self._test), np.concatenate(self._cell)
        metrics, gross = np.concatenate(self._metrics), np.concatenate(self._gross)
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(self._days)))).astype(np.int32)
        columns = identity(self.plan, self.task, self.tests, test, cell)
        columns |= {
            "cash": _constant(pa.scalar(self.plan.spec.cash, pa.float64()), test.size),
            "annualization": _numbers(np.concatenate(self._annualization)),
            "tested_at": pa.array(self._times, pa.timestamp("us", "UTC")),
            "error": pa.array(self._errors, pa.string()),
            **{metric.name: _numbers(metrics[:, k], metric.integer) for k, metric in enumerate(METRICS)},
            "gross_profit": _numbers(gross[:, 0]),
            "gross_loss": _numbers(gross[:, 1]),
            "daily_returns": pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(self._returns))),
        }
        return pa.table([columns[name] for name in RESULT_SCHEMA.names], schema=RESULT_SCHEMA)


def identity(
    plan: SweepPlan, task: Task, tests: Sequence[str], test: NDArray[np.int32], cell: NDArray[np.int32]
) -> dict[str, Any]:
    """Return the identifying columns of tests: variant ``test[k]`` of the plan on cell ``cell[k]``."""
    spec, variants, cells = plan.spec, plan.spec.variants, task.cells

    def by(positions: NDArray[np.int32], values: Sequence[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(positions), pa.array(values, pa.string()))

    def everywhere(value: str) -> pa.DictionaryArray:
        return by(np.zeros(test.size, np.int32), [value])

    columns = {
        "cell": by(cell, [one.hash for one in cells]),
        "test": by(test, tests),
        "month": by(cell, [one.month for one in cells]),
        "symbol": everywhere(task.symbol),
        "interval": everywhere(task.interval),
        "strategy": by(test, [variant.strategy.name for variant in variants]),
        "parameters": by(test, [variant.parameters_json for variant in variants]),
        "options": by(test, [variant.options_json for variant in variants]),
        "data": by(cell, [one.data for one in cells]),
        "instrument": everywhere(task.instrument_hash),
        "costs": everywhere(canonical_json(task.costs.model_dump())),
        "roll_dates": by(cell, [one.roll_dates for one in cells]),
        "adjust": everywhere(spec.adjust),
        "roll_mode": everywhere(spec.roll_mode),
        "policy": everywhere(spec.policy),
        "fills": everywhere(spec.fills.label),
        "engine": everywhere(plan.engine),
    }
    parts = [columns[name].cast(pa.string()) for name in ("cell", "test")]
    return {"key": pc.binary_join_element_wise(*parts, _KEY), **columns}


def trades_table(identities: Mapping[str, Any], trades: Sequence[NDArray[np.void]]) -> pa.Table:
    """Return the rows of a trades file; ``trades[k]`` are the records of test k (``metrics.trade.TRADE``)."""
    offsets = np.concatenate(([0], np.cumsum([records.size for records in trades]))).astype(np.int32)
    joined = np.concatenate(trades)
    arrays = []
    for column in TRADE_TYPE:
        values = np.ascontiguousarray(joined[column.name])
        if column.name == "exit_reason":
            reasons = pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int32)), pa.array(EXIT_REASONS))
            arrays.append(reasons.cast(pa.string()))
        elif pa.types.is_floating(column.type):
            arrays.append(_numbers(values))
        else:
            arrays.append(pa.array(values).cast(column.type))
    nested = pa.StructArray.from_arrays(arrays, fields=list(TRADE_TYPE))
    columns = {**identities, "trades": pa.ListArray.from_arrays(pa.array(offsets), nested)}
    return pa.table([columns[name] for name in TRADES_SCHEMA.names], schema=TRADES_SCHEMA)


def positions(column: pa.ChunkedArray, known: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each value of a dictionary column in ``known``, -1 if absent."""
    place = {value: position for position, value in enumerate(known)}
    parts = [np.empty(0, np.int64)]
    for chunk in column.chunks:
        places = np.array([place.get(value, -1) for value in chunk.dictionary.to_pylist()], np.int64)
        parts.append(places[chunk.indices.to_numpy()] if places.size else np.empty(0, np.int64))
    return np.concatenate(parts)


def _numbers(values: NDArray[np.float64], integer: bool = False) -> pa.Array:
    """Return numbers as an array with null for non-finite values."""
    missing = ~np.isfinite(values)
    return pa.array(np.where(missing, 0, values).astype(np.int32 if integer else np.float64), mask=missing)


def _constant(value: pa.Scalar, size: int) -> pa.Array:
    return pa.repeat(value, size)
