"""Indicators: TA-Lib's own numbers under TA-Lib's own names, on declared scales, never infinite."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import talib
from talib import abstract

from forge_core.features.catalogue.talib import EXCLUDED
from forge_core.features.catalogue.undefined import UNDEFINED
from forge_core.features.registry import all_features, get_feature
from tests.features.sample_bars import choices, hostile, same, ticks, walk

OWN = {"rsi_sma", "ichimoku"}
FEATURES = [definition for definition in all_features() if definition.kind in ("indicator", "structure")]
INDICATORS = [definition for definition in FEATURES if definition.kind == "indicator"]
FROM_TALIB = [definition for definition in INDICATORS if definition.name not in OWN]
GROUPS = talib.get_function_groups()


def by_name(definition):
    return definition.name


def warm(column, lookback):
    """Return the values after the warm-up, without those that have none."""
    values = column[lookback:]
    return values[~np.isnan(values)]


def test_every_indicator_of_talib_is_there_but_the_excluded_ones():
    helpers = {*GROUPS["Math Operators"], *GROUPS["Math Transform"]}
    expected = {name.lower() for name in talib.get_functions() if name not in helpers} - set(EXCLUDED)
    assert {definition.name for definition in FROM_TALIB} == expected


@pytest.mark.parametrize("definition", FROM_TALIB, ids=by_name)
def test_names_and_defaults_are_talibs(definition):
    info = abstract.Function(definition.name.upper()).info
    assert {parameter.name: parameter.default for parameter in definition.parameters} == dict(info["parameters"])
    assert [output.name for output in definition.outputs] == list(info["output_names"])


@pytest.mark.parametrize("definition", FROM_TALIB, ids=by_name)
def test_whole_numbers_go_as_low_as_talib_goes(definition):
    function = abstract.Function(definition.name.upper())
    for parameter in definition.parameters:
        limits = (parameter.low, parameter.high) if parameter.integer else ()
        for limit, beyond in zip(limits, (-1, 1), strict=False):
            others = dict(definition.resolve({}))
            function.set_parameters({**others, parameter.name: int(limit)})
            assert function.lookback >= 0
            function.set_parameters({**others, parameter.name: int(limit) + beyond})
            assert function.lookback == -1


@pytest.mark.parametrize("definition", FROM_TALIB, ids=by_name)
def test_values_are_talibs_own(definition):
    function = abstract.Function(definition.name.upper())
    for bars in (walk(), ticks()):
        for params in choices(definition):
            full = dict(definition.resolve(params))
            expected = function(bars, **full)
            expected = expected if isinstance(expected, list) else [expected]
            lookback = definition.lookback(params)
            got = definition.compute(bars, params)
            for output, column in zip(definition.outputs, expected, strict=True):
                values = np.array(column, dtype=np.float64)
                values[:lookback] = np.nan
                values[np.isinf(values)] = np.nan
                if definition.name in UNDEFINED and bars["close"][210] == bars["close"][211]:  # where nothing moves
                    values[np.isnan(got[output.name])] = np.nan
                assert same(got[output.name], values)


@pytest.mark.parametrize("definition", INDICATORS, ids=by_name)
def test_the_lookback_is_where_the_values_begin(definition):
    bars = walk()
    for params in choices(definition):
        begins = [int(np.isnan(column).argmin()) for column in definition.compute(bars, params).values()]
        assert max(begins) == definition.lookback(params)
        if definition.name != "ichimoku":  # whose spans begin later than its other lines
            assert len(set(begins)) == 1


@pytest.mark.parametrize("definition", FEATURES, ids=by_name)
def test_columns_are_fresh_contiguous_floats_and_bars_may_be_read_only(definition):
    bars = walk()
    before = {name: column.copy() for name, column in bars.items()}
    for column in bars.values():
        column.flags.writeable = False
    columns = definition.compute(bars, {})
    assert list(columns) == [output.name for output in definition.outputs]
    for column in columns.values():
        assert column.dtype == np.float64
        assert column.flags.c_contiguous
        assert column.shape == bars["close"].shape
    assert all(np.array_equal(bars[name], before[name]) for name in bars)


@pytest.mark.parametrize("definition", FEATURES, ids=by_name)
def test_no_value_is_ever_infinite(definition):
    for bars in (ticks(), hostile(), hostile(seed=4)):
        for params in choices(definition):
            assert not any(np.isinf(column).any() for column in definition.compute(bars, params).values())


def test_a_division_by_zero_gives_no_value():
    size = 60
    bars = {"open": np.zeros(size), "high": np.ones(size), "low": -np.ones(size), "close": np.zeros(size)}
    columns = get_feature("range").compute({**bars, "volume": np.ones(size)}, {})
    assert np.isnan(columns["width"]).all()  # a width in percent of a middle at zero
    assert (columns["position"][20:] == 0.5).all()


@pytest.mark.parametrize("size", [0, 1, 2, 20])
@pytest.mark.parametrize("definition", FEATURES, ids=by_name)
def test_too_few_bars_give_no_values_and_no_error(definition, size):
    bars = {name: column[:size].copy() for name, column in walk().items()}
    columns = definition.compute(bars, {}).values()
    assert all(column.shape == (size,) for column in columns)
    assert any(np.isnan(column[: definition.lookback({})]).all() for column in columns)


@pytest.mark.parametrize("definition", FEATURES, ids=by_name)
def test_bounded_outputs_stay_within_their_bounds(definition):
    for bars in (walk(), walk(seed=5), ticks(), ticks(seed=6)):
        for params in choices(definition):
            columns = definition.compute(bars, params)
            for output in definition.outputs:
                values = warm(columns[output.name], definition.lookback(params))
                if output.scale.kind == "bounded" and values.size:
                    slack = 1e-9 * (output.scale.high - output.scale.low)  # the rounding of running sums
                    assert values.min() >= output.scale.low - slack
                    assert values.max() <= output.scale.high + slack


@pytest.mark.parametrize("definition", FEATURES, ids=by_name)
def test_price_outputs_lie_near_prices(definition):
    bars = walk()
    for params in choices(definition):
        columns = definition.compute(bars, params)
        for output in definition.outputs:
            if output.scale.kind == "price":
                share = warm(columns[output.name] / bars["close"], definition.lookback(params))
                assert share.size
                assert 0.6 < share.min() <= share.max() < 1.6


@pytest.mark.parametrize("definition", FEATURES, ids=by_name)
def test_doubled_prices_double_price_outputs_and_leave_bounded_ones_alone(definition):
    for bars in (walk(), ticks()):
        doubled = {name: column * (1.0 if name == "volume" else 2.0) for name, column in bars.items()}
        for params in choices(definition):
            one, two = definition.compute(bars, params), definition.compute(doubled, params)
            for output in definition.outputs:
                factor = {"price": 2.0, "bounded": 1.0}.get(output.scale.kind)
                if factor is not None:
                    np.testing.assert_allclose(two[output.name], factor * one[output.name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "silent_at"), [("vwma", 20), ("cmf", 20), ("rvol", 21)])
def test_no_volume_means_no_value(name, silent_at):
    bars = walk()
    bars["volume"][90] = 1e9  # leaves rounding residue in TA-Lib's running sums
    bars["volume"][100:150] = 0.0
    definition = get_feature(name)
    params = {"timeperiod": 20}
    column = definition.compute(bars, params)["real"]
    first = 100 + silent_at - 1
    assert np.isnan(column[first:150]).all()
    around = np.concatenate([column[definition.lookback(params) : first], column[151:]])
    assert not np.isnan(around).any()
    if name == "vwma":
        assert (column[151:] < 2.0 * bars["close"].max()).all()


def test_lookbacks_asked_from_many_threads_do_not_mix():
    definition = get_feature("ema")
    periods = [*range(2, 200)] * 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: definition.lookback({"timeperiod": n}), periods)) == [n - 1 for n in periods]


@pytest.mark.parametrize("timeperiod", [2, 14, 30])
def test_rsi_sma_is_the_rolling_mean_rsi(timeperiod):
    bars = walk(size=2_000)
    change = pd.Series(bars["close"]).diff()
    gain = change.clip(lower=0.0).rolling(timeperiod).mean()
    loss = (-change).clip(lower=0.0).rolling(timeperiod).mean()
    expected = 100.0 - 100.0 / (1.0 + gain / loss)
    got = get_feature("rsi_sma").compute(bars, {"timeperiod": timeperiod})["real"]
    np.testing.assert_allclose(got, expected, rtol=0.0, atol=1e-7)
    wilder = get_feature("rsi").compute(bars, {"timeperiod": timeperiod})["real"]
    assert np.nanmax(np.abs(got - wilder)) > 1.0


NEUTRAL = {
    "aroon": 100.0,  # the newest bar is as high and as low as any
    "aroonosc": 0.0,
    "percentrank": 0.0,  # no value is below the present one
    "rocr": 1.0,
    "rocr100": 100.0,
    "fractal": 0.0,
    "nvi": 1000.0,  # counted from there
    "pvi": 1000.0,
    "obv": 8.0,
    **dict.fromkeys(("ad", "pvt", "wad"), 0.0),
    **dict.fromkeys(("avgdev", "stddev", "var", "atr", "natr", "trange", "adr", "plus_dm", "minus_dm"), 0.0),
    **dict.fromkeys(("marketfi",), 0.0),  # range by volume
    **dict.fromkeys(("rvol",), 1.0),
    "cmf": 0.0,
}
"""What is defined where no price moves, on every bar, prices and the centred outputs (0) apart."""


@pytest.mark.parametrize("definition", INDICATORS, ids=by_name)
def test_a_flat_market_is_neither_high_nor_low(definition):
    bars = {name: np.full(200, 100.0) for name in ("open", "high", "low", "close")}
    bars["volume"] = np.full(200, 8.0)
    for params in choices(definition):
        columns = definition.compute(bars, params)
        for output in definition.outputs:
            values = columns[output.name][definition.lookback(params) :]
            if definition.name in ("mama", "sarext", "supertrend") or definition.name.startswith("cdl"):
                continue  # seeded with other than prices; a sign, not a level
            if output.scale.kind == "price":
                np.testing.assert_allclose(values, 100.0, rtol=1e-12)
            elif np.isnan(values).all():
                assert definition.name in UNDEFINED
            else:
                np.testing.assert_allclose(values, NEUTRAL.get(definition.name, 0.0), rtol=0.0, atol=1e-9)
                assert definition.name in NEUTRAL or output.scale.kind == "centred"


FLAT_FROM, FLAT_TO = 200, 330
WINDOWS = {
    "cmou": {"timeperiod": 9},
    "rsi_sma": {"timeperiod": 9},
    "er": {"timeperiod": 9},
    "vhf": {"timeperiod": 10},
    "willr": {"timeperiod": 10},
    "cci": {"timeperiod": 10},
    "imi": {"timeperiod": 10},
    "mfi": {"timeperiod": 9},
    "vortex": {"timeperiod": 9},
    "ultosc": {"timeperiod1": 9},
    "stochf": {"fastk_period": 10, "fastd_period": 1},
    "stoch": {"fastk_period": 6, "slowk_period": 3, "slowd_period": 3},
    "kdj": {"fastk_period": 10, "slowk_period": 1, "slowd_period": 1},
    "stochrsi": {"fastk_period": 10, "fastd_period": 1},
    "correl": {"timeperiod": 10},
    "beta": {"timeperiod": 9},
    "ht_sine": {},
    "ht_trendmode": {},
    "ht_dcperiod": {},
    "ht_dcphase": {},
}
"""Parameters with which these look at the last ten bars (the stochastic less, its cycles more)."""


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_in_which_nothing_moves_has_no_value_and_its_neighbours_have_talibs(name):
    bars = walk()
    for field in ("open", "high", "low", "close"):
        bars[field][FLAT_FROM:FLAT_TO] = bars["close"][FLAT_FROM]
    definition = get_feature(name)
    columns = definition.compute(bars, WINDOWS[name])
    for output, column in columns.items():
        empty = np.flatnonzero(np.isnan(column[definition.lookback(WINDOWS[name]) :])) + definition.lookback(
            WINDOWS[name]
        )
        if name.startswith("ht_"):
            assert empty.tolist() == list(range(FLAT_FROM + 63, FLAT_TO))
        elif name == "stoch":
            assert empty[0] == FLAT_FROM + 5
            assert empty[-1] == FLAT_TO - 1 + (2 if output == "slowk" else 4)
        else:
            assert empty.tolist() == list(range(FLAT_FROM + 9, FLAT_TO))


@pytest.mark.parametrize("name", ["rsi", "cmo", "tsi", "rvi", "smi", "plus_di", "dx", "adx", "adxr", "massi"])
def test_before_the_first_move_there_is_no_strength_and_after_it_talibs_own(name):
    bars = walk()
    for field in ("open", "high", "low", "close"):
        bars[field][:150] = bars["close"][149]
        bars[field][250:] = bars["close"][250]
    definition = get_feature(name)
    expected = abstract.Function(name.upper())(bars)
    expected = expected if isinstance(expected, list) else [expected]
    for column, talibs in zip(definition.compute(bars, {}).values(), expected, strict=True):
        assert np.isnan(column[:150]).all()
        assert same(column[150:], talibs[150:])  # long after the last move too: their averages remember


def test_a_strength_that_cannot_rise_further_is_not_oversold():
    bars = walk()
    bars["close"] = np.linspace(100.0, 200.0, bars["close"].size)
    assert np.isnan(get_feature("stochrsi").compute(bars, {})["fastk"]).all()


@pytest.mark.parametrize("name", ["mfi", "pvo", "vwap", "marketfi"])
def test_bars_that_never_trade_give_no_volume_indicator(name):
    bars = walk()
    bars["volume"][:] = 0.0
    assert np.isnan(get_feature(name).compute(bars, {})["real"]).all()


@pytest.mark.parametrize(
    "params", [{}, {"tenkan_period": 5, "kijun_period": 17, "senkou_period": 44, "displacement": 10}]
)
def test_ichimoku_is_four_lines_of_window_middles(params):
    bars = walk(size=300)
    definition = get_feature("ichimoku")
    full = dict(definition.resolve(params))
    high, low = pd.Series(bars["high"]), pd.Series(bars["low"])

    def middle(window):
        return (high.rolling(window).max() + low.rolling(window).min()) / 2

    tenkan, kijun = middle(full["tenkan_period"]), middle(full["kijun_period"])
    expected = {
        "tenkan": tenkan,
        "kijun": kijun,
        "senkou_a": ((tenkan + kijun) / 2).shift(full["displacement"]),
        "senkou_b": middle(full["senkou_period"]).shift(full["displacement"]),
    }
    got = definition.compute(bars, params)
    assert list(got) == list(expected)
    for name, column in expected.items():
        np.testing.assert_allclose(got[name], column, rtol=1e-12)


def test_supertrend_gives_a_line_and_a_direction():
    bars = walk()
    columns = get_feature("supertrend").compute(bars, {})
    line, way = columns["supertrend"][10:], columns["trend"][10:]
    assert set(np.unique(way)) == {-1.0, 1.0}
    assert (np.sign(bars["close"][10:] - line) == way).all()
