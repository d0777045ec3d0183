"""Volatility and volume indicators.

Running totals (OBV, A/D, NVI, PVI, PVT, VWAP) start at the first bar of the dataset, so their level is not comparable
across datasets; they are not searched.
"""

from forge_core.features.catalogue.talib.entry import (
    CENTRED,
    FAST_SLOW,
    NOT_NEGATIVE,
    OSCILLATORS,
    PERCENT,
    PRICE,
    SIGNED_UNIT,
    UNBOUNDED,
    ZERO,
    Entry,
    around_zero,
    steps,
)

VOLATILITY = (
    Entry("atr", NOT_NEGATIVE),
    Entry("trange", NOT_NEGATIVE),
    Entry("adr", NOT_NEGATIVE),
    Entry("natr", UNBOUNDED, (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0), OSCILLATORS),
    Entry("cvi", CENTRED, around_zero(10.0, 20.0, 40.0), {"timeperiod": (5, 10, 14, 20), "rocperiod": (5, 10, 20)}),
    Entry("massi", NOT_NEGATIVE),
    Entry("rvi", PERCENT, steps(20, 80, 5), {"timeperiod": (7, 10, 14, 21, 28), "stddevperiod": (5, 10, 20)}),
)

VOLUME = (
    Entry("ad", UNBOUNDED),
    Entry("obv", UNBOUNDED),
    Entry("nvi", UNBOUNDED),
    Entry("pvi", UNBOUNDED),
    Entry("pvt", UNBOUNDED),
    Entry("vwap", PRICE),
    Entry("marketfi", NOT_NEGATIVE),
    Entry("adosc", CENTRED, ZERO, {"fastperiod": (3, 5, 8), "slowperiod": (10, 20, 34)}, ascending=FAST_SLOW),
    Entry("cmf", SIGNED_UNIT, steps(-0.3, 0.3, 0.05), OSCILLATORS),
    Entry("efi", CENTRED, ZERO, OSCILLATORS),
    Entry(
        "pvo",
        CENTRED,
        around_zero(5.0, 10.0, 20.0, 40.0),
        {"fastperiod": (5, 8, 12), "slowperiod": (21, 26, 50)},
        ascending=FAST_SLOW,
    ),
    Entry("rvol", NOT_NEGATIVE, (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0), OSCILLATORS),
)
