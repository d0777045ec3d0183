"""Swing points, the ground of every other structure: bars that stand out from their neighbours."""

import numpy as np
from numpy.typing import NDArray

from forge_core.features.definition import Floats, Parameter
from forge_core.simd.compiled import compiled

Flags = NDArray[np.bool_]

LEFT = Parameter("left", 3, True, 1, 500, (2, 3, 5, 8))
RIGHT = Parameter("right", 3, True, 1, 500, (1, 2, 3, 5))


@compiled
def confirmed_swings(high: Floats, low: Floats, left: int, right: int) -> tuple[Flags, Flags]:
    """Return two flags a bar: whether bar ``i`` confirms that bar ``i - right`` was a swing high, a swing low.

    A swing high is above the ``left`` highs before it and not below the ``right`` highs after it; a swing low mirrors
    it. Of equal highs in a row the first is the swing, so that a double top to the tick counts once (TA-Lib's FRACTAL
    lets it count not at all).
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
