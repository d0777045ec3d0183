"""Where bars come from without being asked for: the sample that is installed with Forge, and the import folder."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd

from forge_core.errors import DataError, unknown
from forge_core.market.bars import normalize_bars, validate_bars
from forge_core.market.importer import SUFFIXES, name_of_file, read_for_store
from forge_core.market.instruments import Instrument
from forge_core.market.store import BarStore, UpsertReport
from forge_core.market.timeframes import Timeframe
from forge_core.paths import Home

Log = Callable[[str], None]


class Fetched(NamedTuple):
    """Bars, validated, and where exactly they are from."""

    bars: pd.DataFrame
    origin: str


class Source(Protocol):
    """Whatever can be asked for the bars of a symbol."""

    def timeframes(self, symbol: str) -> list[str]:
        """Return the timeframes it has bars of, finest first."""
        ...

    def fetch(self, instrument: Instrument, timeframe: str) -> Fetched:
        """Return all bars it has, or raise DataError."""
        ...


class SampleSource:
    """Daily bars of the S&P 500 and the NASDAQ Composite, 1999-2018, that the package ``arch`` carries.

    Prices are as traded (open, high, low, close), not adjusted; each bar is stamped 00:00 UTC of its trade date.
    """

    modules: Mapping[str, str] = {"SP500": "arch.data.sp500", "NASDAQ": "arch.data.nasdaq"}

    def timeframes(self, symbol: str) -> list[str]:
        """Return ``["1d"]`` for the symbols of the sample."""
        return ["1d"] if symbol in self.modules else []

    def fetch(self, instrument: Instrument, timeframe: str) -> Fetched:
        """Return the daily bars of ``SP500`` or ``NASDAQ``."""
        if timeframe not in self.timeframes(instrument.symbol):
            have = [f"{symbol} 1d" for symbol in self.modules]
            raise DataError(unknown("bars of the sample:", f"{instrument.symbol} {timeframe}", have))
        module = self.modules[instrument.symbol]
        origin = f"{module} of arch {version('arch')}"
        bars = normalize_bars(import_module(module).load(), source=origin)
        validate_bars(bars, symbol=instrument.symbol, timeframe=timeframe, instrument=instrument)
        return Fetched(bars, origin)


class FilesSource:
    """Parquet and CSV files named ``SYMBOL_TIMEFRAME.parquet`` or ``.csv`` in the import folder of a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _files(self, symbol: str) -> dict[str, Path]:
        """Return the symbol's files by timeframe, finest first."""
        found: dict[str, Path] = {}
        paths = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        for path in paths:
            named = name_of_file(path)
            if path.suffix.lower() in SUFFIXES and named and named.symbol == symbol:
                if named.timeframe in found:
                    raise DataError(f"{found[named.timeframe]} and {path.name} hold the same bars; keep one of them")
                found[named.timeframe] = path
        return dict(sorted(found.items(), key=lambda item: Timeframe.parse(item[0])))

    def timeframes(self, symbol: str) -> list[str]:
        """Return the timeframes there are files of."""
        return list(self._files(symbol))

    def fetch(self, instrument: Instrument, timeframe: str) -> Fetched:
        """Read and check the file of a symbol and timeframe."""
        files = self._files(instrument.symbol)
        if timeframe not in files:
            raise DataError(f"there is no {instrument.symbol}_{timeframe}{SUFFIXES[0]} in {self.folder}")
        checked = read_for_store(files[timeframe], instrument.symbol, timeframe)
        return Fetched(checked.bars, checked.origin)


_SOURCES: Mapping[str, Callable[[Home], Source]] = {
    "sample": lambda home: SampleSource(),
    "files": lambda home: FilesSource(home.imports),
}


def pull_bars(
    instrument: Instrument,
    store: BarStore,
    home: Home,
    *,
    timeframes: Iterable[str] | None = None,
    log: Log | None = None,
) -> list[UpsertReport]:
    """Put what the symbol's source has (of ``timeframes``, by default of all it has) into the store.

    A source that Forge cannot ask (``binance``: its bars are imported) has nothing. Raises DataError for unsound bars.
    """
    if instrument.source not in _SOURCES:
        return []
    source = _SOURCES[instrument.source](home)
    offered = source.timeframes(instrument.symbol)
    reports = []
    for label in offered if timeframes is None else [label for label in offered if label in set(timeframes)]:
        fetched = source.fetch(instrument, label)
        reports.append(store.upsert(instrument.symbol, label, fetched.bars, source=fetched.origin))
        if log:
            log(f"{reports[-1]} (from {fetched.origin})")
    return reports


def how_to_get(instrument: Instrument, timeframe: str, home: Home) -> str:
    """Return what the user can do to get bars that the store and the symbol's source lack."""
    command = f"forge import FILE --symbol {instrument.symbol} --timeframe {timeframe}"
    if instrument.source == "files":
        return f"put {instrument.symbol}_{timeframe}{SUFFIXES[0]} (or .csv) into {home.imports} or run `{command}`"
    return f"import them with `{command}`"
