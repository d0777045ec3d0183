"""Overlap studies and price transforms: averages, bands, stops, candles; all but a few in price units."""

from forge_core.features.catalogue.talib.entry import (
    AVERAGE_PERIODS,
    AVERAGES,
    CENTRED,
    PRICE,
    SIGNED_UNIT,
    UNBOUNDED,
    ZERO,
    Entry,
)

OVERLAP = (
    # Moving averages
    Entry("sma", PRICE, grids=AVERAGES),
    Entry("ema", PRICE, grids=AVERAGES),
    Entry("wma", PRICE, grids=AVERAGES),
    Entry("rma", PRICE, grids=AVERAGES),
    Entry("dema", PRICE, grids=AVERAGES),
    Entry("tema", PRICE, grids=AVERAGES),
    Entry("trima", PRICE, grids=AVERAGES),
    Entry("kama", PRICE, grids=AVERAGES),
    Entry("hma", PRICE, grids=AVERAGES),
    Entry("zlema", PRICE, grids=AVERAGES),
    Entry("vwma", PRICE, grids=AVERAGES),
    Entry("t3", PRICE, grids={"timeperiod": (3, 5, 8, 13, 21, 34, 55), "vfactor": (0.5, 0.7, 0.9)}),
    Entry("ma", PRICE),
    Entry("mama", PRICE, grids={"fastlimit": (0.3, 0.4, 0.5, 0.6, 0.7), "slowlimit": (0.02, 0.05, 0.1)}),
    Entry("ht_trendline", PRICE, search=True),
    # Channels and bands
    Entry("midpoint", PRICE, grids=AVERAGES),
    Entry("midprice", PRICE, grids=AVERAGES),
    Entry("donchian", PRICE, grids=AVERAGES, default_output="middleband"),
    Entry("accbands", PRICE, grids=AVERAGES, default_output="middleband"),
    Entry(
        "bbands",
        PRICE,
        grids={"timeperiod": AVERAGE_PERIODS, "nbdevup": (1.0, 1.5, 2.0, 2.5, 3.0)},
        tied=(("nbdevdn", "nbdevup"),),
        default_output="middleband",
    ),
    Entry(
        "kc",
        PRICE,
        grids={"timeperiod": (10, 14, 20, 34, 55), "atrperiod": (10, 14, 20), "nbdev": (1.0, 1.5, 2.0, 2.5, 3.0)},
        default_output="middleband",
    ),
    # Stop-and-reverse lines; SAREXT is negative while it is short, so its scale is not price
    Entry("sar", PRICE, grids={"acceleration": (0.005, 0.01, 0.02, 0.03, 0.05), "maximum": (0.1, 0.2, 0.3)}),
    Entry("sarext", CENTRED, ZERO),
    Entry(
        "supertrend",
        {"supertrend": PRICE, "trend": SIGNED_UNIT},
        {"trend": ZERO},
        {"timeperiod": (7, 10, 14, 20, 28), "multiplier": (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)},
    ),
    # Price transforms
    Entry("ha", PRICE, default_output="haclose", search=True),
    Entry("avgprice", PRICE),
    Entry("medprice", PRICE),
    Entry("typprice", PRICE),
    Entry("wclprice", PRICE),
    Entry("avgdev", UNBOUNDED),
)
