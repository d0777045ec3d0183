"""Swings: the last confirmed swing high and low, and their comparison with the previous ones."""

import numpy as np

from forge_core.features.catalogue.structures.pivots import LEFT, RIGHT, confirmed_swings
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.relations import Monotone, Relations
from forge_core.features.scale import Scale
from forge_core.simd.compiled import compiled


@compiled
def swing_levels(high: Floats, low: Floats, left: int, right: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the prices of the last swing high and low confirmed at each bar, and their labels.

    A label is 1 where the last swing is higher than the previous one (HH, HL), -1 where it is lower (LH, LL), 0 where
    they are equal.
    """
    n = high.size
    last_high, last_low, label_high, label_low = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    is_high, is_low = confirmed_swings(high, low, left, right)
    top, bottom, top_label, bottom_label = np.nan, np.nan, np.nan, np.nan
    for i in range(n):
        if is_high[i]:
            top_label = np.sign(high[i - right] - top)
            top = high[i - right]
        if is_low[i]:
            bottom_label = np.sign(low[i - right] - bottom)
            bottom = low[i - right]
        last_high[i], last_low[i], label_high[i], label_low[i] = top, bottom, top_label, bottom_label
    return last_high, last_low, label_high, label_low


def _swings(bars: Bars, params: Params) -> tuple[Floats, ...]:
    return swing_levels(bars["high"], bars["low"], params["left"], params["right"])


_PRICE = Scale("price")
_LABEL = Scale("bounded", -1.0, 1.0)

SWINGS = FeatureDefinition(
    name="swings",
    kind="structure",
    description="The last confirmed swing high and low, each labelled higher (1) or lower (-1) than the previous one.",
    parameters=(LEFT, RIGHT),
    outputs=(
        Output("last_high", _PRICE),
        Output("last_low", _PRICE),
        Output("label_high", _LABEL, (-0.5, 0.5)),
        Output("label_low", _LABEL, (-0.5, 0.5)),
    ),
    default_output="last_high",
    function=_swings,
    bars_needed=lambda params: int(params["left"] + params["right"]),
    search=True,
    # A later swing that is one only with fewer bars on its left lies within the last one that needs more
    relations=Relations(monotone=(Monotone("last_high", "left"), Monotone("last_low", "left", rising=False))),
)
