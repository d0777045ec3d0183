"""Ichimoku Kinko Hyo without the Chikou line, which would be look-ahead (the close shifted into the past)."""

import numpy as np
import talib

from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.relations import Relations
from forge_core.features.scale import Scale


def _later(column: Floats, bars: int) -> Floats:
    """Shift a column so that bar i has the value of bar ``i - bars``."""
    shifted = np.full_like(column, np.nan)
    shifted[bars:] = column[: max(column.size - bars, 0)]
    return shifted


def _ichimoku(bars: Bars, params: Params) -> tuple[Floats, ...]:
    high, low, shift = bars["high"], bars["low"], int(params["displacement"])
    tenkan = talib.MIDPRICE(high, low, params["tenkan_period"])
    kijun = talib.MIDPRICE(high, low, params["kijun_period"])
    senkou_b = talib.MIDPRICE(high, low, params["senkou_period"])
    return tenkan, kijun, _later(0.5 * (tenkan + kijun), shift), _later(senkou_b, shift)


def _bars_needed(params: Params) -> int:
    return int(params["senkou_period"] - 1 + params["displacement"])


_PRICE = Scale("price")
_HIGHEST = 100_000

ICHIMOKU = FeatureDefinition(
    name="ichimoku",
    kind="indicator",
    description="Ichimoku: conversion line, base line and the two leading spans plotted at the current bar, no Chikou.",
    parameters=(
        Parameter("tenkan_period", 9, True, 2, _HIGHEST, (5, 7, 9, 12, 18)),
        Parameter("kijun_period", 26, True, 2, _HIGHEST, (17, 22, 26, 34, 52)),
        Parameter("senkou_period", 52, True, 2, _HIGHEST, (44, 52, 68, 104)),
        Parameter("displacement", 26, True, 0, _HIGHEST),
    ),
    outputs=tuple(Output(name, _PRICE) for name in ("tenkan", "kijun", "senkou_a", "senkou_b")),
    default_output="tenkan",
    function=_ichimoku,
    bars_needed=_bars_needed,
    ascending=(("tenkan_period", "kijun_period", "senkou_period"),),
    tied=(("displacement", "kijun_period"),),
    search=True,
    relations=Relations(
        unaffected={
            "tenkan": ("kijun_period", "senkou_period", "displacement"),
            "kijun": ("tenkan_period", "senkou_period", "displacement"),
            "senkou_a": ("senkou_period",),
            "senkou_b": ("tenkan_period", "kijun_period"),
        }
    ),
)
