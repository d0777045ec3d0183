"""Importing bars from Parquet and CSV files."""

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.errors import ConfigError, DataError
from forge_core.market.bars import drop_incomplete, normalize_bars, validate_bars
from forge_core.market.instruments import get_instrument
from forge_core.market.resampling import most_common_step
from forge_core.market.sessions import microseconds
from forge_core.market.store import BarStore, UpsertReport
from forge_core.market.timeframes import Timeframe
from forge_core.paths import Home

SUFFIXES = (".parquet", ".csv")

_NAME = re.compile(r"([A-Za-z0-9]+)[_-]([1-9]\d{0,3}[mhdw])(?:[_.-].*)?")
_KLINE_COLUMNS = ("open_time", "open", "high", "low", "close", "volume")  # what headerless files begin with


class FileName(NamedTuple):
    """What the name of a bars file tells."""

    symbol: str
    timeframe: str


@dataclass(frozen=True)
class ImportReport:
    """One imported file: the ``rows`` it has, the ``incomplete`` ones left out for a missing value, and the store's
    report."""

    path: Path
    rows: int
    incomplete: int
    stored: UpsertReport

    def __str__(self) -> str:
        left_out = f", {self.incomplete} incomplete rows left out" if self.incomplete else ""
        return f"{self.path.name}: {self.stored}{left_out}"


@dataclass(frozen=True)
class CheckedFile:
    """A file whose bars are checked and ready for the store."""

    path: Path
    symbol: str
    timeframe: str
    bars: pd.DataFrame
    incomplete: int

    @property
    def origin(self) -> str:
        """How the store names where the bars are from."""
        return f"file {self.path.name}"


def read_bars_file(path: Path, *, source: str = "") -> pd.DataFrame:
    """Read a Parquet or CSV file as bars in Forge's form (see ``normalize_bars``), not yet validated.

    CSV may be separated by commas, semicolons or tabs. Without a header, its columns are taken as open time, open,
    high, low, close, volume, which is how Binance writes its klines. Rows that run from new to old are turned round.
    Raises DataError (naming ``source``, by default the path) for a file that is missing, a folder, empty, damaged, of
    another type, or has not the columns or values of bars.
    """
    source = source or str(path)
    if path.is_dir():
        raise DataError(f"{source}: {path} is a folder; name the files in it")
    if not path.is_file():
        raise DataError(f"{source}: there is no file {path}")
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{source}: {path.name} is neither a .parquet nor a .csv file")
    if path.stat().st_size == 0:
        raise DataError(f"{source}: {path.name} is empty")
    frame = _read_parquet(path, source) if path.suffix.lower() == ".parquet" else _read_csv(path, source)
    if frame.empty:
        raise DataError(f"{source}: {path.name} has no rows")
    bars = normalize_bars(frame, source=source)
    if len(bars) > 1 and bars.index[0] > bars.index[-1] and bars.index.is_monotonic_decreasing:
        bars = bars[::-1]
    return bars


def import_files(
    paths: Sequence[Path | str], symbol: str | None = None, timeframe: str | None = None, home: Home | None = None
) -> list[ImportReport]:
    """Put the bars of files into the store. All files are read and checked before the first bar is stored.

    ``symbol`` and ``timeframe`` are taken from names such as ``BTCUSDT_15m.parquet`` where they are not given. Raises
    ConfigError for a symbol that is not declared, and DataError for a file that cannot be read, unsound bars (see
    ``validate_bars``), or bars that are not ``timeframe`` apart; the store is then unchanged.
    """
    if not paths:
        raise ConfigError("no files to import were named")
    files = [read_for_store(Path(path), symbol, timeframe) for path in paths]
    with BarStore((home or Home.current()).store) as store:
        return [
            ImportReport(
                file.path,
                len(file.bars) + file.incomplete,
                file.incomplete,
                store.upsert(file.symbol, file.timeframe, file.bars, source=file.origin),
            )
            for file in files
        ]


def read_for_store(path: Path, symbol: str | None = None, timeframe: str | None = None) -> CheckedFile:
    """Read a file and check that its bars can go into the store; raises as ``import_files`` does."""
    symbol, label = _identity(path, symbol, timeframe)
    instrument = get_instrument(symbol)
    bars = read_bars_file(path, source=f"{symbol} {label} in {path.name}" if path.is_file() else "")
    bars, incomplete = drop_incomplete(bars, symbol=symbol, timeframe=label)
    validate_bars(bars, symbol=symbol, timeframe=label, instrument=instrument)
    check_spacing(bars, symbol, label)
    return CheckedFile(path, symbol, label, bars, incomplete)


def check_spacing(bars: pd.DataFrame, symbol: str, timeframe: str) -> None:
    """Raise DataError unless the most common step from bar to bar is ``timeframe`` (one bar alone may be any)."""
    step = most_common_step(microseconds(bars.index))
    if step is not None and step != Timeframe.parse(timeframe).microseconds:
        row = int(np.flatnonzero(np.diff(microseconds(bars.index)) == step)[0])
        raise DataError(
            f"{symbol} {timeframe}: the bars are mostly {pd.Timedelta(step, unit='us')} apart (as row {row}, "
            f"{bars.index[row]}, and the next), not {timeframe}; name their timeframe"
        )


def name_of_file(path: Path) -> FileName | None:
    """Return what a name such as ``BTCUSDT_15m.parquet`` or ``BTCUSDT-15m-2023-01-21.csv`` tells, or None."""
    match = _NAME.fullmatch(path.stem)
    return FileName(*match.groups()) if match else None


def _identity(path: Path, symbol: str | None, timeframe: str | None) -> FileName:
    """Return symbol and timeframe, as given or as the file's name tells."""
    named = name_of_file(path)
    if named is None and (symbol is None or timeframe is None):
        raise ConfigError(
            f"{path.name} does not tell symbol and timeframe, as BTCUSDT_15m{path.suffix} would: "
            "name them (--symbol BTCUSDT --timeframe 15m)"
        )
    told = named or FileName("", "")
    return FileName(symbol or told.symbol, Timeframe.parse(timeframe or told.timeframe).label)


def _read_parquet(path: Path, source: str) -> pd.DataFrame:
    try:
        return pq.read_table(path, partitioning=None).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{source}: {path.name} cannot be read as Parquet ({error}); it may be cut short: fetch it again"
        ) from error


def _read_csv(path: Path, source: str) -> pd.DataFrame:
    options: dict[str, Any] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
        separator = max(",;\t", key=line.count)
        fields = next(csv.reader([line], delimiter=separator), [])
        if fields and all(_is_number(field) for field in fields):
            names = [*_KLINE_COLUMNS, *(f"column_{i}" for i in range(len(_KLINE_COLUMNS), len(fields)))]
            options = {"header": None, "names": names[: len(fields)]}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with more fields than the header
            return pd.read_csv(path, sep=separator, encoding="utf-8-sig", index_col=False, **options)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{source}: {path.name} has no rows") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError, OSError, csv.Error) as error:
        raise DataError(f"{source}: {path.name} cannot be read as CSV ({error})") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
