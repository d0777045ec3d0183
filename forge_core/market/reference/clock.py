"""Wall clock and trading session at the close of bars."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.market.reference.exchange_calendar import trading_sessions
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.sessions import DAY, Integers, sessions_between, weekday

Floats = NDArray[np.float64]

MINUTE = 60_000_000  # microseconds
LONGEST_SESSION = 1500  # minutes: a day on which daylight saving ends
_MARGIN_DAYS = 31  # of an exchange's sessions before and after the bars


class WallClock(NamedTuple):
    """Local time of each of some moments, from just after 00:00 to 24:00: midnight belongs to the day that ends.

    ``date`` is in days since 1970-01-01, ``time`` in microseconds since its midnight, above 0 and up to 24 hours.
    """

    date: Integers
    time: Integers


class SessionMinutes(NamedTuple):
    """Minutes from the opening of a session to each of some moments, and from there to its close."""

    since_open: Floats
    to_close: Floats


def wall_clock(moments: Integers, timezone: str) -> WallClock:
    """Return the local time in ``timezone`` of ``moments`` (microseconds since 1970-01-01 UTC)."""
    utc = pd.DatetimeIndex(moments.astype("datetime64[us]"), tz="UTC")
    local = np.asarray(utc.tz_convert(timezone).tz_localize(None).as_unit("us").asi8, np.int64)
    date, time = np.divmod(local, DAY)
    midnight = time == 0
    return WallClock(date - midnight, np.where(midnight, DAY, time))


def clock_column(name: str, closes: Integers, session: Session, calendar: str) -> Floats:
    """Return a calendar feature at the ``closes`` of bars (microseconds, UTC)."""
    if name == "minutes_since_open":
        return session_minutes(closes, session, calendar).since_open
    if name == "minutes_to_close":
        return session_minutes(closes, session, calendar).to_close
    clock = wall_clock(closes, session.timezone)
    if name == "hour":
        return (clock.time // (60 * MINUTE)).astype(np.float64)
    if name == "weekday":
        return weekday(clock.date).astype(np.float64)
    months = clock.date.astype("datetime64[D]").astype("datetime64[M]")
    if name == "month":
        return (months.astype(np.int64) % 12 + 1).astype(np.float64)
    return (clock.date - months.astype("datetime64[D]").astype(np.int64) + 1).astype(np.float64)


def session_minutes(closes: Integers, session: Session, calendar: str) -> SessionMinutes:
    """Return the minutes since the opening and to the close of the session in which bars close.

    A bar that closes as a session opens belongs to the one before. After the close of a session, and until the next
    opening, its full length has passed and 0 minutes are left. Sessions are those of ``calendar`` (of
    exchange_calendars), with its holidays and early closes; without one each lasts until the next opening.
    """
    if closes.size == 0:
        return SessionMinutes(np.empty(0), np.empty(0))
    first, last = int(closes[0]), int(closes[-1])
    if not calendar:
        opens = sessions_between(first, last, session).opens
        opens, ends = opens[:-1], opens[1:]
    else:
        opens, ends = trading_sessions(calendar, *_years(first, last))
    number = np.searchsorted(opens, closes, side="left") - 1
    since = np.minimum(closes, ends[number]) - opens[number]
    left = np.maximum(ends[number] - closes, 0)
    return SessionMinutes(since / MINUTE, left / MINUTE)


def _years(first: int, last: int) -> tuple[int, int]:
    """Return the calendar years that contain all moments with a margin on both sides."""
    margin = _MARGIN_DAYS * DAY
    begin, end = np.array([first - margin, last + margin]).astype("datetime64[us]").astype("datetime64[Y]").astype(int)
    return 1970 + int(begin), 1970 + int(end)
