"""Roll dates: the times at which the continuous series of a dated future changes to the next contract.

Two files of the same form are read: the project's ``datasets/roll_dates.yaml``, and the imported ``roll_dates.yaml``
of the home folder, which takes precedence for its symbols. The form is a list of times by symbol, each with its UTC
offset, and ``_symbol_mappings`` for symbols that roll with another (micros with the full-size contract)::

    ZS: ["2024-02-15T01:00:00Z", "2024-04-17T00:00:00Z"]
    _symbol_mappings: {MZS: ZS}

Times without an offset are ambiguous: ``read_roll_file`` refuses them unless the caller declares them as local times of
a zone or as trade dates.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
import yaml

from forge_core.configuration import Location, line_of, parse_yaml
from forge_core.errors import ConfigError, DataError, suggest, unknown
from forge_core.files import check_signed_text, write_signed_text
from forge_core.market.reference.instruments import Session, get_instrument, load_instruments
from forge_core.market.reference.sessions import sessions_between
from forge_core.paths import Home, project_root, safe_name
from forge_core.yaml_limits import read_text_file

MAPPINGS = "_symbol_mappings"
_OLDER_NAME = "switch_dates.yaml"
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class RollDates:
    """Roll times by symbol (UTC, ascending, unique), the symbols that roll with another, and the origin of each.

    An empty list of times declares a series without jumps (one contract, or adjusted prices).
    """

    times: Mapping[str, pd.DatetimeIndex]
    mappings: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()  # symbols of the file that were not read

    def root(self, symbol: str) -> str:
        """Return the symbol whose roll times apply to ``symbol``: itself, or the one it is mapped to."""
        return symbol if symbol in self.times else self.mappings.get(symbol, symbol)

    def of(self, symbol: str) -> pd.DatetimeIndex:
        """Return the roll times of ``symbol``; raise DataError with the command that imports them if there are none."""
        root = self.root(symbol)
        if root not in self.times:
            raise DataError(
                f"there are no roll dates of {symbol}: its continuous prices jump where the contract "
                "changes, and the jump would count as profit or loss; import them with `forge roll-dates import "
                "FILE` (an empty list says that the series does not jump)"
            )
        return self.times[root]

    def origin(self, symbol: str) -> str:
        """Return the file of the roll times of ``symbol``."""
        return self.origins.get(self.root(symbol), "")


def load_roll_dates(home: Home | None = None) -> RollDates:
    """Read the project's roll dates and the imported ones; raise ConfigError with file and line for a fault."""
    times: dict[str, pd.DatetimeIndex] = {}
    mappings: dict[str, str] = {}
    origins: dict[str, str] = {}
    for path in (project_root() / "datasets" / "roll_dates.yaml", _imported(home or Home.current())):
        if path.is_file():
            found = read_roll_file(path)
            times |= found.times
            mappings |= found.mappings
            origins |= found.origins
    return RollDates(times, mappings, origins)


def read_roll_file(
    path: Path, *, timezone: str | None = None, trade_dates: bool = False, symbols: Collection[str] | None = None
) -> RollDates:
    """Read a file of roll dates, optionally only those of ``symbols``.

    Times without an offset need ``timezone`` (their zone, such as ``Europe/Warsaw``) or ``trade_dates`` (only the date
    counts: the first trade date on the new contract, which begins when the instrument's session opens, usually on the
    evening before). Raises ConfigError with file, line and value for anything but lists of times by symbol, and if both
    are given.
    """
    if timezone is not None and trade_dates:
        raise ConfigError("a time without an offset is either of a time zone or a trade date: give one of the two")
    if timezone is not None and timezone not in available_timezones():
        raise ConfigError(f"{timezone!r} is not a time zone{suggest(timezone, available_timezones())}")
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    text = read_text_file(path)
    check_signed_text(path, text)
    value, lines = parse_yaml(text, str(path))
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a list of times by symbol is expected, got {value!r}")
    reader = _Reader(str(path), lines, timezone, trade_dates)
    mappings = reader.mappings(value.pop(MAPPINGS, None) or {})
    wanted = {str(symbol): stamps for symbol, stamps in value.items() if symbols is None or symbol in symbols}
    times = {symbol: reader.times(symbol, stamps) for symbol, stamps in wanted.items()}
    left_out = tuple(str(symbol) for symbol in value if str(symbol) not in times)
    return RollDates(times, mappings, dict.fromkeys(times, str(path)), left_out)


def import_roll_dates(
    path: Path,
    *,
    timezone: str | None = None,
    trade_dates: bool = False,
    symbols: Iterable[str] | None = None,
    home: Home | None = None,
) -> RollDates:
    """Import the roll dates of a file into the home folder, whole or not at all; return the imported ones.

    Imports ``symbols``, or all that ``datasets/instruments.yaml`` declares; dates imported before are replaced. Times
    are stored in UTC. Raises the errors of ``read_roll_file``, and ConfigError for a requested symbol that the file
    does not have.
    """
    target = (home or Home.current()).roll_dates
    wanted = list(load_instruments()) if symbols is None else list(symbols)
    found = read_roll_file(path, timezone=timezone, trade_dates=trade_dates, symbols=wanted)
    for symbol in wanted if symbols is not None else ():
        if symbol not in found.times:
            raise ConfigError(f"{path}: {unknown('symbol', symbol, [*found.times, *found.left_out])}")
    if not found.times:
        raise ConfigError(
            f"{path} has roll dates of {', '.join(found.left_out)}, but none of these symbols is declared"
        )
    existing = _imported(home or Home.current())
    before = read_roll_file(existing) if existing.is_file() else RollDates({})
    mappings = {micro: big for micro, big in found.mappings.items() if big in found.times}
    text = roll_text(
        {**before.times, **found.times},
        {**before.mappings, **mappings},
        "Contract roll times (UTC), imported with `forge roll-dates import`.",
    )
    write_signed_text(target, text)
    return replace(found, mappings=mappings)


def _imported(home: Home) -> Path:
    """Return the file of imported roll dates, which has another name in homes of older versions."""
    older = home.root / _OLDER_NAME
    return older if older.is_file() and not home.roll_dates.is_file() else home.roll_dates


def roll_text(times: Mapping[str, pd.DatetimeIndex], mappings: Mapping[str, str], comment: str) -> str:
    """Return a file of roll dates as YAML, times in UTC."""
    parts = [f"# {line}".rstrip() for line in comment.splitlines()]
    for symbol in sorted(times):
        stamps = times[symbol].tz_convert("UTC")
        parts.append(f"{_quoted(symbol)}:" + ("" if len(stamps) else " []"))
        parts += [f'  - "{stamp:%Y-%m-%dT%H:%M:%SZ}"' for stamp in stamps]
    if mappings:
        parts += [f"{MAPPINGS}:", *(f"  {_quoted(micro)}: {_quoted(big)}" for micro, big in sorted(mappings.items()))]
    return "\n".join(parts) + "\n"


def _quoted(symbol: str) -> str:
    """Quote text that YAML would read as another type, such as ``1E5`` or ``NO`` (but not ``6E``)."""
    return symbol if yaml.safe_load(symbol) == symbol else f'"{symbol}"'


def trade_date_opens(dates: Iterable[date], session: Session) -> pd.DatetimeIndex:
    """Return the opening of the session of each trade date, UTC; other dates are moved to the next trade date.

    A date with several sessions (Monday: those of Friday, Saturday and Sunday evening) opens with the last of them.
    """
    days = np.array([np.datetime64(d, "D").astype(np.int64) for d in dates], np.int64)
    if days.size == 0:
        return pd.DatetimeIndex([], tz="UTC").as_unit("us")
    known = sessions_between(int(days.min()) * _DAY, int(days.max()) * _DAY, session)
    day = known.day[np.searchsorted(known.day, days, side="left")]
    last = np.searchsorted(known.day, day, side="right") - 1
    return pd.DatetimeIndex(known.opens[last].astype("datetime64[us]"), tz="UTC")


class _Reader:
    """Reads the parts of one file; every error has its line."""

    def __init__(self, source: str, lines: dict[Location, int], timezone: str | None, trade_dates: bool) -> None:
        self.source = source
        self.lines = lines
        self.zone = None if timezone is None else ZoneInfo(timezone)
        self.trade_dates = trade_dates

    def fail(self, location: Location, message: str) -> ConfigError:
        line = line_of(self.lines, location)
        return ConfigError(f"{self.source}{f':{line}' if line else ''}: {message}")

    def mappings(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict):
            raise self.fail((MAPPINGS,), f"{MAPPINGS} maps symbols to symbols, got {value!r}")
        return {str(micro): str(big) for micro, big in value.items()}

    def times(self, symbol: str, stamps: Any) -> pd.DatetimeIndex:
        try:
            safe_name(symbol, "symbol")
        except ConfigError as error:
            raise self.fail((symbol,), str(error)) from None
        if stamps is None:
            stamps = []
        if not isinstance(stamps, list):
            raise self.fail((symbol,), f"{symbol}: a list of times is expected, got {stamps!r}")
        moments = [self.moment(symbol, index, stamp) for index, stamp in enumerate(stamps)]
        times = [pd.Timestamp(moment).tz_convert("UTC") for moment in moments if moment.tzinfo is not None]
        dates = [moment.date() for moment in moments if moment.tzinfo is None]
        if dates:
            times += list(trade_date_opens(dates, self.session(symbol)))
        return pd.DatetimeIndex(times, tz="UTC").as_unit("us").unique().sort_values()

    def moment(self, symbol: str, index: int, stamp: Any) -> datetime:
        """Return an aware time, or for trade dates a naive one."""
        moment = stamp
        if isinstance(stamp, str):
            try:
                moment = datetime.fromisoformat(stamp)
            except ValueError:
                moment = None
        elif isinstance(stamp, date) and not isinstance(stamp, datetime):
            moment = datetime(stamp.year, stamp.month, stamp.day)
        if not isinstance(moment, datetime):
            raise self.fail((symbol, index), f"{symbol}: {stamp!r} is no time of the form 2024-02-15T01:00:00Z")
        if moment.tzinfo is not None or self.trade_dates:
            return moment
        if self.zone is None:
            raise self.fail(
                (symbol, index),
                f"{symbol}: {stamp!s} has no UTC offset, so it may mean many moments; say whose wall clock it is "
                "(--timezone Europe/Warsaw) or that only its date counts (--trade-dates)",
            )
        return moment.replace(tzinfo=self.zone)

    def session(self, symbol: str) -> Session:
        """Return the session of a symbol."""
        if symbol not in load_instruments():
            raise self.fail(
                (symbol,),
                f"{symbol} is not declared in datasets/instruments.yaml, so when its trade dates begin is unknown",
            )
        return get_instrument(symbol).session
