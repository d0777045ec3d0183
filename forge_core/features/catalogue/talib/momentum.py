"""Momentum indicators: oscillators, directional movement, rates of change."""

from forge_core.features.catalogue.talib.entry import (
    AVERAGES,
    CENTRED,
    FAST_SLOW,
    NOT_NEGATIVE,
    OSCILLATORS,
    PERCENT,
    SIGNED_PERCENT,
    SIGNED_UNIT,
    UNBOUNDED,
    UNIT,
    ZERO,
    Entry,
    around_zero,
    steps,
)
from forge_core.features.relations import Difference, Relations, chain
from forge_core.features.scale import Scale

_RATE = around_zero(0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0)  # percent
_STOCHASTIC = steps(10, 90, 5)

_MACD = Relations(
    differences=(Difference("macdhist", "macd", "macdsignal"),), unaffected={"macd": ("signalperiod", "signalmatype")}
)

_OSCILLATORS = (
    Entry("rsi", PERCENT, steps(10, 90, 5), OSCILLATORS),
    Entry("cmo", SIGNED_PERCENT, steps(-70, 70, 10), OSCILLATORS),
    Entry("cmou", SIGNED_PERCENT, steps(-70, 70, 10), OSCILLATORS),
    Entry("imi", PERCENT, steps(10, 90, 5), OSCILLATORS),
    Entry("mfi", PERCENT, steps(10, 90, 5), OSCILLATORS),
    Entry("willr", Scale("bounded", -100.0, 0.0), steps(-90, -10, 5), OSCILLATORS),
    Entry("cci", CENTRED, steps(-250, 250, 25), OSCILLATORS),
    Entry("bop", SIGNED_UNIT, steps(-0.8, 0.8, 0.2), search=True),
    Entry("fosc", CENTRED, around_zero(0.25, 0.5, 1.0, 2.0), OSCILLATORS),
    Entry(
        "ultosc",
        PERCENT,
        steps(20, 80, 5),
        {"timeperiod1": (5, 7, 10), "timeperiod2": (12, 14, 20), "timeperiod3": (24, 28, 40)},
        ascending=(("timeperiod1", "timeperiod2", "timeperiod3"),),
    ),
    Entry(
        "stoch",
        PERCENT,
        _STOCHASTIC,
        {"fastk_period": (5, 9, 14, 21, 34), "slowk_period": (1, 3, 5), "slowd_period": (3, 5, 9)},
        relations=Relations(unaffected={"slowk": ("slowd_period", "slowd_matype")}),
    ),
    Entry(
        "stochf",
        PERCENT,
        _STOCHASTIC,
        {"fastk_period": (5, 9, 14, 21, 34), "fastd_period": (3, 5, 9)},
        relations=Relations(unaffected={"fastk": ("fastd_period", "fastd_matype")}),
    ),
    Entry(
        "stochrsi",
        PERCENT,
        _STOCHASTIC,
        {"timeperiod": (7, 14, 21, 34), "fastk_period": (5, 9, 14, 21), "fastd_period": (3, 5, 9)},
        relations=Relations(unaffected={"fastk": ("fastd_period", "fastd_matype")}),
    ),
    Entry(
        "kdj",
        {"k": PERCENT, "d": PERCENT, "j": Scale("bounded", -200.0, 300.0)},
        {"k": _STOCHASTIC, "d": _STOCHASTIC, "j": steps(-20, 120, 10)},
        {"fastk_period": (5, 9, 14, 21, 34), "slowk_period": (3, 5, 9)},
        tied=(("slowd_period", "slowk_period"),),
        relations=Relations(unaffected={"k": ("slowd_period", "slowd_matype")}),
    ),
    Entry(
        "smi",
        SIGNED_PERCENT,
        steps(-60, 60, 10),
        {"timeperiod": (8, 13, 21), "fastperiod": (2, 3, 5), "slowperiod": (13, 25, 34), "signalperiod": (5, 9)},
        relations=Relations(unaffected={"smi": ("signalperiod",)}),
    ),
    Entry("tsi", SIGNED_PERCENT, steps(-40, 40, 10), {"firstperiod": (13, 20, 25, 34), "secondperiod": (5, 7, 13, 20)}),
)

_DIRECTIONAL = (
    Entry("adx", PERCENT, steps(10, 50, 5), OSCILLATORS),
    Entry("adxr", PERCENT, steps(10, 50, 5), OSCILLATORS),
    Entry("dx", PERCENT, steps(10, 60, 5), OSCILLATORS),
    Entry("plus_di", PERCENT, steps(10, 50, 5), OSCILLATORS),
    Entry("minus_di", PERCENT, steps(10, 50, 5), OSCILLATORS),
    Entry("plus_dm", NOT_NEGATIVE),
    Entry("minus_dm", NOT_NEGATIVE),
    Entry("aroon", PERCENT, steps(10, 90, 10), OSCILLATORS, default_output="aroonup"),
    Entry("aroonosc", SIGNED_PERCENT, steps(-90, 90, 10), OSCILLATORS),
    Entry("vortex", NOT_NEGATIVE, steps(0.7, 1.3, 0.1), OSCILLATORS),
    Entry("er", UNIT, steps(0.1, 0.9, 0.1), OSCILLATORS),
    Entry("vhf", UNIT, steps(0.2, 0.7, 0.1), OSCILLATORS),
    Entry("fractal", PERCENT, (50.0,)),
)

_RATES = (
    Entry("mom", CENTRED, ZERO, AVERAGES),
    Entry("roc", CENTRED, _RATE, AVERAGES),
    Entry("rocp", CENTRED, ZERO),
    Entry("rocr", UNBOUNDED, (1.0,)),
    Entry("rocr100", UNBOUNDED, (100.0,)),
    Entry("trix", CENTRED, around_zero(0.05, 0.1, 0.2, 0.5), {"timeperiod": (5, 9, 14, 20, 30, 45)}),
    Entry(
        "coppock",
        CENTRED,
        _RATE,
        {"wmaperiod": (5, 10, 14), "roc1period": (8, 11, 14), "roc2period": (16, 20, 28)},
    ),
    Entry("dpo", CENTRED, ZERO, AVERAGES),
    Entry("qstick", CENTRED, ZERO, OSCILLATORS),
    Entry("eri", CENTRED, ZERO, OSCILLATORS, relations=Relations(chain("bearpower", "bullpower"))),
    Entry("wad", UNBOUNDED),
)

_PERIODS_12_26 = {"fastperiod": (5, 8, 12, 16, 20), "slowperiod": (13, 21, 26, 34, 50)}

_DIFFERENCES = (
    Entry(
        "macd",
        CENTRED,
        ZERO,
        {**_PERIODS_12_26, "signalperiod": (5, 9, 13)},
        ascending=FAST_SLOW,
        relations=_MACD,
    ),
    Entry("macdfix", CENTRED, ZERO, relations=_MACD),
    Entry("macdext", CENTRED, ZERO, ascending=FAST_SLOW, relations=_MACD),
    Entry("apo", CENTRED, ZERO, _PERIODS_12_26, ascending=FAST_SLOW),
    Entry("ppo", CENTRED, around_zero(0.1, 0.25, 0.5, 1.0, 2.0), _PERIODS_12_26, ascending=FAST_SLOW),
    Entry("ao", CENTRED, ZERO, {"fastperiod": (3, 5, 8, 13), "slowperiod": (21, 34, 55)}, ascending=FAST_SLOW),
    Entry(
        "ac",
        CENTRED,
        ZERO,
        {"fastperiod": (3, 5, 8, 13), "slowperiod": (21, 34, 55), "signalperiod": (3, 5, 8)},
        ascending=FAST_SLOW,
    ),
)

MOMENTUM = (*_OSCILLATORS, *_DIRECTIONAL, *_RATES, *_DIFFERENCES)
