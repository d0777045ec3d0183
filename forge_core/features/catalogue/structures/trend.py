"""Trend: rising while swing highs and swing lows both rise, falling while both fall."""

import numpy as np

from forge_core.features.catalogue.structures.pivots import LEFT, RIGHT
from forge_core.features.catalogue.structures.swings import swing_levels
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.scale import Scale


def _trend(bars: Bars, params: Params) -> tuple[Floats, ...]:
    _, _, label_high, label_low = swing_levels(bars["high"], bars["low"], params["left"], params["right"])
    state = np.where(label_high == label_low, label_high, 0.0)
    state[np.isnan(label_high + label_low)] = np.nan
    return (state,)


TREND = FeatureDefinition(
    name="trend",
    kind="structure",
    description="1 after a higher high and a higher low, -1 after a lower high and a lower low, 0 while they disagree.",
    parameters=(LEFT, RIGHT),
    outputs=(Output("state", Scale("bounded", -1.0, 1.0), (-0.5, 0.5)),),
    default_output="state",
    function=_trend,
    bars_needed=lambda params: int(params["left"] + params["right"]),
    search=True,
)
