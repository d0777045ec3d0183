"""Cutler's RSI: gains and losses are averaged with a simple rolling mean instead of Wilder's as in TA-Lib's ``rsi``."""

import talib

from forge_core.features.catalogue.talib.entry import OSCILLATOR_PERIODS, steps
from forge_core.features.catalogue.undefined import blank, close_unmoved
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.scale import Scale


def _rsi_sma(bars: Bars, params: Params) -> tuple[Floats, ...]:
    # With U and D the sums of rises and falls, RSI = 100 U / (U + D) and TA-Lib's CMOU = 100 (U - D) / (U + D).
    columns = (50.0 + 0.5 * talib.CMOU(bars["close"], params["timeperiod"]),)
    blank(columns, close_unmoved, bars, params)
    return columns


RSI_SMA = FeatureDefinition(
    name="rsi_sma",
    kind="indicator",
    description="Relative Strength Index with simple rolling means (Cutler).",
    parameters=(Parameter("timeperiod", 14, True, 2, 100_000, OSCILLATOR_PERIODS),),
    outputs=(Output("real", Scale("bounded", 0.0, 100.0), steps(10, 90, 5)),),
    default_output="real",
    function=_rsi_sma,
    bars_needed=lambda params: int(params["timeperiod"]),
    search=True,
)
