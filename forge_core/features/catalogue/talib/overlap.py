"""Overlap studies and price transforms: averages, bands, stops, candles; all but a few in price units."""

from forge_core.features.catalogue.talib.entry import (
    AVERAGE_PERIODS,
    AVERAGES,
    CENTRED,
    NOT_NEGATIVE,
    PRICE,
    SIGNED_UNIT,
    ZERO,
    Entry,
)
from forge_core.features.relations import Monotone, Order, Relations, chain, equal, within

_BANDS = chain("lowerband", "middleband", "upperband")

# An average of the last closes lies between the highest high and the lowest low of the same bars
_IN_CHANNEL = Relations(within("donchian.lowerband", "real", "donchian.upperband"))
_IN_BAR = Relations(within("low.real", "real", "high.real"))

OVERLAP = (
    # Moving averages
    Entry("sma", PRICE, grids=AVERAGES, relations=_IN_CHANNEL),
    Entry("ema", PRICE, grids=AVERAGES),
    Entry("wma", PRICE, grids=AVERAGES, relations=_IN_CHANNEL),
    Entry("rma", PRICE, grids=AVERAGES),
    Entry("dema", PRICE, grids=AVERAGES),
    Entry("tema", PRICE, grids=AVERAGES),
    Entry("trima", PRICE, grids=AVERAGES, relations=_IN_CHANNEL),
    Entry("kama", PRICE, grids=AVERAGES),
    Entry("hma", PRICE, grids=AVERAGES),
    Entry("zlema", PRICE, grids=AVERAGES),
    Entry("vwma", PRICE, grids=AVERAGES, relations=_IN_CHANNEL),
    Entry("t3", PRICE, grids={"timeperiod": (3, 5, 8, 13, 21, 34, 55), "vfactor": (0.5, 0.7, 0.9)}),
    Entry("ma", PRICE),
    Entry("mama", PRICE, grids={"fastlimit": (0.3, 0.4, 0.5, 0.6, 0.7), "slowlimit": (0.02, 0.05, 0.1)}),
    Entry("ht_trendline", PRICE, search=True),
    # Channels and bands
    Entry("midpoint", PRICE, grids=AVERAGES, relations=_IN_CHANNEL),
    Entry(
        "midprice",
        PRICE,
        grids=AVERAGES,
        relations=Relations(
            (
                *equal("real", "donchian.middleband"),
                *within("donchian.lowerband", "real", "donchian.upperband"),
            )
        ),
    ),
    Entry(
        "donchian",
        PRICE,
        grids=AVERAGES,
        default_output="middleband",
        relations=Relations(
            (*_BANDS, Order("lowerband", "low.real"), Order("high.real", "upperband")),
            (Monotone("upperband", "timeperiod"), Monotone("lowerband", "timeperiod", rising=False)),
        ),
    ),
    Entry(
        "accbands",
        PRICE,
        grids=AVERAGES,
        default_output="middleband",
        relations=Relations((*_BANDS, *equal("middleband", "sma.real"))),
    ),
    Entry(
        "bbands",
        PRICE,
        grids={"timeperiod": AVERAGE_PERIODS, "nbdevup": (1.0, 1.5, 2.0, 2.5, 3.0)},
        tied=(("nbdevdn", "nbdevup"),),
        default_output="middleband",
        relations=Relations(
            (
                Order("middleband", "upperband", strict=True, positive="nbdevup"),
                Order("lowerband", "middleband", strict=True, positive="nbdevdn"),
                *equal("middleband", "sma.real", where=lambda params: params["matype"] == 0),
            ),
            (
                Monotone("upperband", "nbdevup", strict=True),
                Monotone("lowerband", "nbdevdn", rising=False, strict=True),
            ),
            {"upperband": ("nbdevdn",), "middleband": ("nbdevup", "nbdevdn"), "lowerband": ("nbdevup",)},
        ),
    ),
    Entry(
        "kc",
        PRICE,
        grids={"timeperiod": (10, 14, 20, 34, 55), "atrperiod": (10, 14, 20), "nbdev": (1.0, 1.5, 2.0, 2.5, 3.0)},
        default_output="middleband",
        relations=Relations(
            (
                Order("middleband", "upperband", strict=True, positive="nbdev"),
                Order("lowerband", "middleband", strict=True, positive="nbdev"),
            ),
            (
                Monotone("upperband", "nbdev", strict=True),
                Monotone("lowerband", "nbdev", rising=False, strict=True),
            ),
            {"middleband": ("nbdev",)},
        ),
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
    Entry(
        "ha",
        PRICE,
        default_output="haclose",
        search=True,
        relations=Relations(
            (
                Order("halow", "hahigh", strict=True),
                *chain("halow", "haopen", "hahigh", strict=False),
                *chain("halow", "haclose", "hahigh", strict=False),
                *within("low.real", "haclose", "high.real"),
                Order("halow", "low.real"),
                Order("high.real", "hahigh"),
            )
        ),
    ),
    Entry("avgprice", PRICE, relations=_IN_BAR),
    Entry("medprice", PRICE, relations=_IN_BAR),
    Entry("typprice", PRICE, relations=_IN_BAR),
    Entry("wclprice", PRICE, relations=_IN_BAR),
    Entry("avgdev", NOT_NEGATIVE),
)
