"""Gaps: missing bars at times at which the market usually has bars."""

import numpy as np
import pandas as pd

from forge_core.market.reference.instruments import Session
from forge_core.market.reference.sessions import DAY, Integers, microseconds, sessions_between
from forge_core.market.reference.timeframes import Timeframe

_WEEKS_TO_KNOW_A_WEEK = 4


def find_gaps(bars: pd.DataFrame, timeframe: Timeframe, session: Session) -> pd.DataFrame:
    """Return one row per gap: ``start`` (first missing bar), ``end`` (next existing bar), ``missing`` (number of bars).

    Trading hours are inferred from the data: a bar is expected at a time of the session and weekday at which at least
    half of the weeks have one (in data of less than four weeks: at a time of the session at which half of the days
    have one). In round-the-clock markets every missing bar is a gap; in others nights, weekends and pauses are not,
    but single holidays are. Bars longer than a day are expected every ``timeframe``.
    """
    times = microseconds(bars.index)
    missing = _missing_times(times, timeframe.microseconds, session) if times.size > 1 else times[:0]
    after = np.searchsorted(times, missing)  # the bar that ends the gap
    first = np.flatnonzero(np.diff(after, prepend=-1))
    return pd.DataFrame(
        {
            "start": pd.DatetimeIndex(missing[first].astype("datetime64[us]"), tz="UTC"),
            "end": pd.DatetimeIndex(times[after[first]].astype("datetime64[us]"), tz="UTC"),
            "missing": np.diff(np.append(first, missing.size)),
        }
    )


def _missing_times(times: Integers, length: int, session: Session) -> Integers:
    """Return the expected open times without a bar between the first and the last of ``times``."""
    if length > DAY:
        wide = np.flatnonzero(np.diff(times) > length)
        return np.concatenate([times[:0], *(np.arange(times[i] + length, times[i + 1], length) for i in wide)])
    sessions = sessions_between(int(times[0]), int(times[-1]), session)
    holding = np.searchsorted(sessions.opens, times, side="right") - 1
    rows = np.arange(holding[0], holding[-1] + 1)  # sessions, one per calendar day
    slots = np.arange(-(-DAY // length) + 1)  # one more for a day of 25 hours
    present = np.zeros((rows.size, slots.size), dtype=bool)
    present[holding - rows[0], (times - sessions.opens[holding]) // length] = True
    of_weekday = rows.size >= 7 * _WEEKS_TO_KNOW_A_WEEK
    # In short data, days without any bar (-1) are not expected to have one.
    kind = rows % 7 if of_weekday else np.where(present.any(axis=1), 0, -1)
    expected = np.zeros_like(present)
    for value in np.unique(kind[kind >= 0]):
        expected[kind == value] = present[kind == value].mean(axis=0) >= 0.5
    grid = sessions.opens[rows][:, None] + slots * length
    inside = (grid < sessions.opens[rows + 1][:, None]) & (grid > times[0]) & (grid < times[-1])
    return grid[expected & ~present & inside]
