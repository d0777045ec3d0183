"""Range: the highest high and lowest low of the preceding bars, and the position of the close between them."""

import numpy as np
import talib

from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.relations import Monotone, Relations, chain
from forge_core.features.scale import Scale


def _before(column: Floats) -> Floats:
    """Shift a column by one bar: bar ``i`` gets the value of bar ``i - 1``."""
    shifted = np.empty_like(column)
    shifted[:1], shifted[1:] = np.nan, column[:-1]
    return shifted


def _range(bars: Bars, params: Params) -> tuple[Floats, ...]:
    high = _before(talib.MAX(bars["high"], params["lookback"]))
    low = _before(talib.MIN(bars["low"], params["lookback"]))
    middle = 0.5 * (high + low)
    with np.errstate(divide="ignore", invalid="ignore"):
        width = 100.0 * (high - low) / np.abs(middle)
        position = np.clip((bars["close"] - low) / (high - low), 0.0, 1.0)
    return high, low, middle, width, position


_PRICE = Scale("price")

RANGE = FeatureDefinition(
    name="range",
    kind="structure",
    description="High, low and middle of the preceding bars, the width in percent, the close's position in the range.",
    parameters=(Parameter("lookback", 20, True, 2, 100_000, (5, 7, 10, 14, 20, 28, 34, 55, 89, 144, 200)),),
    outputs=(
        Output("high", _PRICE),
        Output("low", _PRICE),
        Output("middle", _PRICE),
        Output("width", Scale("unbounded", 0.0), (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0)),
        Output("position", Scale("bounded", 0.0, 1.0), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    ),
    default_output="middle",
    function=_range,
    bars_needed=lambda params: int(params["lookback"]),
    search=True,
    relations=Relations(
        chain("low", "middle", "high"), (Monotone("high", "lookback"), Monotone("low", "lookback", rising=False))
    ),
)
