"""Swing points, from which the other structures are computed."""

import numpy as np
from numpy.typing import NDArray

from forge_core.features.definition import Floats, Parameter
from forge_core.simd.compiled import compiled

Flags = NDArray[np.bool_]

LEFT = Parameter("left", 3, True, 1, 500, (2, 3, 5, 8))
RIGHT = Parameter("right", 3, True, 1, 500, (1, 2, 3, 5))


@compiled
def confirmed_swings(high: Floats, low: Floats, left: int, right: int) -> tuple[Flags, Flags]:
    """Return two flags per bar: whether bar ``i`` confirms bar ``i - right`` as a swing high and as a swing low.

    A swing high is above the ``left`` highs before it and not below the ``right`` highs after it; a swing low is the
    mirror image. Of equal highs in a row the first is the swing, so that an exact double top counts once (TA-Lib's
    FRACTAL ignores it).
    """
    is_high = np.zeros(high.size, np.bool_)
    is_low = np.zeros(high.size, np.bool_)
    for i in range(left + right, high.size):
        is_high[i] = _stands_out(high, i - right, left, right, 1.0)
        is_low[i] = _stands_out(low, i - right, left, right, -1.0)
    return is_high, is_low


@compiled
def _stands_out(prices: Floats, at: int, left: int, right: int, sign: float) -> bool:
    top = sign * prices[at]
    for k in range(at - left, at + right + 1):
        other = sign * prices[k]
        if not (other < top if k < at else other <= top):
            return False
    return True
