"""Mirrored markets of every kind that studies trade: what they keep, and what they lose."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulated_markets import correlated_symbols, funded_perpetual, quarters_of_hours, rolling_future
from forge_core.evidence.markets.market import Market
from forge_core.evidence.markets.mirrored import mirror_bars, mirrored_markets
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.futures.rolls import first_bars
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe

KINDS: Mapping[str, Callable[[np.random.Generator], dict[str, Market]]] = {
    "15m with 1h and 4h": quarters_of_hours,
    "future that rolls": rolling_future,
    "perpetual with funding": funded_perpetual,
    "three symbols": correlated_symbols,
}


@pytest.fixture(scope="module", params=list(KINDS))
def markets(request) -> dict[str, Market]:
    """A market whose bars follow each other: three in four move as the one before."""
    rng = np.random.default_rng(8)
    real = KINDS[request.param](rng)
    stamps = microseconds(next(iter(real.values())).bars.index)
    wanted = np.cumprod(np.where(rng.random(stamps.size) < 0.75, 1.0, -1.0))
    found = {}
    for name, market in real.items():
        heads = np.sign(_with_gap(market)) == wanted
        found[name] = market.with_bars(mirror_bars(market, market.bars, (stamps, heads), split=0))
    return found


@pytest.fixture(scope="module")
def mirrored(markets: dict[str, Market]) -> dict[str, Market]:
    return mirrored_markets(markets, np.random.default_rng(9))


def _with_gap(market: Market) -> np.ndarray:
    """Moves from close to close, of a bar after a roll from its open: the gap between contracts is none."""
    logs = np.log(market.bars[["open", "close"]].to_numpy())
    moved = np.diff(logs[:, 1], prepend=logs[0, 0])
    if market.roll_dates is not None:
        rolls = first_bars(market.bars, market.roll_dates)
        moved[rolls] = logs[rolls, 1] - logs[rolls, 0]
    return moved


def moves(market: Market) -> np.ndarray:
    return _with_gap(market)[market.first :]


def autocorrelation(values: np.ndarray, lag: int = 1) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def test_sizes_of_moves_stay(markets, mirrored) -> None:
    for name in markets:
        before, after = (
            np.quantile(np.abs(moves(each[name])), np.linspace(0.1, 1.0, 19)) for each in (markets, mirrored)
        )
        np.testing.assert_allclose(after, before, rtol=0.08, atol=0.02 * before[-1])


def test_clusters_of_volatility_stay(markets, mirrored) -> None:
    for name in markets:
        before, after = (np.abs(moves(each[name])) for each in (markets, mirrored))
        for lag in (1, 5, 20):
            assert autocorrelation(after**2, lag) == pytest.approx(autocorrelation(before**2, lag), abs=0.04)


def test_drift_stays(markets, mirrored) -> None:
    for name in markets:
        assert moves(mirrored[name]).sum() == pytest.approx(moves(markets[name]).sum(), abs=1e-9)


def test_the_pattern_of_the_day_stays(markets, mirrored) -> None:
    for name, market in markets.items():
        clock = pd.DatetimeIndex(market.bars.index[market.first :]).time
        before, after = (pd.Series(np.abs(moves(each[name]))).groupby(clock).mean() for each in (markets, mirrored))
        np.testing.assert_allclose(after, before, rtol=0.06)


def test_what_a_move_tells_of_the_next_is_gone(markets) -> None:
    for seed in range(3):
        others = mirrored_markets(markets, np.random.default_rng(100 + seed))
        for name in markets:
            assert autocorrelation(np.sign(moves(markets[name]))) > 0.3
            size = moves(markets[name]).size
            assert abs(autocorrelation(np.sign(moves(others[name])))) < 4.5 / np.sqrt(size)


def test_coarser_timeframes_are_those_of_the_mirrored_bars(markets, mirrored) -> None:
    for name, market in mirrored.items():
        assert market.higher.keys() == markets[name].higher.keys()
        for label, bars in market.higher.items():
            joined = resample_bars(market.bars, Timeframe.parse(label), session=market.instrument.session)
            pd.testing.assert_frame_equal(bars, joined[joined.index >= bars.index[0]], check_freq=False)


def test_volume_times_rolls_funding_and_the_gaps_between_contracts_stay(markets, mirrored) -> None:
    for name, market in mirrored.items():
        real = markets[name]
        pd.testing.assert_series_equal(market.bars["volume"], real.bars["volume"])
        assert replace(market, bars=real.bars, higher=real.higher) == real
        if real.funding is not None:
            pd.testing.assert_series_equal(market.funding, real.funding)
        if real.roll_dates is not None:
            rolls = first_bars(real.bars, real.roll_dates)
            assert len(rolls) > 20
            gaps = [
                np.log(b["open"].to_numpy()[rolls] / b["close"].to_numpy()[rolls - 1]) for b in (real.bars, market.bars)
            ]
            np.testing.assert_allclose(gaps[1], gaps[0], atol=1e-12)


@pytest.mark.parametrize("markets", ["three symbols"], indirect=True)
def test_correlations_between_symbols_stay(markets, mirrored) -> None:
    names = list(markets)
    before, after = (np.corrcoef([moves(each[name]) for name in names]) for each in (markets, mirrored))
    np.testing.assert_allclose(after, before, atol=0.03)
    assert before[0, 1] > 0.5
