"""Bars of a sweep: read from the store once, and written to files for its workers."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from forge_core.errors import DataError
from forge_core.feeds.feed import Floats, sum_funding
from forge_core.files import content_hash, read_table, write_table
from forge_core.market.bars.model import BAR_COLUMNS, bars_hash, resample_bars, validate_bars
from forge_core.market.datasets.versions import bars_table
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home, safe_name

_FUNDING = "funding"
_KEPT = 3  # files per series; older ones are needed only by running sweeps that were planned with them


@dataclass(frozen=True, eq=False)
class Series:
    """All bars of one symbol and interval, with the ``funding`` of a perpetual (see ``Feed``) if known."""

    symbol: str
    interval: str
    bars: pd.DataFrame
    funding: Floats | None = None

    @cached_property
    def hash(self) -> str:
        """Hash of the values."""
        return content_hash(bars_hash(self.bars), b"" if self.funding is None else self.funding.tobytes())

    def path(self, home: Home) -> Path:
        """Return the path of the file."""
        return series_path(self.symbol, self.interval, self.hash, home)


@dataclass(frozen=True, eq=False)
class SeriesVersion:
    """A series as the indicator bank reads it (``features.bank.bank.BarsVersion``): one timeframe, prices as traded."""

    series: Series
    instrument: Instrument

    @property
    def name(self) -> str:
        """Symbol and interval."""
        return f"{self.series.symbol} {self.series.interval}"

    @cached_property
    def content_hash(self) -> str:
        """Hash of symbol, interval and bars."""
        return content_hash(self.series.symbol, self.series.interval, bars_hash(self.series.bars))

    @property
    def timeframes(self) -> list[str]:
        """The interval alone."""
        return [self.series.interval]

    @property
    def references(self) -> dict[str, int]:
        """Other symbols for features: none."""
        return {}

    def reference_bars(self, symbol: str, timeframe: str) -> pd.DataFrame:
        """Raise DataError: a mass test has the bars of one symbol."""
        raise DataError(f"a mass test has no {timeframe} bars of {symbol}")

    @property
    def adjustment(self) -> None:
        """None: features see the prices as they are traded."""
        return

    def bars(self, timeframe: str) -> pd.DataFrame:
        """Return the bars; raises DataError for another timeframe than the interval."""
        if timeframe != self.series.interval:
            raise DataError(f"{self.name} has no {timeframe} bars; use {self.series.interval}")
        return self.series.bars


def series_path(symbol: str, interval: str, series_hash: str, home: Home) -> Path:
    """Return the file of a series."""
    folder = home.mass_tests / "series" / safe_name(symbol, "symbol") / safe_name(interval, "interval")
    return folder / f"{safe_name(series_hash, 'series hash')}.parquet"


def stored_intervals(store: BarStore, symbol: str) -> list[str]:
    """Return the intervals with stored bars of ``symbol``, finest first."""
    coverage = store.coverage()
    return list(coverage.loc[coverage["symbol"] == symbol, "timeframe"])


def read_series(store: BarStore, instrument: Instrument, interval: str) -> tuple[Series, str] | None:
    """Return the bars of one interval and their origin: stored, or resampled from the coarsest finer interval.

    None if the store has neither. Raises DataError for bars that are invalid for the instrument.
    """
    symbol = instrument.symbol
    bars, origin = store.read(symbol, interval), "store"
    if bars.empty:
        wanted = Timeframe.parse(interval).microseconds
        finer = [Timeframe.parse(label) for label in stored_intervals(store, symbol)]
        finer = [t for t in finer if t.microseconds < wanted and wanted % t.microseconds == 0]
        if not finer:
            return None
        joined = store.read(symbol, finer[-1].label)
        bars = resample_bars(joined, Timeframe.parse(interval), session=instrument.session)
        origin = f"joined from {finer[-1]}"
        if bars.empty:
            return None
    validate_bars(bars, symbol=symbol, timeframe=interval, instrument=instrument)
    return Series(symbol, interval, bars, _funding(store, instrument, interval, bars)), origin


def _funding(store: BarStore, instrument: Instrument, interval: str, bars: pd.DataFrame) -> Floats | None:
    if instrument.kind != "perpetual":
        return None
    rates = store.funding(instrument.symbol)
    try:
        times, stamps = microseconds(bars.index), microseconds(rates.index)
        return sum_funding(times, Timeframe.parse(interval).microseconds, stamps, rates.to_numpy(np.float64))
    except DataError:
        return None  # each test then fails with this error


def write_series(series: Series, home: Home) -> None:
    """Write a series atomically, unless the file exists; delete old files of the series."""
    path = series.path(home)
    if path.is_file():
        return
    table = bars_table(series.bars)
    if series.funding is not None:
        table = table.append_column(_FUNDING, pa.array(series.funding))
    write_table(path, table)
    for old in sorted(path.parent.glob("*.parquet"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)


def load_series(symbol: str, interval: str, series_hash: str, home: Home) -> Series:
    """Read a series; raise DataError if it is missing, damaged or changed."""
    path = series_path(symbol, interval, series_hash, home)
    try:
        table = read_table(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run the sweep again to write it from the store") from None
    index = pd.DatetimeIndex(table["timestamp"].cast(pa.int64()).to_numpy().astype("datetime64[us]"), tz="UTC")
    bars = pd.DataFrame({name: table[name].to_numpy() for name in BAR_COLUMNS}, index=index.rename("timestamp"))
    funding = table[_FUNDING].to_numpy() if _FUNDING in table.column_names else None
    series = Series(symbol, interval, bars, funding)
    if series.hash != series_hash:
        raise DataError(f"{path} does not match its hash: delete it and run the sweep again")
    return series
