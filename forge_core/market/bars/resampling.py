"""Resampling of bars to a coarser timeframe, in buckets that follow the instrument's session."""

import numpy as np
import pandas as pd

from forge_core.errors import DataError
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.sessions import DAY, Integers, microseconds, sessions_between
from forge_core.market.reference.timeframes import Timeframe

_WEEK = 7 * DAY
_FIRST_MONDAY = 4  # 1970-01-05 in days since 1970-01-01


def most_common_step(times: Integers) -> int | None:
    """Return the most common spacing of sorted ``times`` (the smallest of equals), or None for fewer than two."""
    if times.size < 2:
        return None
    steps, counts = np.unique(np.diff(times), return_counts=True)
    return int(steps[counts.argmax()])


def resample_bars(bars: pd.DataFrame, timeframe: Timeframe, *, session: Session) -> pd.DataFrame:
    """Return ``bars`` joined into bars of the coarser ``timeframe``: first open, highest high, lowest low, last close,
    summed volume.

    A bucket's timestamp is its open time. Intraday buckets are counted from the session's opening, the last one of a
    session ending with it; a day is a trade date, a week the trade dates Monday to Sunday. Where a bucket's last bar
    closes later than the timeframe's nominal length after its open time (a day of 25 hours, bars that overlap the
    session's end), the bucket is stamped that much later, so that it is never visible before it has closed. A first
    bucket that starts before the bars do, and a last one that ends after them, are incomplete and omitted; a bucket
    with a hole in the middle is kept if it has any bar.

    Raises DataError if the length of the bars is unknown (fewer than two) or does not divide ``timeframe``.
    """
    if bars.empty:
        return bars.copy()
    times = microseconds(bars.index)
    step = most_common_step(times)
    if step is None:
        raise DataError(f"one bar cannot be resampled to {timeframe}: its length is unknown, give two or more")
    length = timeframe.microseconds
    if length <= step or length % step:
        raise DataError(
            f"bars {pd.Timedelta(step, unit='us')} apart cannot be joined into bars of {timeframe}: "
            "the coarser timeframe must be a multiple of the finer"
        )
    begin, end = _buckets(times, length, session)
    first = np.flatnonzero(np.concatenate(([True], np.diff(begin) != 0)))
    last = np.append(first[1:], times.size) - 1
    stamps = np.maximum(begin[first], times[last] + step - length)
    columns = {name: bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    joined = pd.DataFrame(
        {
            "open": columns["open"][first],
            "high": np.maximum.reduceat(columns["high"], first),
            "low": np.minimum.reduceat(columns["low"], first),
            "close": columns["close"][last],
            "volume": np.add.reduceat(columns["volume"], first),
        },
        index=pd.DatetimeIndex(stamps.astype("datetime64[us]"), tz="UTC", name="timestamp"),
    )
    complete = np.ones(first.size, dtype=bool)
    complete[0] = times[0] <= begin[0]
    complete[-1] &= times[-1] + step >= end[-1]
    return joined[complete]


def _buckets(times: Integers, length: int, session: Session) -> tuple[Integers, Integers]:
    """Return the open time and the end of the bucket of each of ``times``."""
    sessions = sessions_between(int(times[0]) - length, int(times[-1]) + length, session)
    holding = np.searchsorted(sessions.opens, times, side="right") - 1
    if length < DAY:
        opens, closes = sessions.opens[holding], sessions.opens[holding + 1]
        begin = opens + (times - opens) // length * length
        return begin, np.minimum(begin + length, closes)
    if length % _WEEK == 0:
        group = (sessions.day - _FIRST_MONDAY) // (length // DAY)
    else:
        group = sessions.day // (length // DAY)
    changes = np.flatnonzero(np.diff(group)) + 1  # the first session of each group
    # A trade date may have several sessions (Monday: those of Friday, Saturday and Sunday evening); it trades from
    # the last of them on, so that is its open time.
    main = np.searchsorted(sessions.day, sessions.day[changes], side="right") - 1
    bucket = np.searchsorted(sessions.opens[changes], times, side="right") - 1
    return sessions.opens[main][bucket], sessions.opens[changes[bucket + 1]]
