"""The store: one DuckDB file of raw bars, open in one process at a time."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forge_core.errors import DataError
from forge_core.market.bars.funding import checked_rates
from forge_core.market.bars.model import BAR_COLUMNS, validate_bars
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.upsert import BARS, FUNDING, Table, UpsertReport, merge_incoming
from forge_core.paths import safe_name

_COLUMNS = ", ".join(BAR_COLUMNS)
_SCHEMA = f"""
{BARS.schema}
{FUNDING.schema}
CREATE TABLE IF NOT EXISTS ingested_files ( -- the files that a source's bars came in, so that none is requested twice
    symbol VARCHAR NOT NULL,
    series VARCHAR NOT NULL, -- a timeframe, or 'funding'
    source VARCHAR NOT NULL,
    part VARCHAR NOT NULL,
    checksum VARCHAR NOT NULL, -- '' where the source has no such file
    PRIMARY KEY (symbol, series, source, part)
)
"""
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",  # DuckDB's memory limit; beyond it DuckDB spills to disk
    "threads": 2,
}
_RETRY = 0.1  # seconds
_FULL = ("No space left", "File too large", "Disk quota", "not enough space")  # system messages of a full disk


class BarStore:
    """The bars of all symbols in one DuckDB file, open within a ``with`` block.

    DuckDB allows one process per file. If another process has it open, opening waits up to ``wait`` seconds and then
    raises DataError; so does a file that is damaged or not a database.
    """

    def __init__(self, path: Path, *, wait: float = 5.0) -> None:
        self.path = path
        self._wait = wait
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._in_transaction = False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection, for queries of other programs; raises DataError outside ``with``."""
        if self._connection is None:
            raise DataError(f"{self.path} is not open: use the store inside `with`")
        return self._connection

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait
        while True:
            try:
                self._connection = duckdb.connect(str(self.path), config=_SETTINGS)
                self._connection.execute("SET enable_progress_bar = false")
                self._rename_old_table()
                self._connection.execute(_SCHEMA)
                return self
            except duckdb.Error as error:
                self.close()
                if not _held_elsewhere(error):
                    raise self._damaged(error) from error
                if time.monotonic() >= deadline:
                    raise DataError(
                        f"{self.path} is in use by another process, which is still so after {self._wait:g} s: wait for "
                        f"it to finish, or close the program that has it open ({error})"
                    ) from error
            time.sleep(_RETRY)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, so that another process can open it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the upserts of the block in one transaction: all are stored, or none."""
        with self._connected() as connection:
            if self._in_transaction:
                yield
                return
            connection.begin()
            self._in_transaction = True
            try:
                yield
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # DuckDB has ended the transaction already after some errors
                    connection.rollback()
                raise
            finally:
                self._in_transaction = False

    def upsert(
        self, symbol: str, timeframe: str, bars: pd.DataFrame, *, source: str, revise: bool = False
    ) -> UpsertReport:
        """Add missing bars, all or none; ``source`` is their origin.

        Stored bars stay as they are: they count as unchanged if the values agree (to 1e-9, relative), else as
        conflicts. With ``revise`` conflicting bars are replaced, and the former values are kept in the table
        ``revisions``. Raises DataError for invalid bars.
        """
        label = Timeframe.parse(timeframe).label
        validate_bars(bars, symbol=symbol, timeframe=label, instrument=None)
        times = pd.DatetimeIndex(bars.index).tz_localize(None).to_numpy()
        incoming = pa.table({"timestamp": times, **{name: bars[name].to_numpy() for name in BAR_COLUMNS}})
        return self._merge(BARS, {"symbol": symbol, "timeframe": label}, incoming, source, revise)

    def upsert_file(
        self, symbol: str, timeframe: str, path: Path, *, source: str, revise: bool = False
    ) -> UpsertReport:
        """Do as ``upsert`` with the bars of a Parquet file (timestamp and ``BAR_COLUMNS``) that were checked before."""
        key = {"symbol": symbol, "timeframe": Timeframe.parse(timeframe).label}
        return self._merge(BARS, key, path, source, revise)

    def upsert_funding(self, symbol: str, rates: pd.Series, *, source: str, revise: bool = False) -> UpsertReport:
        """Add missing funding rates, as ``upsert`` does bars.

        ``rates`` are fractions of notional, paid by longs, by the time they are paid (UTC). Raises DataError if the
        times do not increase or a rate is not finite.
        """
        rates = checked_rates(rates, symbol=symbol)
        times = pd.DatetimeIndex(rates.index).tz_localize(None).to_numpy()
        incoming = pa.table({"timestamp": times, "rate": rates.to_numpy(np.float64)})
        return self._merge(FUNDING, {"symbol": symbol}, incoming, source, revise)

    def funding(self, symbol: str, start: datetime | None = None, end: datetime | None = None) -> pd.Series:
        """Return the funding rates paid in [start, end), oldest first, as a Series named ``rate``; it may be empty."""
        where, parameters = _selection({"symbol": symbol}, start, end)
        query = f"SELECT timestamp, rate FROM funding WHERE {where} ORDER BY timestamp"
        with self._connected() as connection:
            columns = connection.execute(query, parameters).fetchnumpy()
        return pd.Series(np.asarray(columns["rate"], dtype=np.float64), index=_index(columns["timestamp"]), name="rate")

    def funding_sources(self, symbol: str, start: datetime | None = None, end: datetime | None = None) -> list[str]:
        """Return the sources of the funding rates paid in [start, end)."""
        where, parameters = _selection({"symbol": symbol}, start, end)
        return self._distinct_sources(f"funding WHERE {where}", parameters)

    def revisions(self, symbol: str | None = None) -> pd.DataFrame:
        """Return replaced bars, oldest first: former values, and source and time (UTC) of the replacement."""
        where, parameters = ("symbol = $symbol", {"symbol": symbol}) if symbol else ("true", {})
        with self._connected() as connection:
            query = f"SELECT * FROM {BARS.revisions} WHERE {where} ORDER BY replaced_at, symbol, timeframe, timestamp"
            return connection.execute(query, parameters).fetchdf()

    def read(
        self,
        symbol: str,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return the bars that open in [start, end), oldest first; only the newest ``limit``, if given.

        The table may be empty. A ``start`` or ``end`` without a zone is UTC.
        """
        where, parameters = _selection(_series(symbol, timeframe), start, end)
        newest = f"ORDER BY timestamp DESC LIMIT {int(limit)}" if limit is not None else ""
        query = f"SELECT * FROM (SELECT timestamp, {_COLUMNS} FROM bars WHERE {where} {newest}) ORDER BY timestamp"
        with self._connected() as connection:
            columns = connection.execute(query, parameters).fetchnumpy()
        values = {name: np.asarray(columns[name], dtype=np.float64) for name in BAR_COLUMNS}
        return pd.DataFrame(values, index=_index(columns["timestamp"]))

    def sources(
        self, symbol: str, timeframe: str, start: datetime | None = None, end: datetime | None = None
    ) -> list[str]:
        """Return the sources of the bars that open in [start, end)."""
        where, parameters = _selection(_series(symbol, timeframe), start, end)
        return self._distinct_sources(f"bars WHERE {where}", parameters)

    def _distinct_sources(self, rows: str, parameters: dict[str, object]) -> list[str]:
        with self._connected() as connection:
            found = connection.execute(f"SELECT DISTINCT source FROM {rows} ORDER BY source", parameters).fetchall()
        return [source for (source,) in found]

    def span(self, symbol: str, timeframe: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """Return the open times of the first and last bar, or None if the store has none."""
        where, parameters = _selection(_series(symbol, timeframe), None, None)
        query = f"SELECT min(timestamp), max(timestamp) FROM bars WHERE {where}"
        with self._connected() as connection:
            first, last = connection.execute(query, parameters).fetchall()[0]
        return None if first is None else (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))

    def open_times(self, symbol: str, timeframe: str, start: datetime, end: datetime) -> NDArray[np.int64]:
        """Return the open times of the bars in [start, end), in microseconds, ascending."""
        where, parameters = _selection(_series(symbol, timeframe), start, end)
        query = f"SELECT epoch_us(timestamp) AS time FROM bars WHERE {where} ORDER BY timestamp"
        with self._connected() as connection:
            return np.asarray(connection.execute(query, parameters).fetchnumpy()["time"], dtype=np.int64)

    def ingested_files(self, symbol: str, series: str, source: str) -> dict[str, str]:
        """Return the parts (files) ingested from ``source`` and their checksums, '' for a part it does not have.

        ``series`` is a timeframe or ``funding``.
        """
        query = "SELECT part, checksum FROM ingested_files WHERE symbol = ? AND series = ? AND source = ?"
        with self._connected() as connection:
            return dict(connection.execute(query, [symbol, series, source]).fetchall())

    def record_ingested(self, symbol: str, series: str, source: str, parts: Mapping[str, str]) -> None:
        """Record parts that ``ingested_files`` returns; call it once their rows are stored."""
        if not parts:
            return
        rows = [(symbol, series, source, part, checksum) for part, checksum in parts.items()]
        with self.transaction(), self._connected() as connection:
            connection.executemany("INSERT OR REPLACE INTO ingested_files VALUES (?, ?, ?, ?, ?)", rows)

    def coverage(self) -> pd.DataFrame:
        """Return a row per symbol and timeframe: symbol, timeframe, bars, first, last (open times), sources."""
        query = (
            "SELECT symbol, timeframe, count(*), min(timestamp), max(timestamp), "
            "string_agg(DISTINCT source, ', ' ORDER BY source) FROM bars GROUP BY symbol, timeframe"
        )
        with self._connected() as connection:
            rows = connection.execute(query).fetchall()
        rows.sort(key=lambda row: (row[0], Timeframe.parse(row[1])))
        table = pd.DataFrame(rows, columns=["symbol", "timeframe", "bars", "first", "last", "sources"])
        for column in ("first", "last"):
            table[column] = pd.to_datetime(table[column], utc=True)
        return table

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield the open connection; convert DuckDB's errors to DataError."""
        if self._connection is None:
            raise DataError(f"{self.path} is not open: use it inside `with BarStore(path) as store:`")
        try:
            yield self._connection
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _rename_old_table(self) -> None:
        """Rename the table of ingested files in a store written before 0.2."""
        with self._connected() as connection:
            tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            if "taken" in tables and "ingested_files" not in tables:
                connection.execute("ALTER TABLE taken RENAME TO ingested_files")

    def _damaged(self, error: duckdb.Error) -> DataError:
        if any(sign in str(error) for sign in _FULL):
            return DataError(
                f"the disk of {self.path} is full ({error}): nothing of this import was stored; free disk space, or "
                "move the data with FORGE_HOME, and run it again"
            )
        return DataError(
            f"{self.path} cannot be used as a store ({error}); if it is damaged, move it away and import the bars again"
        )

    def _merge(
        self, table: Table, key: dict[str, str], incoming: pa.Table | Path, source: str, revise: bool
    ) -> UpsertReport:
        safe_name(key["symbol"], "symbol")
        with self.transaction(), self._connected() as connection:
            if isinstance(incoming, Path):
                relation = connection.read_parquet(str(incoming))
                relation.create_view("incoming", replace=True)
            else:
                connection.register("incoming", incoming)
            try:
                return merge_incoming(connection, table, key, source, revise=revise)
            finally:
                with suppress(duckdb.Error):
                    connection.execute("DROP VIEW IF EXISTS incoming")


def _series(symbol: str, timeframe: str) -> dict[str, str]:
    return {"symbol": symbol, "timeframe": Timeframe.parse(timeframe).label}


def _index(times: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.asarray(times, dtype="datetime64[us]"), tz="UTC", name="timestamp")


def _selection(series: dict[str, str], start: datetime | None, end: datetime | None) -> tuple[str, dict[str, object]]:
    """Return the WHERE clause of a read and its parameters."""
    where = " AND ".join(f"{name} = ${name}" for name in series)
    parameters: dict[str, object] = dict(series)
    for name, comparison, moment in (("start", ">=", start), ("end", "<", end)):
        if moment is not None:
            time_ = pd.Timestamp(moment)
            utc = time_ if time_.tzinfo is None else time_.tz_convert("UTC").tz_localize(None)
            where += f" AND timestamp {comparison} ${name}"
            parameters[name] = utc.to_pydatetime()
    return where, parameters


def _held_elsewhere(error: duckdb.Error) -> bool:
    """Whether an error means that another process has the file open (messages of POSIX and Windows)."""
    text = str(error)
    return "Could not set lock" in text or "being used by another process" in text
