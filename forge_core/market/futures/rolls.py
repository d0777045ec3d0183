"""Contract rolls in a continuous futures series: positions, gaps, and a check of the roll dates.

An unadjusted continuous series jumps at its rolls. Features are computed without these jumps (``futures.adjustment``);
fills are at the traded prices.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.market.reference.sessions import microseconds

_FITTING = 0.75  # minimum fraction of rolls at price jumps, below which the dates are doubted
_ENOUGH_ROLLS = 4
_NEIGHBOURS = 5  # session openings before and after a roll that its gap is compared with


def first_bars(bars: pd.DataFrame, roll_dates: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return the positions of the first bars at or after the ``roll_dates``, unique and ascending.

    Rolls before the first or after the last bar are left out.
    """
    times, stamps = microseconds(bars.index), microseconds(roll_dates)
    positions = np.unique(np.searchsorted(times, stamps, side="left"))
    return positions[(positions > 0) & (positions < times.size)]


def roll_gaps(bars: pd.DataFrame, roll_dates: pd.DatetimeIndex) -> pd.DataFrame:
    """Return a row for each roll in ``bars``: ``time`` of the first bar on the new contract, ``previous_close`` on the
    old one, ``open`` on the new one, and ``gap`` (open - previous close, price points)."""
    first = first_bars(bars, roll_dates)
    before, opened = bars["close"].to_numpy()[first - 1], bars["open"].to_numpy()[first]
    return pd.DataFrame({"time": bars.index[first], "previous_close": before, "open": opened, "gap": opened - before})


def fitting_share(bars: pd.DataFrame, roll_dates: pd.DatetimeIndex) -> float | None:
    """Return the fraction of rolls whose gap exceeds the usual gap between sessions around it; None without rolls.

    The usual gap is the median of the largest jumps from close to open of neighbouring days. The right dates give well
    above one half, those of another series or time zone one half or less.
    """
    first = first_bars(bars, roll_dates)
    if first.size == 0:
        return None
    jumps = np.abs(bars["open"].to_numpy()[1:] - bars["close"].to_numpy()[:-1])
    day = microseconds(bars.index)[1:] // 86_400_000_000
    begins = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    widest, group = np.maximum.reduceat(jumps, begins), np.searchsorted(begins, first - 1, side="right") - 1
    wider = 0
    for k, position in zip(group, first, strict=True):
        around = np.concatenate([widest[max(k - _NEIGHBOURS, 0) : k], widest[k + 1 : k + 1 + _NEIGHBOURS]])
        wider += bool(around.size == 0 or jumps[position - 1] > np.median(around))
    return wider / first.size


def roll_doubt(bars: pd.DataFrame, roll_dates: pd.DatetimeIndex, name: str, origin: str) -> str | None:
    """Return a warning if prices of ``bars`` do not jump at ``roll_dates`` from file ``origin``, else None."""
    rolls, share = first_bars(bars, roll_dates).size, fitting_share(bars, roll_dates)
    if share is None or rolls < _ENOUGH_ROLLS or share >= _FITTING:
        return None
    return (
        f"{name}: only {share:.0%} of the {rolls} contract rolls in {origin} lie where prices jump; if they are "
        "another series', import its own with `forge roll-dates import FILE`"
    )
