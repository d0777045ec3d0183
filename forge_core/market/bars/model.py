"""Bars: the form of a table of OHLCV rows, conversion of other tables, and validation.

Bars are a DataFrame indexed by the bar's open time (DatetimeIndex named ``timestamp``, UTC, microseconds), with the
float64 columns of ``BAR_COLUMNS``.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import DataError
from forge_core.files import content_hash
from forge_core.market.bars.gaps import find_gaps
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.bars.timestamps import parse_timestamps
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import trade_days
from forge_core.market.reference.timeframes import Timeframe

__all__ = [
    "BAR_COLUMNS",
    "MAX_NAN_SHARE",
    "MAX_VALUE",
    "MIN_ROWS",
    "bar_columns",
    "bars_hash",
    "drop_incomplete",
    "empty_bars",
    "find_gaps",
    "is_time_column",
    "normalize_bars",
    "resample_bars",
    "trade_days",
    "validate_bars",
]

BAR_COLUMNS = ("open", "high", "low", "close", "volume")
MIN_ROWS = 150  # of a dataset's execution bars, lead-in included
MAX_VALUE = 1e18  # of a price or volume; the largest real volumes, of coins worth a millionth of a cent, are 1e15
MAX_NAN_SHARE = 0.10  # of rows with a missing value

_PRICES = BAR_COLUMNS[:4]
_ALIASES = {  # the first one in a table is used
    "timestamp": ("timestamp", "open_time", "opentime", "datetime", "date", "time", "unix", "ts", "t", "unnamed:_0"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
}


class _Subject(NamedTuple):
    """Symbol and timeframe of bars, and the number of their first row in the file, for error messages."""

    symbol: str
    timeframe: Timeframe | str
    first_row: int = 0

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"


def empty_bars() -> pd.DataFrame:
    """Return bars with no rows."""
    index = pd.DatetimeIndex(np.empty(0, dtype="datetime64[us]"), tz="UTC", name="timestamp")
    return pd.DataFrame({name: np.empty(0) for name in BAR_COLUMNS}, index=index)


def normalize_bars(
    frame: pd.DataFrame, *, source: str, timezone: str | None = None, first_row: int = 0
) -> pd.DataFrame:
    """Convert any table of bars to Forge's form, rows in the given order; values may still be missing (NaN).

    Columns are recognized by common names in any case (``Date``, ``open_time``, ``o``, ``Volume`` ...); the time may
    also be the index; other columns are left out. Times without a zone are in ``timezone``, by default UTC. Raises
    DataError with ``source`` and the missing column, or the row (counted from ``first_row``) and value of the first
    invalid number or time.
    """
    labels = bar_columns(frame, source)
    if "timestamp" in labels:
        times: pd.Series[Any] | pd.Index[Any] = frame[labels["timestamp"]]
    elif isinstance(frame.index, pd.DatetimeIndex) or _plain(frame.index.name) in _ALIASES["timestamp"]:
        times = frame.index
    else:
        raise DataError(f"{source}: there is no time column among {_listed(frame)}; name it 'timestamp'")
    missing = [name for name in BAR_COLUMNS if name not in labels]
    if missing:
        hint = "; fill it with zeros if the market reports none" if missing == ["volume"] else ""
        raise DataError(f"{source}: column {missing[0]!r} is missing among {_listed(frame)}{hint}")
    index = parse_timestamps(times, source=source, timezone=timezone, first_row=first_row)
    values = {name: _numbers(frame[labels[name]], name, index, source, first_row) for name in BAR_COLUMNS}
    return pd.DataFrame(values, index=index)


def bar_columns(frame: pd.DataFrame, source: str) -> dict[str, Any]:
    """Return by field the label of each column of bars (and of ``timestamp``) in a table."""
    known: dict[str, list[Any]] = {}
    for label in frame.columns:
        known.setdefault(_plain(label), []).append(label)
    found: dict[str, Any] = {}
    for field, aliases in _ALIASES.items():
        alias = next((alias for alias in aliases if alias in known), None)
        if alias is None:
            continue
        if len(known[alias]) > 1:
            raise DataError(f"{source}: several columns could be {field!r}: {known[alias]}; keep one")
        found[field] = known[alias][0]
    if _plain(found.get("timestamp")) == "date" and "time" in known:
        raise DataError(f"{source}: date and time are two columns; join them into one named 'timestamp'")
    return found


def is_time_column(names: Iterable[object]) -> bool:
    """Whether one of the column ``names`` is a common name of the time."""
    return any(_plain(name) in _ALIASES["timestamp"] for name in names)


def drop_incomplete(bars: pd.DataFrame, *, symbol: str, timeframe: Timeframe | str) -> tuple[pd.DataFrame, int]:
    """Return ``bars`` without incomplete rows, and the number of these. They become gaps, which are never filled.

    Raises DataError if their fraction exceeds ``MAX_NAN_SHARE``.
    """
    missing = _missing_rows(bars, _Subject(symbol, timeframe))
    return (bars[~missing], int(missing.sum())) if missing.any() else (bars, 0)


def validate_bars(
    bars: pd.DataFrame,
    *,
    symbol: str,
    timeframe: Timeframe | str,
    instrument: Instrument | None,
    first_row: int = 0,
) -> None:
    """Raise DataError unless ``bars`` are valid; the message has symbol, timeframe, row (position, time) and value.

    Rows are counted from ``first_row``, for bars that are part of a larger table.

    Valid bars have Forge's form (see the module), at least one row, no missing or infinite value, strictly increasing
    times, ``high`` the highest and ``low`` the lowest price of its row, no negative volume, and prices above zero if
    the ``instrument`` (where one is given) demands it. Times need not be on a grid, since sessions are not.
    """
    subject = _Subject(symbol, timeframe, first_row)
    _check_form(bars, subject)
    missing = _missing_rows(bars, subject)
    if missing.any():
        row = int(missing.argmax())
        name = next(name for name in BAR_COLUMNS if np.isnan(bars[name].iloc[row]))
        _refuse(bars, subject, missing, f"{name} is missing (nan); leave such rows out")
    for name in BAR_COLUMNS:
        infinite = np.isinf(bars[name].to_numpy())
        if infinite.any():
            _refuse(bars, subject, infinite, f"{name} is {_value(bars, name, infinite)}, a finite number is expected")
    for name in BAR_COLUMNS:
        huge = np.abs(bars[name].to_numpy()) > MAX_VALUE
        if huge.any():
            _refuse(bars, subject, huge, f"{name} is {_value(bars, name, huge)}, beyond {MAX_VALUE:g}")
    _check_order(bars, subject)
    _check_prices(bars, subject, positive=instrument is not None and instrument.positive_prices)
    negative = bars["volume"].to_numpy() < 0
    if negative.any():
        _refuse(bars, subject, negative, f"volume is {_value(bars, 'volume', negative)}, below zero")


def bars_hash(bars: pd.DataFrame) -> str:
    """Return 16 hex digits that change if and only if a time or a value of ``bars`` does (0.0 and -0.0 are equal)."""
    times = pd.DatetimeIndex(bars.index).as_unit("us").asi8.astype("<i8").tobytes()
    return content_hash(times, *((bars[name].to_numpy() + 0.0).astype("<f8").tobytes() for name in BAR_COLUMNS))


def _plain(label: object) -> str:
    """Return a column label as ``_ALIASES`` write it."""
    return str(label).strip().strip("<>").lower().replace(" ", "_")


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(repr(str(label)) for label in frame.columns[:20]) or "no columns"


def _numbers(
    column: "pd.Series[Any]", name: str, index: pd.DatetimeIndex, source: str, first_row: int
) -> NDArray[np.float64]:
    """Return a column as float64; raise DataError for anything but a number or a missing value."""
    numbers = pd.to_numeric(column, errors="coerce")
    is_number = numbers.notna().to_numpy() & (numbers.dtype.kind in "iuf") & (column.dtype.kind not in "mM")
    wrong = column.notna().to_numpy() & ~is_number
    if wrong.any():
        row = int(wrong.argmax())
        got = f"{name} is {column.iloc[row]!r}, a number is expected{_more(wrong)}"
        raise DataError(f"{source}: row {first_row + row} ({index[row]}): {got}")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _check_form(bars: pd.DataFrame, subject: _Subject) -> None:
    index = bars.index
    absent = [name for name in BAR_COLUMNS if name not in bars.columns]
    if absent:
        raise DataError(f"{subject}: column {absent[0]!r} is missing among {_listed(bars)}")
    if not isinstance(index, pd.DatetimeIndex) or str(index.dtype) != "datetime64[us, UTC]":
        raise DataError(f"{subject}: the index is {index.dtype}, a DatetimeIndex in UTC microseconds is expected")
    for name in BAR_COLUMNS:
        if bars[name].dtype != np.float64:
            raise DataError(f"{subject}: column {name!r} is {bars[name].dtype}, float64 is expected")
    if bars.empty:
        raise DataError(f"{subject}: there are no bars")


def _missing_rows(bars: pd.DataFrame, subject: _Subject) -> NDArray[np.bool_]:
    missing = bars[list(BAR_COLUMNS)].isna().any(axis=1).to_numpy()
    if missing.sum() > MAX_NAN_SHARE * missing.size:
        share = f"{missing.mean():.1%} of the rows have missing values, at most {MAX_NAN_SHARE:.0%} are left out"
        _refuse(bars, subject, missing, f"a value is missing (nan); {share}")
    return missing


def _check_order(bars: pd.DataFrame, subject: _Subject) -> None:
    duplicate = bars.index.duplicated()
    if duplicate.any():
        _refuse(bars, subject, duplicate, "duplicate time of an earlier row")
    times = pd.DatetimeIndex(bars.index).asi8
    unsorted = np.concatenate(([False], times[1:] < times[:-1]))
    if unsorted.any():
        before = bars.index[int(unsorted.argmax()) - 1]
        _refuse(bars, subject, unsorted, f"the row before it is later ({before}); sort the bars by time")


def _check_prices(bars: pd.DataFrame, subject: _Subject, *, positive: bool) -> None:
    for extreme, sign in (("high", 1.0), ("low", -1.0)):
        for name in _PRICES:
            beyond = sign * bars[name].to_numpy() > sign * bars[extreme].to_numpy()
            if beyond.any():
                side = "below" if extreme == "high" else "above"
                values = f"{_value(bars, extreme, beyond)} is {side} {name} {_value(bars, name, beyond)}"
                _refuse(bars, subject, beyond, f"{extreme} {values}")
    if positive:
        for name in _PRICES:
            wrong = bars[name].to_numpy() <= 0
            if wrong.any():
                value = _value(bars, name, wrong)
                _refuse(bars, subject, wrong, f"{name} is {value}; prices of {subject.symbol} are above zero")


def _value(bars: pd.DataFrame, name: str, faulty: NDArray[np.bool_]) -> str:
    """Return the value of column ``name`` in the first faulty row."""
    return repr(float(bars[name].iloc[int(faulty.argmax())]))


def _more(faulty: NDArray[np.bool_]) -> str:
    return f" ({faulty.sum()} such rows of {faulty.size})" if faulty.sum() > 1 else ""


def _refuse(bars: pd.DataFrame, subject: _Subject, faulty: NDArray[np.bool_], fault: str) -> NoReturn:
    """Raise DataError about the first faulty row."""
    row = int(faulty.argmax())
    raise DataError(f"{subject}: row {subject.first_row + row} ({bars.index[row]}): {fault}{_more(faulty)}")
