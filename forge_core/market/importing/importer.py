"""Import of bars and funding rates from files of any format: all checked, then all stored in one transaction."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pandas as pd
import pyarrow as pa

from forge_core.errors import ConfigError, DataError
from forge_core.market.bars.funding import checked_rates
from forge_core.market.bars.model import empty_bars, normalize_bars
from forge_core.market.bars.timestamps import check_timezone, parse_timestamps
from forge_core.market.importing.bar_checker import BarChecker, check_spacing
from forge_core.market.importing.formats import Contents, Format, ReadOptions, get_format, recognize
from forge_core.market.importing.formats.names import FileName, name_of_file
from forge_core.market.importing.formats.source_file import SourceFile, open_source_file
from forge_core.market.importing.plausibility import trusted_checks
from forge_core.market.importing.staging import BarStaging, workspace
from forge_core.market.reference.instruments import Instrument, get_instrument, load_instruments
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from forge_core.market.store.upsert import UpsertReport
from forge_core.paths import Home

__all__ = [
    "SUFFIXES",
    "CheckedFile",
    "FileName",
    "ImportOptions",
    "ImportReport",
    "check_spacing",
    "identify",
    "import_files",
    "name_of_file",
    "read_bars_file",
    "read_for_store",
]

SUFFIXES = (".parquet", ".csv", ".zip", ".gz", ".json", ".feather")

_TIMES = ("timestamp", "date", "datetime", "time", "calc_time", "fundingtime", "funding_time")

_ENOUGH_TO_COMPARE, _MOST = (
    100,
    0.5,
)  # number of a file's bars that are in the store already; fraction of them that differs


@dataclass(frozen=True)
class ImportOptions(ReadOptions):
    """The user's options for files, which override what is detected.

    ``format``: name of the format. ``trust``: names of the checks to skip (``plausibility.CHECKS``; True: all).
    ``revise``: replace stored bars that differ, and keep them as revisions. Raises ConfigError for an unknown check.
    """

    timeframe: str | None = None
    format: str | None = None
    trust: bool | Collection[str] = False
    revise: bool = False

    def __post_init__(self) -> None:
        trusted_checks(self.trust)

    def trusts(self, check: str) -> bool:
        """Whether a check is skipped."""
        return check in trusted_checks(self.trust)


@dataclass(frozen=True)
class Identity:
    """Format, kind and symbol of a file, its timeframe unless only the spacing of its bars has it, and a description of
    how they were ``detected``."""

    format: str
    kind: Literal["bars", "funding"]
    symbol: str
    timeframe: str | None
    detected: str

    @property
    def subject(self) -> str:
        """Symbol, timeframe and kind for error messages."""
        return " ".join(part for part in (self.symbol, self.timeframe or "", self.kind * (self.kind != "bars")) if part)


@dataclass(frozen=True)
class ImportReport:
    """One imported file: numbers of ``rows``, of ``incomplete`` ones (a missing value, left out) and of ``unclosed``
    bars (left out), the store's report, what was ``detected`` from its content, and ``doubts`` about stored values."""

    path: Path
    rows: int
    incomplete: int
    stored: UpsertReport
    unclosed: int = 0
    detected: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """Text about the rows that were left out, to end a sentence; empty if none were."""
        incomplete = f", {self.incomplete} incomplete rows left out" if self.incomplete else ""
        return incomplete + (", the last bar left out, which has not closed yet" if self.unclosed else "")

    def __str__(self) -> str:
        return f"{self.path.name}: {self.stored}{self.left_out}"


@dataclass(frozen=True)
class CheckedFile:
    """A file with checked bars (or funding ``rates``); ``detected`` describes what its content shows."""

    path: Path
    symbol: str
    timeframe: str
    detected: str
    bars: pd.DataFrame
    rates: "pd.Series[float] | None" = None
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        index = self.bars.index if self.rates is None else self.rates.index
        rows = "bars" if self.rates is None else "rates"
        return f"{self.symbol} {self.timeframe}: {len(index)} {rows} from {index[0]} to {index[-1]}"


@dataclass(frozen=True)
class _Ready:
    """A checked file with its staged bars or its rates."""

    path: Path
    identity: Identity
    checker: BarChecker | None
    held: BarStaging | pd.Series

    def store(self, store: BarStore, *, revise: bool) -> ImportReport:
        symbol, origin = self.identity.symbol, _origin(self.path)
        if isinstance(self.held, pd.Series):
            stored = store.upsert_funding(symbol, self.held, source=origin, revise=revise)
            return ImportReport(self.path, len(self.held), 0, stored, detected=self.identity.detected)
        checker = self.checker
        assert checker is not None
        stored = store.upsert_file(symbol, str(checker.timeframe), self.held.path, source=origin, revise=revise)
        return ImportReport(
            self.path,
            checker.rows,
            checker.incomplete,
            stored,
            checker.unclosed,
            _description(self.identity, checker),
            tuple(checker.doubts),
        )


def import_files(
    paths: Sequence[Path | str],
    symbol: str | None = None,
    timeframe: str | None = None,
    home: Home | None = None,
    *,
    options: ImportOptions | None = None,
) -> list[ImportReport]:
    """Import files into the store: all are read and checked before the first row is stored, in one transaction.

    Format, symbol and timeframe are detected from each file's content and name unless ``symbol``, ``timeframe`` and
    ``options`` set them. Raises ConfigError if the user has to set one (an undetected or undeclared symbol, the time
    zone of tvDatafeed's times), and DataError for a file that cannot be read or whose bars are invalid, implausible or
    not ``timeframe`` apart. The store is then unchanged.
    """
    if not paths:
        raise ConfigError("no files to import: give one or more paths")
    options = _options(options, symbol, timeframe)
    home = home or Home.current()
    for path in paths:
        if not Path(path).is_file():  # before any work starts
            open_source_file(Path(path), home.root)
    with workspace(home) as folder:
        ready = []
        for number, path in enumerate(paths):
            ready.append(_check(Path(path), folder / str(number), options))
        with BarStore(home.store) as store, store.transaction():
            reports = [file.store(store, revise=options.revise) for file in ready]
            for report in reports:
                _check_agreement(report, options)
            return reports


def read_for_store(
    path: Path, symbol: str | None = None, timeframe: str | None = None, *, options: ImportOptions | None = None
) -> CheckedFile:
    """Read and check a file without storing it; raise the errors of ``import_files``."""
    with TemporaryDirectory() as folder:
        ready = _check(path, Path(folder), _options(options, symbol, timeframe))
        identity, held = ready.identity, ready.held
        if isinstance(held, pd.Series):
            return CheckedFile(path, identity.symbol, "funding", identity.detected, empty_bars(), held)
        assert ready.checker is not None
        label, doubts = str(ready.checker.timeframe), tuple(ready.checker.doubts)
        return CheckedFile(
            path, identity.symbol, label, _description(identity, ready.checker), held.read(), doubts=doubts
        )


def read_bars_file(path: Path, *, source: str = "", options: ReadOptions | None = None) -> pd.DataFrame:
    """Read a file of any format as bars in Forge's form (see ``normalize_bars``), not yet validated.

    Rows from new to old are reversed. Raises DataError (with ``source``, by default the path) for a missing file, a
    folder, an empty, damaged or unknown file, or one without the columns or values of bars.
    """
    source = source or str(path)
    options = options or ReadOptions()
    with TemporaryDirectory() as folder:
        file = open_source_file(path, Path(folder), source=source)
        known = recognize(file, source=source)
        zone = options.timezone or known.contents(file, options, source=source).timezone
        pieces = list(_normalized(known, file, options, zone, source))
    if not pieces:
        raise DataError(f"{source}: {path.name} has no rows")
    bars = pd.concat(pieces)
    if len(bars) > 1 and bars.index[0] > bars.index[-1] and bars.index.is_monotonic_decreasing:
        bars = bars[::-1]
    return bars


def identify(path: Path, options: ImportOptions | None = None) -> Identity:
    """Return the identity of a file from its content and name; raise ConfigError or DataError if it is unclear."""
    with _opened(path, options or ImportOptions()) as (_, _, _, identity):
        return identity


def _options(options: ImportOptions | None, symbol: str | None, timeframe: str | None) -> ImportOptions:
    options = options or ImportOptions()
    options = replace(options, symbol=symbol or options.symbol, timeframe=timeframe or options.timeframe)
    if options.symbol is not None:
        get_instrument(options.symbol)
    if options.timeframe is not None:
        Timeframe.parse(options.timeframe)
    if options.timezone is not None:
        check_timezone(options.timezone)
    if options.format is not None:
        get_format(options.format)
    return options


def _origin(path: Path) -> str:
    return f"file {path.name}"


@contextmanager
def _opened(
    path: Path, options: ImportOptions, folder: Path | None = None
) -> Iterator[tuple[SourceFile, Format, Contents, Identity]]:
    """Open a file and yield it with its format, contents and identity; unpacked members exist until the exit."""
    with TemporaryDirectory(dir=folder) as unpacked:
        file = open_source_file(path, Path(unpacked), source="" if not path.is_file() else path.name)
        known = recognize(file, source=path.name) if options.format is None else _forced(file, options.format)
        contents = known.contents(file, options, source=path.name)
        yield file, known, contents, _identity(path, known, contents, options)


def _forced(file: SourceFile, name: str) -> Format:
    known = get_format(name)
    if not known.recognizes(file):
        raise DataError(f"{file.path.name}: it is not in format {name} ({known.description}): leave out --format")
    return known


def _identity(path: Path, known: Format, contents: Contents, options: ImportOptions) -> Identity:
    symbol = options.symbol or contents.symbol
    if symbol is None:
        market = f" ({contents.market})" if contents.market else ""
        of = f"is of {contents.source_symbol}{market}, which is not a declared symbol"
        raise ConfigError(
            f"{path.name} {of if contents.source_symbol else 'has no symbol in its name or content'}: give one "
            "(--symbol BTCUSDT), or declare it in datasets/instruments.yaml"
        )
    instrument = get_instrument(symbol)
    if contents.kind == "funding" and instrument.kind != "perpetual":
        raise ConfigError(
            f"{path.name} has funding rates, and {symbol} is of kind {instrument.kind}: give a perpetual with --symbol"
        )
    other = (
        contents.market is not None and instrument.kind in ("spot", "perpetual") and instrument.kind != contents.market
    )
    if other and not options.trusts("market"):
        meant = _of_market(instrument, contents.market)
        way = f"use --symbol {meant}" if meant else f"declare a {contents.market} in datasets/instruments.yaml"
        raise ConfigError(
            f"{path.name} is of a {contents.market} market, and {symbol} is of kind {instrument.kind}: {way}, or store "
            f"it as {symbol} with --trust market"
        )
    if contents.in_rows and contents.symbol is not None and not options.trusts("symbol"):
        stated = get_instrument(contents.symbol)
        if stated.name_at_source != instrument.name_at_source:
            raise ConfigError(
                f"{path.name} is of {contents.symbol} according to its rows ({contents.source_symbol}), but --symbol "
                f"{symbol} is given: leave --symbol out to store it as {contents.symbol}, or store it as {symbol} with "
                "--trust symbol"
            )
    label = None
    if contents.kind == "bars" and (given := options.timeframe or contents.timeframe):
        label = Timeframe.parse(given).label
    origin = "as given" if options.symbol else "from the file"
    remarks = "".join(f"; {remark}" for remark in contents.remarks)
    return Identity(known.name, contents.kind, symbol, label, f"{known.name} format, {symbol} {origin}{remarks}")


def _of_market(instrument: Instrument, market: str | None) -> str | None:
    """Return the symbol of ``market`` with the same name at its source as ``instrument``."""
    others = (one for one in load_instruments().values() if one.kind == market)
    return next((one.symbol for one in others if one.name_at_source == instrument.name_at_source), None)


def _check_agreement(report: ImportReport, options: ImportOptions) -> None:
    """Raise DataError if most bars of a file differ from the stored bars of the same times."""
    stored = report.stored
    known = stored.conflicts + stored.unchanged
    if not options.trusts("agreement") and known >= _ENOUGH_TO_COMPARE and stored.conflicts > _MOST * known:
        raise DataError(
            f"{report.path.name}: {stored.conflicts} of the {known} stored bars of the same times have other values "
            f"({stored}): the file is of another symbol, market or time zone, and nothing was stored; if it is right, "
            "replace the stored bars with --revise, or add only missing bars with --trust agreement"
        )


def _description(identity: Identity, checker: BarChecker) -> str:
    return identity.detected + ("" if identity.timeframe else f"; {checker.timeframe} from the spacing of the bars")


def _check(path: Path, folder: Path, options: ImportOptions) -> _Ready:
    """Read and check a file, with its bars staged in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(path, options, folder) as (file, known, contents, identity):
        source = f"{identity.subject} in {path.name}"
        if identity.kind == "funding":
            return _Ready(path, identity, None, _read_rates(known, file, options, identity, source))
        instrument: Instrument = get_instrument(identity.symbol)
        timeframe = Timeframe.parse(identity.timeframe) if identity.timeframe else None
        checker = BarChecker(instrument, timeframe, source=source, trust=options.trust)
        with BarStaging(folder / "bars.parquet") as staging:
            for bars in _normalized(known, file, options, options.timezone or contents.timezone, source):
                checked = checker.check(bars)
                if len(checked):
                    staging.write(checked)
        checker.finish()
        pa.default_memory_pool().release_unused()  # return the reader's memory before the store needs it
        if not staging.rows:
            raise DataError(f"{source}: its only bar has not closed yet: import it later")
        return _Ready(path, identity, checker, staging)


def _normalized(
    known: Format, file: SourceFile, options: ReadOptions, timezone: str | None, source: str
) -> Iterator[pd.DataFrame]:
    """Yield the bars of a file in Forge's form, in its order."""
    rows = 0
    for chunk in known.read(file, options, source=source):
        yield normalize_bars(chunk, source=source, timezone=timezone, first_row=rows)
        rows += len(chunk)


def _read_rates(
    known: Format, file: SourceFile, options: ReadOptions, identity: Identity, source: str
) -> "pd.Series[float]":
    """Return the funding rates of a file, checked, oldest first."""
    pieces = []
    rows = 0
    for chunk in known.read(file, options, source=source):
        times = next((chunk[name] for name in chunk.columns if str(name).strip().lower() in _TIMES), None)
        if times is None:
            raise DataError(f"{source}: no column of times, got {', '.join(map(str, chunk.columns))}")
        index = parse_timestamps(times, source=source, timezone=options.timezone, first_row=rows)
        pieces.append(pd.Series(pd.to_numeric(chunk["rate"], errors="coerce").to_numpy(), index=index, dtype="float64"))
        rows += len(chunk)
    if not pieces:
        raise DataError(f"{source} has no rows")
    rates = pd.concat(pieces)
    if len(rates) > 1 and rates.index.is_monotonic_decreasing:
        rates = rates[::-1]
    return checked_rates(rates, symbol=identity.symbol)
