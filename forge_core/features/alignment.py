"""Alignment of columns of a coarser timeframe to the execution bars, without look-ahead."""

import numpy as np
from numpy.typing import NDArray

from forge_core.simd.compiled import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def aligned_index(execution_open_us: Integers, execution_us: int, higher_open_us: Integers, higher_us: int) -> Integers:
    """Return, for each execution bar, the index of the newest higher bar that has closed when it closes, else -1.

    A bar opened at T of length H is visible at execution bar i only if ``T + H <= t_i + tf``. ``execution_open_us``
    (n,) and ``higher_open_us`` (m,) are open times in microseconds, strictly ascending, gaps allowed. The lengths are
    nominal: a bar that its session cuts short is visible late, never early. O(n + m).
    """
    index = np.empty(execution_open_us.size, np.int64)
    newest = -1
    last = higher_open_us.size - 1
    for i in range(execution_open_us.size):
        now = execution_open_us[i] + execution_us
        while newest < last and higher_open_us[newest + 1] + higher_us <= now:
            newest += 1
        index[i] = newest
    return index


def fresh_index(
    execution_open_us: Integers, execution_us: int, other_open_us: Integers, other_us: int, max_age: int
) -> Integers:
    """Return ``aligned_index`` of the bars of another symbol, -1 where more than ``max_age`` bars are missing.

    A bar is followed by the next one after ``other_us``: with none missing its age at the close of an execution bar is
    below that.
    """
    index = aligned_index(execution_open_us, execution_us, other_open_us, other_us)
    known = np.maximum(index, 0)
    if other_open_us.size == 0:
        return index
    age = execution_open_us + execution_us - (other_open_us[known] + other_us)
    return np.where(age < (1 + max_age) * other_us, index, -1)


@compiled
def take_aligned(values: Floats, index: Integers) -> Floats:
    """Return ``values[index]`` (float64, one value per execution bar), NaN where ``index`` is -1."""
    taken = np.empty(index.size, np.float64)
    for i in range(index.size):
        taken[i] = values[index[i]] if index[i] >= 0 else np.nan
    return taken


def first_visible(execution_open_us: Integers, execution_us: int, higher_close_us: int) -> int:
    """Return the first execution bar that closes at or after ``higher_close_us``, or their number if there is none."""
    return int(np.searchsorted(execution_open_us, higher_close_us - execution_us, side="left"))
