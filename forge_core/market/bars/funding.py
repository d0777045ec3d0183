"""Funding rates of perpetuals: validation, holes, hash and storage format."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa

from forge_core.errors import DataError
from forge_core.files import content_hash

FUNDING_FILE = "funding.parquet"  # in the folder of a dataset version
MAX_INTERVAL = pd.Timedelta(hours=8)  # between two payments; some contracts pay every four hours, or every hour
_MAX_RATE = 0.05  # of notional; exchanges cap it at 0.75 to 4 %
_JITTER = pd.Timedelta(minutes=1)


def checked_rates(rates: pd.Series, *, symbol: str) -> pd.Series:
    """Return validated funding rates, stamped to the minute of payment (exchanges stamp milliseconds later).

    ``rates`` are fractions of notional, paid by longs, by UTC time. Raises DataError if there are none, if the times
    are not ascending or have no zone, or if a rate is not a number or beyond 5 % (a rate in percent or basis points).
    """
    subject = f"{symbol} funding"
    index = rates.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise DataError(f"{subject}: the index is {index.dtype}, a DatetimeIndex in UTC is expected")
    if rates.empty:
        raise DataError(f"{subject}: there are no rates")
    values = rates.to_numpy(np.float64)
    wrong = ~(np.abs(values) <= _MAX_RATE)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{subject}: row {row} ({index[row]}): the rate is {float(values[row])!r}; a fraction is expected, "
            f"as 0.0001 for a hundredth of a percent, and none beyond {_MAX_RATE}"
        )
    minutes = index.tz_convert("UTC").as_unit("us").floor("min").rename("timestamp")
    falling = np.flatnonzero(np.diff(minutes.asi8) <= 0)
    if falling.size:
        row = int(falling[0]) + 1
        raise DataError(f"{subject}: row {row} ({index[row]}) is not later than the row before it ({index[row - 1]})")
    return pd.Series(values, index=minutes, name="rate")


def funding_holes(rates: pd.Series, start: pd.Timestamp, end: pd.Timestamp) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the periods of [start, end) longer than ``MAX_INTERVAL`` without a payment, oldest first.

    A period runs from the payment before it (or ``start``) to the payment after it (or ``end``).
    """
    inside = pd.DatetimeIndex(rates.index)
    moments = [start, *inside[(inside > start) & (inside < end)], end]
    limit = MAX_INTERVAL + _JITTER
    return [(a, b) for a, b in pairwise(moments) if b - a > limit]


def funding_hash(rates: "pd.Series[float]") -> str:
    """Return 16 hex digits that change if and only if a time or a rate does."""
    times = pd.DatetimeIndex(rates.index).as_unit("us").asi8.astype("<i8").tobytes()
    return content_hash(times, (rates.to_numpy(np.float64) + 0.0).astype("<f8").tobytes())


def funding_table(rates: "pd.Series[float]") -> pa.Table:
    """Return the rates as an Arrow table for storage."""
    times = pa.array(pd.DatetimeIndex(rates.index).as_unit("us").asi8, type=pa.timestamp("us", tz="UTC"))
    return pa.table({"timestamp": times, "rate": rates.to_numpy(np.float64)})


def to_rates(table: pa.Table) -> "pd.Series[float]":
    """Return the rates of a table made by ``funding_table``."""
    times = table["timestamp"].cast(pa.int64()).to_numpy().astype("datetime64[us]")
    index = pd.DatetimeIndex(times, tz="UTC", name="timestamp")
    return pd.Series(table["rate"].to_numpy(), index=index, name="rate")
