"""Closes at which a Play's ``when`` lets entries count, and at which ``flat_by`` closes positions."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.feeds.feed import Feed, Integers
from forge_core.feeds.joined import first_bars
from forge_core.market.reference.clock import MINUTE, wall_clock
from forge_core.market.reference.sessions import DAY, weekday
from forge_core.plays.model import Play, When

Marks = NDArray[np.bool_]  # one per bar


def entry_hours(play: Play, feed: Feed) -> Marks | None:
    """Return at which closes entries count, None if at all of them."""
    when = play.when
    if when is None or not when.restricts:
        return None
    clock = wall_clock(_closes(feed), when.timezone or feed.instrument.session.timezone)
    after, before = clock.time >= when.start * MINUTE, clock.time <= when.end * MINUTE
    inside = after & before if when.start <= when.end else after | before
    if when.weekdays:
        inside &= np.isin(weekday(clock.date), when.weekdays)
    return inside


def flat_closes(play: Play, feed: Feed) -> Marks | None:
    """Return at which closes positions are closed by ``flat_by``, None without one.

    That is the last close, by the timeframe, at or before the time of day; after a gap in the bars over that time the
    first close after it. Each day's time is assigned to one close, known without later bars.
    """
    if play.flat_by is None:
        return None
    closes = _closes(feed)
    times = _daily(play.flat_by, (play.when or When()).timezone or feed.instrument.session.timezone, closes)
    due = closes.copy()
    due[1:] = np.minimum(closes[1:], closes[:-1] + feed.bar_microseconds)  # since the close before
    first = first_bars(feed)
    due[first] = closes[first]
    return np.searchsorted(times, closes + feed.bar_microseconds) > np.searchsorted(times, due)


def _closes(feed: Feed) -> Integers:
    return feed.time + feed.bar_microseconds


def _daily(minutes: int, timezone: str, closes: Integers) -> Integers:
    """Return a time of day on every date around ``closes`` (microseconds, UTC, ascending)."""
    dates = wall_clock(np.array([closes.min(), closes.max()]), timezone).date
    days = np.arange(dates[0] - 3, dates[1] + 4)
    wall = pd.DatetimeIndex((days * DAY + minutes * MINUTE).astype("datetime64[us]"))
    first = np.ones(days.size, dtype=bool)
    local = wall.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return np.asarray(local.tz_convert("UTC").as_unit("us").asi8, np.int64)
