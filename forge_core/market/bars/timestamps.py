"""Parsing of bar times (epoch numbers, ISO text, pandas times) to UTC microseconds."""

import re
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import ConfigError, DataError, suggest

# The unit of an epoch number follows from its magnitude: each band is 1973 to 5138 in its own unit.
_SECONDS_BELOW, _MILLISECONDS_BELOW, _MICROSECONDS_BELOW, _NANOSECONDS_BELOW = 1e11, 1e14, 1e17, 9e18
_FARTHEST_SECONDS = 253_000_000_000  # the year 9987; microseconds of it fit into 64 bits
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_FIRST_PLAUSIBLE_EPOCH = 1e8  # 1973-03-03 in seconds; below lie 20210101 and row numbers
_ZONED = re.compile(r"(?:Z|UTC|[+-]\d{2}:?\d{2})$")
_EXPECTED = "write times as 2024-01-31T12:00:00Z or as seconds, milliseconds, microseconds or nanoseconds since 1970"


def parse_timestamps(
    values: "pd.Series[Any] | pd.Index[Any]", *, source: str, timezone: str | None = None, first_row: int = 0
) -> pd.DatetimeIndex:
    """Return ``values`` as a DatetimeIndex named ``timestamp`` in UTC microseconds, in the order given.

    Accepts pandas times, ISO 8601 text and dates, with or without a zone (without: local times of ``timezone``, by
    default UTC), and epoch numbers, whose unit (s, ms, us, ns) follows from the magnitude of each number, so that a
    file may change its unit. Raises DataError with ``source``, the row (counted from ``first_row``) and the value of
    the first invalid time, and for local times that do not exist in ``timezone`` or remain ambiguous.
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        index = pd.DatetimeIndex(values)
    elif pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        index, timezone = _from_epoch(pd.Series(values).to_numpy(), source, first_row), None
    else:
        index = _from_text(pd.Series(values).reset_index(drop=True), source, timezone, first_row)
    if index.hasnans:
        _refuse(source, first_row + int(np.flatnonzero(index.isna())[0]), "nothing")
    beyond = np.flatnonzero(np.abs(index.asi8) > _FARTHEST_SECONDS * _PER_SECOND[index.unit])
    if beyond.size:
        row = int(beyond[0])
        _refuse(source, first_row + row, f"{index.asi8[row]} {_UNITS[index.unit]} from 1970, beyond the year 9999")
    index = _on_clock(index, timezone or "UTC", source) if index.tz is None else index.tz_convert("UTC")
    if index.hasnans:
        _refuse(source, first_row + int(np.flatnonzero(index.isna())[0]), "nothing")
    return index.as_unit("us").rename("timestamp")


def check_timezone(name: str) -> str:
    """Return the name of a time zone; raise ConfigError with the nearest known one if it is unknown."""
    if name not in available_timezones():
        raise ConfigError(
            f"{name!r} is not a time zone{suggest(name, available_timezones())}; write Europe/Warsaw, UTC"
        )
    return name


def _on_clock(index: pd.DatetimeIndex, timezone: str, source: str) -> pd.DatetimeIndex:
    """Convert local times of a zone to UTC."""
    if timezone == "UTC":
        return index.tz_localize("UTC")
    try:
        return index.tz_localize(timezone, ambiguous="infer", nonexistent="raise").tz_convert("UTC")
    except (ValueError, KeyError) as error:  # times that do not exist, or ambiguous times that occur once
        raise DataError(
            f"{source}: these times are not all on the clock of {timezone}, where the clock is set forward and back "
            f"({error}); name another --timezone, or leave such rows out"
        ) from error


def _from_text(values: "pd.Series[Any]", source: str, timezone: str | None, first_row: int) -> pd.DatetimeIndex:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return _from_epoch(numbers.to_numpy(), source, first_row)
    texts = values.map(lambda value: value.removesuffix(" UTC") if isinstance(value, str) else value)
    if timezone is not None and not texts.astype(str).str.contains(_ZONED).any():
        times = pd.to_datetime(texts, format="ISO8601", errors="coerce")
    else:
        times = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    missing = np.flatnonzero(times.isna())
    if missing.size:
        row = int(missing[0])
        _refuse(source, first_row + row, "nothing" if pd.isna(values.iloc[row]) else repr(values.iloc[row]))
    return pd.DatetimeIndex(times)


def _from_epoch(numbers: NDArray[Any], source: str, first_row: int) -> pd.DatetimeIndex:
    if numbers.dtype.kind != "i":
        numbers = numbers.astype(np.float64)
        unreadable = np.flatnonzero(~(np.abs(numbers) < _NANOSECONDS_BELOW))
        if unreadable.size:
            _refuse(source, first_row + int(unreadable[0]), repr(float(numbers[unreadable[0]])))
    magnitude = np.abs(numbers.astype(np.float64))
    if magnitude.size and magnitude.max() < _FIRST_PLAUSIBLE_EPOCH:
        row = int(magnitude.argmax())
        _refuse(source, first_row + row, f"{numbers[row]!s}, too small for a time since 1970")
    seconds, milliseconds = magnitude < _SECONDS_BELOW, magnitude < _MILLISECONDS_BELOW
    multiply = np.where(seconds, 1_000_000, np.where(milliseconds, 1_000, 1))
    divide = np.where(magnitude < _MICROSECONDS_BELOW, 1, 1_000)
    if numbers.dtype.kind == "i":
        microseconds = numbers.astype(np.int64) * multiply // divide
    else:
        microseconds = np.rint(numbers * multiply / divide).astype(np.int64)
    return pd.DatetimeIndex(microseconds.astype("datetime64[us]"))


def _refuse(source: str, row: int, got: str) -> None:
    raise DataError(f"{source}: row {row}: the time is {got}; {_EXPECTED}")
