"""Fibonacci retracement levels of the last confirmed leg."""

import numpy as np

from forge_core.features.catalogue.structures.pivots import LEFT, RIGHT, confirmed_swings
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.reference import PRICE_FIELDS
from forge_core.features.scale import Scale
from forge_core.simd.compiled import compiled

RATIOS = (0.236, 0.382, 0.5, 0.618, 0.786)


@compiled
def last_leg(
    open_: Floats, high: Floats, low: Floats, close: Floats, left: int, right: int
) -> tuple[Floats, Floats, Floats]:
    """Return start price, end price and direction (1 up, -1 down) of the last leg confirmed at each bar.

    A leg runs from a swing low up to a swing high or from a swing high down to a swing low. A second swing of the same
    kind replaces the leg's end if it is beyond it; any other swing that would not make a leg is skipped. A bar that is
    both swing high and swing low ends two legs, first the one against the current leg. As the very first swing it
    makes the first leg: up if it closed at or above its open, as in the fill contract's ``ohlc_path``, else down.
    """
    n = high.size
    start, end, direction = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    is_high, is_low = confirmed_swings(high, low, left, right)
    begin, tip, way = np.nan, np.nan, 0.0  # way: 1 if the tip is a swing high, -1 if it is a swing low
    for i in range(left + right, n):
        top, bottom = high[i - right], low[i - right]
        if is_high[i] and is_low[i]:
            if top > bottom:
                if way == 0.0:
                    way = 1.0 if close[i - right] >= open_[i - right] else -1.0
                begin, tip = (bottom, top) if way > 0.0 else (top, bottom)
        elif is_high[i]:
            if way > 0.0:
                tip = max(tip, top)
            elif not top <= tip:  # also true before the first swing, while tip is NaN
                begin, tip, way = tip, top, 1.0
        elif is_low[i]:
            if way < 0.0:
                tip = min(tip, bottom)
            elif not bottom >= tip:
                begin, tip, way = tip, bottom, -1.0
        start[i], end[i] = begin, tip
        direction[i] = np.nan if np.isnan(begin) else way
    return start, end, direction


def _fibonacci(bars: Bars, params: Params) -> tuple[Floats, ...]:
    start, end, direction = last_leg(*(bars[field] for field in PRICE_FIELDS[:4]), params["left"], params["right"])
    length = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        retracement = (end - bars["close"]) / length
    return (*(end - ratio * length for ratio in RATIOS), retracement, direction)


_PRICE = Scale("price")

FIBONACCI = FeatureDefinition(
    name="fibonacci",
    kind="structure",
    description="Retracement levels of the last leg between two swings, the share of it retraced, and its direction.",
    parameters=(LEFT, RIGHT),
    outputs=(
        *(Output(f"level_{round(1000 * ratio)}", _PRICE) for ratio in RATIOS),
        Output("retracement", Scale("unbounded"), (0.0, *RATIOS, 1.0)),
        Output("direction", Scale("bounded", -1.0, 1.0), (0.0,)),
    ),
    default_output="level_618",
    function=_fibonacci,
    bars_needed=lambda params: int(params["left"] + params["right"]),
    search=True,
)
