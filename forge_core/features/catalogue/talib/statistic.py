"""Statistic functions and cycle indicators."""

from collections.abc import Mapping

from forge_core.features.catalogue.talib.entry import (
    AVERAGES,
    CENTRED,
    NOT_NEGATIVE,
    PERCENT,
    PRICE,
    SIGNED_UNIT,
    UNBOUNDED,
    UNIT,
    ZERO,
    Entry,
    around_zero,
    steps,
)
from forge_core.features.reference import Number
from forge_core.features.relations import Monotone, Order, Relations, within
from forge_core.features.scale import Scale


def _is_highest(params: Mapping[str, Number]) -> bool:
    """Whether the nearest rank of the percentile is the number of values."""
    return params["timeperiod"] * (100 - params["percentile"]) < 100


STATISTIC = (
    Entry("linearreg", PRICE, grids=AVERAGES),
    Entry("tsf", PRICE, grids=AVERAGES),
    Entry("linearreg_intercept", PRICE),
    Entry("linearreg_slope", CENTRED, ZERO, AVERAGES),
    Entry("linearreg_angle", CENTRED, ZERO),  # of a slope in price units: bounded, but not comparable across prices
    Entry(
        "percentile",
        PRICE,
        grids={"timeperiod": (14, 20, 34, 55, 89, 144), "percentile": (5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0)},
        relations=Relations(
            (
                *within("donchian.lowerband", "real", "donchian.upperband"),
                # the lowest and the highest of the last closes, the current one included
                Order("real", "close.real", where=lambda params: params["timeperiod"] * params["percentile"] <= 100),
                Order("close.real", "real", where=_is_highest),
            ),
            (Monotone("real", "percentile"),),
        ),
    ),
    Entry("percentrank", PERCENT, steps(10, 90, 10), {"timeperiod": (20, 34, 55, 100, 144, 200)}),
    Entry("stddev", NOT_NEGATIVE),
    Entry("var", NOT_NEGATIVE),
    Entry("beta", UNBOUNDED),
    Entry("correl", SIGNED_UNIT),
)

CYCLE = (
    Entry("ht_dcperiod", Scale("bounded", 0.0, 50.0), steps(15, 35, 5), search=True),
    Entry("ht_dcphase", Scale("bounded", -45.0, 315.0), steps(0, 270, 45)),
    Entry("ht_phasor", CENTRED, ZERO),
    Entry("ht_sine", SIGNED_UNIT, around_zero(0.5, 0.9), search=True),
    Entry("ht_trendmode", UNIT, (0.5,), search=True),
)
