"""Trading sessions: their openings, and the trade dates of bars."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.market.reference.instruments import Session

Integers = NDArray[np.int64]
DAY = 86_400_000_000  # microseconds
_SATURDAY, _SUNDAY = 5, 6


class Sessions(NamedTuple):
    """Consecutive sessions, oldest first: their openings (microseconds, UTC) and trade dates.

    ``day`` is in days since 1970-01-01 and never decreases: the evenings of Friday, Saturday and Sunday all open
    Monday's trade date.
    """

    opens: Integers
    day: Integers


def weekday(day: Integers) -> Integers:
    """Return 0 (Monday) to 6 (Sunday) for each of ``day`` (days since 1970-01-01, a Thursday)."""
    return (day + 3) % 7


def sessions_between(first: int, last: int, session: Session) -> Sessions:
    """Return every session from at least a week before ``first`` to a week after ``last`` (microseconds, UTC).

    Openings follow the local time of the session's zone: an opening in the hour skipped by daylight saving is moved
    right after it, an ambiguous one is the first of the two.
    """
    local = pd.DatetimeIndex(np.array([first, last], dtype="datetime64[us]"), tz="UTC").tz_convert(session.timezone)
    dates = pd.date_range(
        local[0].tz_localize(None).normalize() - pd.Timedelta(days=8),
        local[1].tz_localize(None).normalize() + pd.Timedelta(days=8),
        unit="us",
    )
    clock = pd.Timedelta(f"{session.opens}:00")
    wall = dates + clock
    opens = wall.tz_localize(session.timezone, ambiguous=np.ones(len(wall), dtype=bool), nonexistent="shift_forward")
    day = dates.asi8 // DAY
    if clock >= pd.Timedelta(hours=12):
        day = day + 1
        day = day + np.select([weekday(day) == _SATURDAY, weekday(day) == _SUNDAY], [2, 1], 0)
    return Sessions(opens.tz_convert("UTC").as_unit("us").asi8, day.astype(np.int64))


def microseconds(index: "pd.Index[Any]") -> Integers:
    """Return the times of a UTC DatetimeIndex in microseconds since 1970-01-01."""
    return np.asarray(pd.DatetimeIndex(index).as_unit("us").asi8, dtype=np.int64)


def trade_days(index: "pd.Index[Any]", session: Session) -> Integers:
    """Return the trade date of each bar of a sorted UTC index, in days since 1970-01-01; never decreasing.

    A bar belongs to the session at its open time; a session that opens in the evening (at or after 12:00 of
    its zone) belongs to the next weekday, so that a future's Sunday evening counts to Monday.
    """
    times = microseconds(index)
    if times.size == 0:
        return np.empty(0, dtype=np.int64)
    sessions = sessions_between(int(times[0]), int(times[-1]), session)
    return sessions.day[np.searchsorted(sessions.opens, times, side="right") - 1]
