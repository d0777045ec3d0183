"""Mirrored markets: what they keep of the real one, and what they lose."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forge_core.evidence.markets.market import Market
from forge_core.evidence.markets.mirrored import mirror_prices, mirrored_markets
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe

SPOT = Instrument(symbol="SIM", kind="spot", tick=0.01, lot=0.0001)


def hourly(days: int, seed: int, *, memory: float = 0.0, drift: float = 0.0, other: np.ndarray | None = None):
    """Bars with a session's pattern, clustered volatility, gaps, and returns that continue with ``memory``."""
    rng = np.random.default_rng(seed)
    size = days * 24
    shock = rng.standard_normal(size) if other is None else 0.8 * other + 0.6 * rng.standard_normal(size)
    level = np.zeros(size)
    for i in range(1, size):
        level[i] = 0.98 * level[i - 1] + 0.15 * rng.standard_normal()
    hour = 1.0 + 0.8 * np.sin(np.arange(size) % 24 / 24 * 2 * np.pi)
    signs = np.sign(shock)
    for i in range(1, size):
        if rng.random() < memory:
            signs[i] = signs[i - 1]
    body = 0.003 * np.abs(shock) * signs * hour * np.exp(level) + drift
    gap = 0.0005 * rng.standard_normal(size)
    close = np.log(100) + np.cumsum(body + gap)
    opens = close - body
    reach = 0.002 * rng.random((2, size))
    frame = pd.DataFrame(
        {
            "open": np.exp(opens),
            "high": np.exp(np.maximum(opens, close) + reach[0]),
            "low": np.exp(np.minimum(opens, close) - reach[1]),
            "close": np.exp(close),
            "volume": 1e6 * rng.uniform(1, 9, size),
        },
        index=pd.date_range("2020-01-01", periods=size, freq="h", tz="UTC", unit="us", name="timestamp"),
    )
    return frame, shock


def market(bars: pd.DataFrame, start: int = 240, **changes) -> Market:
    plain = Market(SPOT, "1h", bars, {}, bars.index[start])
    return replace(plain, **changes)


def mirrored(real: Market, seed: int = 0) -> Market:
    return mirrored_markets({"a": real}, np.random.default_rng(seed))["a"]


def moves(bars: pd.DataFrame) -> np.ndarray:
    return np.diff(np.log(bars["close"].to_numpy()))


def autocorrelation(values: np.ndarray, lag: int = 1) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def test_it_ends_where_the_real_one_ended_and_starts_where_it_started() -> None:
    real = market(hourly(60, 1, drift=0.0004)[0])
    for seed in range(5):
        other = mirrored(real, seed)
        assert other.bars["open"].iloc[0] == pytest.approx(real.bars["open"].iloc[0], rel=1e-12)
        for bar in (239, -1):  # lead-in and the rest keep drifts of their own
            assert other.bars["close"].iloc[bar] == pytest.approx(real.bars["close"].iloc[bar], rel=1e-9)
        assert not np.allclose(other.bars["close"], real.bars["close"], rtol=1e-3)


def test_bars_stay_bars_with_their_volume_and_times() -> None:
    real = market(hourly(60, 2)[0])
    bars = mirrored(real).bars
    assert (bars["high"] >= bars[["open", "close", "low"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close", "high"]].min(axis=1)).all()
    assert (bars["low"] > 0).all()
    pd.testing.assert_series_equal(bars["volume"], real.bars["volume"])
    assert bars.index.equals(real.bars.index)


def test_sizes_of_moves_their_clustering_and_the_pattern_of_the_day_stay() -> None:
    real = market(hourly(120, 3)[0])
    before, after = moves(real.bars), moves(mirrored(real).bars)
    quantiles = np.linspace(0.05, 1.0, 20)
    np.testing.assert_allclose(
        np.quantile(np.abs(after), quantiles), np.quantile(np.abs(before), quantiles), rtol=0.02, atol=3e-5
    )
    for lag in (1, 5, 24):
        assert autocorrelation(after**2, lag) == pytest.approx(autocorrelation(before**2, lag), abs=0.02)
    hours = np.arange(before.size) % 24
    by_hour = [np.abs(values).astype(float) for values in (before, after)]
    for hour in range(24):
        first, second = (values[hours == hour].mean() for values in by_hour)
        assert second == pytest.approx(first, rel=0.04)


def test_what_a_move_tells_of_the_next_is_gone() -> None:
    real = market(hourly(240, 4, memory=0.5)[0])
    assert autocorrelation(np.sign(moves(real.bars))) > 0.3
    found = [autocorrelation(np.sign(moves(mirrored(real, seed).bars))) for seed in range(20)]
    assert abs(np.mean(found)) < 0.01
    assert np.abs(found).max() < 4 / np.sqrt(len(real.bars))


def test_symbols_that_move_together_still_do() -> None:
    first, shock = hourly(120, 5)
    second, _ = hourly(120, 6, other=shock)
    pair = {"a": market(first), "b": market(second)}
    turned = mirrored_markets(pair, np.random.default_rng(7))
    real = np.corrcoef(moves(first), moves(second))[0, 1]
    assert real > 0.4
    assert np.corrcoef(moves(turned["a"].bars), moves(turned["b"].bars))[0, 1] == pytest.approx(real, abs=0.02)


def test_coarser_bars_are_those_of_the_mirrored_ones_and_their_lead_in_joins_at_the_real_price() -> None:
    frame, _ = hourly(200, 8)
    day = Timeframe.parse("1d")
    daily = resample_bars(frame, day, session=SPOT.session)
    real = market(frame.iloc[100 * 24 :], start=48, higher={"1d": daily})
    other = mirrored(real)
    bars = other.higher["1d"]
    assert bars.index.equals(daily.index)
    expected = resample_bars(other.bars, day, session=SPOT.session)
    pd.testing.assert_frame_equal(bars.iloc[100:], expected, check_freq=False)
    assert bars["close"].iloc[99] == pytest.approx(daily["close"].iloc[99], rel=1e-9)
    assert not np.allclose(bars["close"].iloc[:99], daily["close"].iloc[:99], rtol=1e-3)


def test_the_gap_between_contracts_is_not_turned() -> None:
    frame, _ = hourly(60, 9)
    roll = 700
    frame.loc[frame.index[roll] :, ["open", "high", "low", "close"]] *= 1.3
    future = SPOT.model_copy(update={"kind": "future", "initial_margin": 1000.0})
    real = market(frame, instrument=future, roll_dates=frame.index[[roll]])
    for seed in range(6):
        bars = mirrored(real, seed).bars
        gap = np.log(bars["open"].iloc[roll] / bars["close"].iloc[roll - 1])
        assert gap == pytest.approx(np.log(frame["open"].iloc[roll] / frame["close"].iloc[roll - 1]), abs=1e-12)
        assert bars["close"].iloc[-1] == pytest.approx(frame["close"].iloc[-1], rel=1e-9)


def test_prices_that_may_be_negative_are_mirrored_by_differences() -> None:
    frame, _ = hourly(60, 10)
    frame[["open", "high", "low", "close"]] -= 100.0
    real = market(frame, instrument=SPOT.model_copy(update={"positive_prices": False}))
    bars = mirrored(real).bars
    assert bars["close"].iloc[-1] == pytest.approx(frame["close"].iloc[-1], abs=1e-8)
    before, after = (np.abs(np.diff(f["close"].to_numpy())) for f in (frame, bars))
    assert np.quantile(after, 0.9) == pytest.approx(np.quantile(before, 0.9), rel=0.05)


def test_heads_alone_change_nothing() -> None:
    frame, _ = hourly(10, 11)
    prices = {name: np.log(frame[name].to_numpy()) for name in ("open", "high", "low", "close")}
    kept = mirror_prices(prices, np.ones(240, bool), np.zeros(240, bool), 24)
    for name, values in prices.items():
        np.testing.assert_allclose(kept[name], values, atol=1e-12)
