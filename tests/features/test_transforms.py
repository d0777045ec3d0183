"""Transforms of columns: against pandas, SciPy and TA-Lib, without look-ahead, undefined where their window is."""

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from forge_core.engine.backtest import GENERIC_INSTRUMENT
from forge_core.errors import PlayError
from forge_core.features.registry import column_scale, make_reference
from forge_core.features.scale import Scale
from forge_core.features.transforms import TRANSFORMS, apply_transform, transformed_scale
from forge_core.feeds.build import feed_from_bars
from tests.features.sample_bars import hostile, same, ticks, walk

PRICE, OTHER = Scale("price"), Scale("unbounded")
STEPS = ("distance", "zscore:2", "zscore:30", "percentile_rank:2", "percentile_rank:25", "slope:2", "slope:21", "lag:1")
SAMPLES = (walk, ticks, hostile)


def applied(values, step, close=None, scale=OTHER):
    values = np.asarray(values, float)
    return apply_transform(values, np.ones(values.size) if close is None else close, scale, step)


def frame(bars) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=bars["close"].size, freq="1h", tz="UTC", unit="us", name="timestamp")
    return pd.DataFrame(bars, index=index)


@pytest.mark.parametrize("window", [2, 3, 30])
@pytest.mark.parametrize("sample", SAMPLES)
def test_zscore_is_the_deviation_from_the_rolling_mean(sample, window):
    close = pd.Series(sample()["close"])
    rolling = close.rolling(window)
    moves = rolling.max() > rolling.min()
    expected = ((close - rolling.mean()) / rolling.std(ddof=0)).where(moves)
    np.testing.assert_allclose(applied(close, f"zscore:{window}"), expected, rtol=1e-7, atol=1e-7)


def test_zscore_keeps_its_precision_after_a_huge_value():
    values = np.random.default_rng(1).normal(0.0, 1.0, 300)
    values[100] = 1e12
    got = applied(values, "zscore:50")
    for i in (149, 150, 151, 180, 210):
        window = values[i - 49 : i + 1]
        assert got[i] == pytest.approx((values[i] - window.mean()) / window.std(), rel=1e-6)


@pytest.mark.parametrize("window", [2, 25])
@pytest.mark.parametrize("sample", SAMPLES)
def test_percentile_rank_is_that_among_the_other_values_of_the_window(sample, window):
    close = sample()["close"]
    expected = [
        percentileofscore(close[i - window + 1 : i], close[i], kind="mean") if i >= window - 1 else np.nan
        for i in range(close.size)
    ]
    np.testing.assert_allclose(applied(close, f"percentile_rank:{window}"), expected, atol=1e-9)


@pytest.mark.parametrize("window", [2, 5, 60])
@pytest.mark.parametrize("sample", SAMPLES)
def test_slope_is_that_of_the_regression_line(sample, window):
    close = sample()["close"]
    expected = talib.LINEARREG_SLOPE(close, window)
    np.testing.assert_allclose(applied(close, f"slope:{window}"), expected, rtol=1e-7, atol=1e-9)


def test_slope_and_distance_of_a_price_are_in_percent_of_the_close():
    close = np.array([100.0, 102.0, 104.0, 0.0, -50.0])
    line = np.array([90.0, 102.0, 130.0, 7.0, -60.0])
    assert applied(line, "distance", close, PRICE).tolist()[:3] == [-10.0, 0.0, 25.0]
    assert np.isnan(applied(line, "distance", close, PRICE)[3])
    assert applied(line, "distance", close, PRICE)[4] == -20.0  # below a negative close
    np.testing.assert_allclose(applied(line, "slope:2", close, PRICE)[1:3], [1200 / 102, 2800 / 104])


def test_lag_is_the_value_that_many_bars_ago():
    assert applied([1.0, 2.0, 3.0], "lag:2").tolist()[2:] == [1.0]
    assert np.isnan(applied([1.0, 2.0, 3.0], "lag:5")).all()


@pytest.mark.parametrize("step", [step for step in STEPS if ":" in step and step != "lag:1"])
def test_a_window_with_an_undefined_value_is_undefined(step):
    values = walk()["close"].copy()
    values[[0, 1, 100]] = np.nan
    window = int(step.partition(":")[2])
    undefined = np.isnan(applied(values, step))
    assert undefined[100 : 100 + window].all()
    assert not undefined[100 + window :].any()
    assert undefined[: 1 + window].all()
    assert not undefined[1 + window : 100].any()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_no_value_depends_on_later_ones(sample, step):
    close, noise = sample()["close"], 3.0 * walk(seed=9)["close"]
    whole = applied(close, step, close, PRICE)
    for cut in (0, 1, 60, 215, 262, 419):
        assert same(applied(close[:cut], step, close[:cut], PRICE), whole[:cut])
        mixed = np.concatenate([close[:cut], noise[cut:]])
        assert same(applied(mixed, step, mixed, PRICE)[:cut], whole[:cut])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, np.nan]), max_size=30), st.integers(2, 4))
def test_values_keep_to_their_scales(values, window):
    rank = applied(values, f"percentile_rank:{window}")
    assert ((rank >= 0) & (rank <= 100) | np.isnan(rank)).all()
    score = applied(values, f"zscore:{window}")
    assert (np.abs(score[~np.isnan(score)]) <= np.sqrt(window - 1) + 1e-9).all()


def test_scales_of_transforms():
    bounded, volume = Scale("bounded", 0.0, 100.0), Scale("volume")
    for scale in (PRICE, OTHER, bounded, volume):
        assert transformed_scale(scale, "zscore:20") == Scale("zscore")
        assert transformed_scale(scale, "percentile_rank:20") == bounded
        assert transformed_scale(scale, "lag:20") == scale
    assert transformed_scale(PRICE, "distance") == transformed_scale(PRICE, "slope:5") == Scale("percent")
    assert transformed_scale(volume, "slope:5") == Scale("centred")
    with pytest.raises(PlayError, match=r"it takes a price, not a column that is bounded 0\.\.100"):
        make_reference("rsi", {}, timeframe="1h", transform="distance")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("zscor:20", r"unknown transform 'zscor' \(did you mean 'zscore'"),
        ("zscore", "zscore takes a window"),
        ("distance:3", "distance takes no window"),
        ("zscore:1", "the window is 1; it must be a whole number from 2 to 5000"),
        ("lag:5001", "the window is 5001"),
        ("lag:02", "the window is '02'"),
    ],
)
def test_an_impossible_step_is_refused(step, why):
    with pytest.raises(PlayError, match=why):
        make_reference("ema", {}, timeframe="1h", transform=step)


@pytest.mark.parametrize("timeframe", ["1h", "4h"])
def test_a_feed_computes_transforms_on_the_bars_of_the_columns_own_timeframe(timeframe):
    feed = feed_from_bars(frame(walk()), instrument=GENERIC_INSTRUMENT, timeframe="1h")
    ema = make_reference("ema", {"timeperiod": 5}, timeframe=timeframe)
    native = feed_from_bars(frame(walk()), instrument=GENERIC_INSTRUMENT, timeframe="1h").columns
    plain = native.column(ema)
    for step in ("zscore:10", "slope:10|streak", "lag:3"):
        got = feed.columns.column(make_reference("ema", {"timeperiod": 5}, timeframe=timeframe, transform=step))
        bars = slice(None) if timeframe == "1h" else slice(3, None, 4)  # a 4h bar closes with every fourth 1h bar
        expected = apply_transform(plain[bars], walk()["close"][bars], PRICE, step)
        assert same(got[bars], expected)


@pytest.mark.parametrize("step", [step for transform in TRANSFORMS.values() for step in transform.steps])
def test_warm_up_ends_at_the_first_value(step):
    feed = feed_from_bars(frame(walk()), instrument=GENERIC_INSTRUMENT, timeframe="1h")
    reference = make_reference("ema", {"timeperiod": 9}, timeframe="1h", transform=step)
    values = feed.columns.column(reference)
    first = feed.columns.warmup(reference)
    assert np.isnan(values[:first]).all()
    assert not np.isnan(values[first])
    assert column_scale(reference) == transformed_scale(PRICE, step)
