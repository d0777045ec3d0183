"""Breaks of structure and changes of character: closes beyond the last swing."""

import numpy as np

from forge_core.features.catalogue.structures.pivots import LEFT, RIGHT, confirmed_swings
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.scale import Scale
from forge_core.simd.compiled import compiled


@compiled
def structure_breaks(high: Floats, low: Floats, close: Floats, left: int, right: int) -> tuple[Floats, Floats, Floats]:
    """Return break of structure, change of character and direction.

    A close above the last unbroken swing high is an upward break, a close below the last unbroken swing low a downward
    break; each swing breaks once. A break against the direction of the previous break is a change of character, any
    other a break of structure. Both are 1 or -1 at the breaking bar, 0 elsewhere. The direction is that of the last
    break, 0 before the first.
    """
    n = high.size
    bos, choch, direction = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    is_high, is_low = confirmed_swings(high, low, left, right)
    top, bottom, current = np.inf, -np.inf, 0.0
    for i in range(left + right, n):
        if is_high[i]:
            top = high[i - right]
        if is_low[i]:
            bottom = low[i - right]
        broken = 0.0
        if close[i] > top:
            broken, top = 1.0, np.inf
        elif close[i] < bottom:
            broken, bottom = -1.0, -np.inf
        reversal = broken == -current
        bos[i] = 0.0 if reversal else broken
        choch[i] = broken if reversal else 0.0
        if broken != 0.0:
            current = broken
        direction[i] = current
    return bos, choch, direction


def _breaks(bars: Bars, params: Params) -> tuple[Floats, ...]:
    return structure_breaks(bars["high"], bars["low"], bars["close"], params["left"], params["right"])


_SIGN = Scale("bounded", -1.0, 1.0)

BREAKS = FeatureDefinition(
    name="breaks",
    kind="structure",
    description="Closes beyond the last swing: break of structure (bos), change of character (choch), direction.",
    parameters=(LEFT, RIGHT),
    outputs=(
        Output("bos", _SIGN, (-0.5, 0.5)),
        Output("choch", _SIGN, (-0.5, 0.5)),
        Output("direction", _SIGN, (-0.5, 0.5)),
    ),
    default_output="direction",
    function=_breaks,
    bars_needed=lambda params: int(params["left"] + params["right"]),
    search=True,
)
