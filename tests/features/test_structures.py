"""Structures: the numba kernels against plain Python, on random bars full of equal prices, and by hand."""

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.features.registry import get_feature
from tests.features import naive_structures as naive
from tests.features.sample_bars import same, ticks, walk


@st.composite
def small_bars(draw, most=60):
    """Bars on a coarse tick (step of the low, low to high, to close, to open): equal prices, gaps, outside bars."""
    size = draw(st.integers(0, most))  # drawn first, or lists come out short
    offset = st.integers(0, 4)
    row = st.tuples(st.integers(-2, 2), st.sampled_from([0, 1, 2, 3, 9]), offset, offset)
    rows = draw(st.lists(row, min_size=size, max_size=size))
    low = 200.0 + np.cumsum([row[0] for row in rows])
    high = low + np.array([row[1] for row in rows], dtype=np.float64)
    close, open_ = (np.minimum(low + np.array([row[k] for row in rows], dtype=np.float64), high) for k in (2, 3))
    return {"open": open_, "high": high, "low": low, "close": close, "volume": np.ones(low.size)}


strengths = st.integers(1, 3)
repeatable = settings(deadline=None, derandomize=True)  # the first example compiles the kernel
STRUCTURES = ("swings", "trend", "breaks", "zones", "fibonacci", "range")


def assert_is_naive(name, bars, params, at_bar):
    """Compare every value of a structure with a plain-Python function of the bars up to it."""
    got = get_feature(name).compute(bars, params)
    plain = {key: column.tolist() for key, column in bars.items()}
    expected = [at_bar(plain, i) for i in range(bars["close"].size)]
    for output in expected[0] if expected else ():
        column = [values[output] for values in expected]
        np.testing.assert_allclose(got[output], column, rtol=1e-12, atol=1e-12, err_msg=output)


@repeatable
@given(small_bars(), strengths, strengths)
def test_swings(bars, left, right):
    params = {"left": left, "right": right}
    assert_is_naive("swings", bars, params, lambda plain, i: naive.swings(plain, i, left, right))
    assert_is_naive("trend", bars, params, lambda plain, i: naive.trend(plain, i, left, right))


@repeatable
@given(small_bars(most=40), strengths, strengths)
def test_breaks(bars, left, right):
    params = {"left": left, "right": right}
    assert_is_naive("breaks", bars, params, lambda plain, i: naive.breaks(plain, i, left, right))


@repeatable
@given(small_bars(), strengths, strengths)
def test_fibonacci(bars, left, right):
    params = {"left": left, "right": right}
    assert_is_naive("fibonacci", bars, params, lambda plain, i: naive.fibonacci(plain, i, left, right))


@repeatable
@given(small_bars(), st.integers(2, 12))
def test_range(bars, lookback):
    assert_is_naive("range", bars, {"lookback": lookback}, lambda plain, i: naive.price_range(plain, i, lookback))


@repeatable
@given(small_bars(), st.integers(1, 2), st.integers(4, 25), st.sampled_from([0.0, 0.3, 1.0, 5.0]))
def test_zones(bars, strength, lookback, tolerance):
    params = {"strength": strength, "lookback": lookback, "tolerance": tolerance}
    atr = talib.ATR(bars["high"], bars["low"], bars["close"], 14).tolist()

    def both_sides(plain, i):
        support, support_touches = naive.zone(plain, i, "low", atr=atr, **params)
        resistance, resistance_touches = naive.zone(plain, i, "high", atr=atr, **params)
        return {
            "support": support,
            "resistance": resistance,
            "support_touches": support_touches,
            "resistance_touches": resistance_touches,
        }

    assert_is_naive("zones", bars, params, both_sides)


@repeatable
@given(small_bars(), st.sampled_from(STRUCTURES), st.data())
def test_later_bars_change_nothing(bars, name, data):
    size = bars["close"].size
    cut = data.draw(st.integers(0, size))
    definition = get_feature(name)
    params = {"strength": 2, "lookback": 12} if name == "zones" else {"lookback": 5} if name == "range" else {}
    whole = definition.compute(bars, params)
    short = definition.compute({key: column[:cut].copy() for key, column in bars.items()}, params)
    assert all(same(whole[output][:cut], short[output]) for output in whole)


@pytest.mark.parametrize("name", ["swings", "trend", "breaks", "fibonacci", "zones"])
@pytest.mark.parametrize("bars", [walk(), ticks()], ids=["walk", "ticks"])
def test_upside_down_bars_give_upside_down_structures(name, bars):
    flipped = {
        "open": -bars["open"], "high": -bars["low"], "low": -bars["high"], "close": -bars["close"],
        "volume": bars["volume"],
    }  # fmt: skip
    swap = {"last_high": "last_low", "label_high": "label_low", "support": "resistance"}
    swap |= {"support_touches": "resistance_touches"}
    swap |= {other: one for one, other in swap.items()}
    unsigned = ("retracement", "support_touches", "resistance_touches")
    one, other = get_feature(name).compute(bars, {}), get_feature(name).compute(flipped, {})
    for output, column in one.items():
        factor = 1.0 if output in unsigned else -1.0
        np.testing.assert_allclose(other[swap.get(output, output)], factor * column, rtol=1e-9, atol=1e-9)


def staircase():
    """Up to 110, down to 104, up to 114, down to 108, up to 118, then down through 108: two swings of each kind."""
    close = np.concatenate(
        [
            np.arange(100.0, 110.0), np.arange(110.0, 104.0, -1.0), np.arange(104.0, 114.0),
            np.arange(114.0, 108.0, -1.0), np.arange(108.0, 118.0), np.arange(118.0, 100.0, -1.0),
        ]
    )  # fmt: skip
    return {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": np.ones(close.size)}


def test_a_rising_staircase_breaks_upwards_until_it_falls_through_its_last_low():
    bars = staircase()
    params = {"left": 2, "right": 2}
    labels = get_feature("swings").compute(bars, params)
    peak = int(np.flatnonzero(bars["close"] == 114.0)[0])
    assert labels["last_high"][peak + 1] == 110.5  # the peak itself is not known before two bars have passed
    assert labels["last_high"][peak + 2] == 114.5
    assert labels["label_high"][peak + 2] == 1.0

    state = get_feature("trend").compute(bars, params)["state"]
    assert state[peak + 8] == 1.0  # once the higher low at 108 is known as well

    events = get_feature("breaks").compute(bars, params)
    ups, downs = np.flatnonzero(events["bos"] == 1.0), np.flatnonzero(events["choch"] == -1.0)
    assert bars["close"][ups].tolist() == [111.0, 115.0]
    assert bars["close"][downs].tolist() == [107.0]
    assert not (events["bos"] == -1.0).any()
    assert events["direction"][downs[0] - 1] == 1.0
    assert (events["direction"][downs[0] :] == -1.0).all()


def test_fibonacci_levels_divide_the_last_leg():
    bars = staircase()
    columns = get_feature("fibonacci").compute(bars, {"left": 2, "right": 2})
    top = int(np.flatnonzero(bars["close"] == 118.0)[0]) + 2  # the high is known two bars later: leg 107.5 to 118.5
    assert columns["direction"][top] == 1.0
    assert columns["level_500"][top] == 113.0
    assert columns["level_382"][top] == pytest.approx(118.5 - 0.382 * 11.0)
    assert columns["retracement"][top] == pytest.approx((118.5 - 116.0) / 11.0)


def test_a_bar_that_is_swing_high_and_low_at_once_makes_a_leg_of_its_own():
    middle = np.array([100.0, 101.0, 102.0, 101.0, 100.0, 100.5, 101.0, 100.5, 100.0])
    bars = {"open": middle, "high": middle + 1.0, "low": middle - 1.0, "close": middle, "volume": np.ones(9)}
    bars["high"][6], bars["low"][6] = 120.0, 90.0
    columns = get_feature("fibonacci").compute(bars, {"left": 1, "right": 1})
    assert columns["direction"][5] == -1.0  # from the high of bar 2 down to the low of bar 4
    assert columns["direction"][7] == -1.0  # ends in a low as before: up to 120 first, then down to 90
    assert columns["level_500"][7] == 105.0


@pytest.mark.parametrize(("close", "direction"), [(110.0, 1.0), (100.0, 1.0), (95.0, -1.0)])
def test_a_first_swing_that_is_high_and_low_at_once_makes_the_first_leg(close, direction):
    middle = np.full(5, 100.0)
    bars = {"open": middle, "high": middle + 1.0, "low": middle - 1.0, "close": middle.copy(), "volume": np.ones(5)}
    bars["high"][2], bars["low"][2], bars["close"][2] = 120.0, 90.0, close
    definition = get_feature("fibonacci")
    columns = definition.compute(bars, {"left": 1, "right": 1})
    assert np.isnan(columns["direction"][:3]).all()
    assert (columns["direction"][3:] == direction).all()
    assert (columns["level_500"][3:] == 105.0).all()
    assert definition.lookback({"left": 1, "right": 1}) == 2


def test_a_zone_counts_the_swings_of_lookback_bars_and_no_more():
    size, lookback, bottom = 60, 20, 30
    low = np.full(size, 100.0)
    low[bottom] = 90.0
    bars = {"open": low, "high": low + 1.0, "low": low, "close": low, "volume": np.ones(size)}
    support = get_feature("zones").compute(bars, {"lookback": lookback, "strength": 2})["support"]
    assert np.flatnonzero(support == 90.0).tolist() == list(range(bottom + 2, bottom + lookback))


def test_a_double_top_to_the_tick_counts_once_though_talib_passes_it_over():
    high = np.array([1.0, 2.0, 5.0, 5.0, 2.0, 1.0, 1.0, 0.5])
    bars = {"open": high, "high": high, "low": high - 0.5, "close": high, "volume": np.ones(8)}
    last_high = get_feature("swings").compute(bars, {"left": 2, "right": 2})["last_high"]
    assert np.isnan(last_high[:4]).all()
    assert (last_high[4:] == 5.0).all()
    assert not talib.FRACTAL(bars["high"], bars["low"], 2, 2)[0].any()


def test_swings_find_every_fractal_of_talib():
    bars = walk(size=2_000)  # no two prices alike
    flags = talib.FRACTAL(bars["high"], bars["low"], 3, 2)[0]
    last_high = get_feature("swings").compute(bars, {"left": 3, "right": 2})["last_high"]
    confirmed = np.flatnonzero(flags == 100)
    assert (last_high[confirmed] == bars["high"][confirmed - 2]).all()
    changes = np.flatnonzero(np.diff(last_high[confirmed[0] :]) != 0) + confirmed[0] + 1
    assert set(changes) <= set(confirmed)


def test_a_support_zone_is_where_lows_meet_and_price_can_fall_through_it():
    bars = walk(size=3_000)
    columns = get_feature("zones").compute(bars, {"lookback": 20, "strength": 2})
    crossed = (bars["close"][1:] < columns["support"][1:]) & (bars["close"][:-1] >= columns["support"][:-1])
    assert crossed.sum() > 50
    assert np.nanmax(columns["support_touches"]) > 2
