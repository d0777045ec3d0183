"""Ratio of the close to that of another symbol."""

import numpy as np

from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params
from forge_core.features.scale import Scale

RELATIVE = "relative"
REFERENCE_CLOSE = "reference_close"  # the last known close of the other symbol at each bar


def _ratio(bars: Bars, params: Params) -> tuple[Floats, ...]:
    close, other = bars["close"], bars[REFERENCE_CLOSE]
    return (np.divide(close, other, out=np.full(close.size, np.nan), where=other != 0.0),)


RELATIVE_CLOSE = FeatureDefinition(
    name=RELATIVE,
    kind="relative",
    description="Close divided by that of another symbol.",
    parameters=(),
    outputs=(Output("real", Scale("ratio")),),
    default_output="real",
    function=_ratio,
    bars_needed=lambda params: 0,
)
