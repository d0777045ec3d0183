"""Statistic functions and cycle indicators."""

from forge_core.features.catalogue.talib.entry import (
    AVERAGES,
    CENTRED,
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
from forge_core.features.scale import Scale

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
    ),
    Entry("percentrank", PERCENT, steps(10, 90, 10), {"timeperiod": (20, 34, 55, 100, 144, 200)}),
    Entry("stddev", UNBOUNDED),
    Entry("var", UNBOUNDED),
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
