"""The store: one DuckDB file of raw bars. One process at a time holds it, for as short as it can."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forge_core.errors import DataError
from forge_core.market.bars import BAR_COLUMNS, validate_bars
from forge_core.market.timeframes import Timeframe
from forge_core.paths import safe_name

_COLUMNS = ", ".join(BAR_COLUMNS)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bars (
    symbol VARCHAR NOT NULL,
    timeframe VARCHAR NOT NULL,
    timestamp TIMESTAMP NOT NULL, -- open time, UTC
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (symbol, timeframe, timestamp)
);
CREATE TABLE IF NOT EXISTS taken ( -- the files that a source's bars came in, so that none is asked for twice
    symbol VARCHAR NOT NULL,
    series VARCHAR NOT NULL, -- a timeframe, or 'funding'
    source VARCHAR NOT NULL,
    part VARCHAR NOT NULL,
    checksum VARCHAR NOT NULL, -- '' where the source has no such file
    PRIMARY KEY (symbol, series, source, part)
)
"""
# Two downloads of one bar agree in its prices, but volumes are sums and may differ in the last digits.
_DIFFERS = " OR ".join(f"abs(b.{c} - o.{c}) > 1e-9 * greatest(abs(b.{c}), abs(o.{c}))" for c in BAR_COLUMNS)
_STORED = "(SELECT * FROM bars WHERE symbol = $symbol AND timeframe = $timeframe)"
_EXAMPLES = 5
_RETRY = 0.1  # seconds


@dataclass(frozen=True)
class Conflict:
    """A bar that the store has with other values than were offered (open, high, low, close, volume)."""

    timestamp: pd.Timestamp
    stored: tuple[float, ...]
    offered: tuple[float, ...]


@dataclass(frozen=True)
class UpsertReport:
    """What became of the bars offered to the store, in bars; ``examples`` holds the first few conflicts."""

    symbol: str
    timeframe: str
    inserted: int
    unchanged: int
    conflicts: int
    examples: tuple[Conflict, ...] = ()

    def __str__(self) -> str:
        text = f"{self.symbol} {self.timeframe}: {self.inserted} bars added, {self.unchanged} known already"
        if self.conflicts:
            first = self.examples[0]
            text += (
                f", {self.conflicts} differ from the stored ones, which stay (first at {first.timestamp}: "
                f"stored {first.stored}, offered {first.offered})"
            )
        return text


class BarStore:
    """The bars of all symbols in one DuckDB file, opened for the length of a ``with`` block.

    DuckDB lets one process hold a file. If another does, opening waits up to ``wait`` seconds and then raises
    DataError; a file that is no database, or is damaged, raises DataError too.
    """

    def __init__(self, path: Path, *, wait: float = 5.0) -> None:
        self.path = path
        self._wait = wait
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait
        while True:
            try:
                self._connection = duckdb.connect(str(self.path))
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
        """Let go of the file, so that another process can have it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def upsert(self, symbol: str, timeframe: str, bars: pd.DataFrame, *, source: str) -> UpsertReport:
        """Add the bars that the store lacks, all or none; ``source`` says where they are from.

        A bar that the store has already stays as it is: it counts as unchanged where the values agree (to 1e-9,
        relative) and as a conflict where they do not. Raises DataError if the bars are not sound.
        """
        label = Timeframe.parse(timeframe).label
        validate_bars(bars, symbol=symbol, timeframe=label, instrument=None)
        key = {"symbol": safe_name(symbol, "symbol"), "timeframe": label}
        with self._transaction(bars) as connection:
            matched = f"FROM offered o JOIN {_STORED} b USING (timestamp)"
            known, conflicts = connection.execute(
                f"SELECT count(*), count(*) FILTER (WHERE {_DIFFERS}) {matched}", key
            ).fetchall()[0]
            examples: tuple[Conflict, ...] = ()
            if conflicts:
                sides = ", ".join(f"{side}.{column}" for side in "bo" for column in BAR_COLUMNS)
                rows = connection.execute(
                    f"SELECT timestamp, {sides} {matched} WHERE {_DIFFERS} ORDER BY timestamp LIMIT {_EXAMPLES}", key
                ).fetchall()
                examples = tuple(Conflict(pd.Timestamp(row[0], tz="UTC"), row[1:6], row[6:]) for row in rows)
            if known < len(bars):
                connection.execute(
                    f"INSERT INTO bars SELECT $symbol, $timeframe, timestamp, {_COLUMNS}, $source "
                    f"FROM offered o ANTI JOIN {_STORED} b USING (timestamp) ORDER BY timestamp",
                    {**key, "source": source},
                )
        return UpsertReport(symbol, label, len(bars) - known, known - conflicts, conflicts, examples)

    def read(
        self,
        symbol: str,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return the bars that open in [start, end), oldest first; of these the newest ``limit``, if given.

        Where the store has none, the table is empty. A ``start`` or ``end`` without a zone is UTC.
        """
        where, parameters = _selection(symbol, timeframe, start, end)
        newest = f"ORDER BY timestamp DESC LIMIT {int(limit)}" if limit is not None else ""
        query = f"SELECT * FROM (SELECT timestamp, {_COLUMNS} FROM bars WHERE {where} {newest}) ORDER BY timestamp"
        with self._connected() as connection:
            columns = connection.execute(query, parameters).fetchnumpy()
        index = pd.DatetimeIndex(np.asarray(columns["timestamp"], dtype="datetime64[us]"), tz="UTC", name="timestamp")
        return pd.DataFrame({name: np.asarray(columns[name], dtype=np.float64) for name in BAR_COLUMNS}, index=index)

    def sources(
        self, symbol: str, timeframe: str, start: datetime | None = None, end: datetime | None = None
    ) -> list[str]:
        """Return where the bars that open in [start, end) are from."""
        where, parameters = _selection(symbol, timeframe, start, end)
        query = f"SELECT DISTINCT source FROM bars WHERE {where} ORDER BY source"
        with self._connected() as connection:
            return [source for (source,) in connection.execute(query, parameters).fetchall()]

    def span(self, symbol: str, timeframe: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """Return the open times of the first and last bar, or None if the store has none."""
        where, parameters = _selection(symbol, timeframe, None, None)
        query = f"SELECT min(timestamp), max(timestamp) FROM bars WHERE {where}"
        with self._connected() as connection:
            first, last = connection.execute(query, parameters).fetchall()[0]
        return None if first is None else (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))

    def open_times(self, symbol: str, timeframe: str, start: datetime, end: datetime) -> NDArray[np.int64]:
        """Return the open times in [start, end) of the bars there are, in microseconds, ascending."""
        where, parameters = _selection(symbol, timeframe, start, end)
        query = f"SELECT epoch_us(timestamp) AS time FROM bars WHERE {where} ORDER BY timestamp"
        with self._connected() as connection:
            return np.asarray(connection.execute(query, parameters).fetchnumpy()["time"], dtype=np.int64)

    def taken(self, symbol: str, series: str, source: str) -> dict[str, str]:
        """Return the parts (files) taken from ``source`` so far and their checksums, '' for a part it does not have.

        ``series`` is a timeframe or ``funding``.
        """
        query = "SELECT part, checksum FROM taken WHERE symbol = ? AND series = ? AND source = ?"
        with self._connected() as connection:
            return dict(connection.execute(query, [symbol, series, source]).fetchall())

    def note_taken(self, symbol: str, series: str, source: str, parts: Mapping[str, str]) -> None:
        """Note what ``taken`` returns; called once what was in the parts is stored."""
        if not parts:
            return
        rows = [(symbol, series, source, part, checksum) for part, checksum in parts.items()]
        with self._connected() as connection:
            connection.begin()
            connection.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?, ?)", rows)
            connection.commit()

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
        """Lend the open connection; what DuckDB cannot do with the file becomes a DataError."""
        if self._connection is None:
            raise DataError(f"{self.path} is not open: use it inside `with BarStore(path) as store:`")
        try:
            yield self._connection
        except duckdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: duckdb.Error) -> DataError:
        return DataError(
            f"{self.path} cannot be used as a store ({error}); if it is damaged, move it away and import the bars again"
        )

    @contextmanager
    def _transaction(self, bars: pd.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run the block in one transaction that sees ``bars`` as the table ``offered``."""
        times = pd.DatetimeIndex(bars.index).tz_localize(None).to_numpy()
        table = pa.table({"timestamp": times, **{name: bars[name].to_numpy() for name in BAR_COLUMNS}})
        with self._connected() as connection:
            connection.register("offered", table)
            connection.begin()
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            else:
                connection.commit()
            finally:
                connection.unregister("offered")


def _selection(
    symbol: str, timeframe: str, start: datetime | None, end: datetime | None
) -> tuple[str, dict[str, object]]:
    """Return the WHERE clause of a read and its parameters."""
    where = "symbol = $symbol AND timeframe = $timeframe"
    parameters: dict[str, object] = {"symbol": symbol, "timeframe": Timeframe.parse(timeframe).label}
    for name, comparison, moment in (("start", ">=", start), ("end", "<", end)):
        if moment is not None:
            time_ = pd.Timestamp(moment)
            utc = time_ if time_.tzinfo is None else time_.tz_convert("UTC").tz_localize(None)
            where += f" AND timestamp {comparison} ${name}"
            parameters[name] = utc.to_pydatetime()
    return where, parameters


def _held_elsewhere(error: duckdb.Error) -> bool:
    """Whether the file could not be opened because another process has it (worded so on POSIX, and on Windows)."""
    text = str(error)
    return "Could not set lock" in text or "being used by another process" in text
