"""Plays of one hash trade identically: asked of the engine itself, on random bars."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.engine.simulate import simulate
from forge_core.features.column import ReferenceBars
from forge_core.feeds.build import feed_from_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import parse_play, play_to_yaml
from tests.plays.strategies import OTHER, random_play
from tests.plays.test_canonical import rewritten

INSTRUMENT = Instrument(symbol="SIM", kind="index", tick=0.01, lot=0.001, commission_bps=2.0, slippage_ticks=1.0)


@pytest.fixture(scope="module")
def feed():
    """1,500 bars of a random walk with volume, and those of another symbol."""
    own, other = walk_with_volume(11), walk_with_volume(12)
    references = {OTHER: ReferenceBars({"15m": other}, 3)}
    return feed_from_bars(own, instrument=INSTRUMENT, timeframe="15m", references=references)


def walk_with_volume(seed: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.004, 1500)))
    opened = np.r_[100.0, close[:-1]]
    spread = close * np.abs(chance.normal(0, 0.002, 1500))
    index = pd.date_range("2024-01-01", periods=1500, freq="15min", tz="UTC", unit="us", name="timestamp")
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) + spread,
            "low": np.minimum(opened, close) - spread,
            "close": close,
            "volume": chance.lognormal(5, 1, 1500),
        },
        index=index,
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_same_play_in_other_words_trades_the_same(feed, seed):
    play = random_play(seed)
    chance = random.Random(seed)
    sides = ("entry_long", "entry_short", "exit_long", "exit_short")
    groups = {side: rewritten(group, chance) for side in sides if (group := getattr(play, side)) is not None}
    other = parse_play(play_to_yaml(replace(play, name="other", features={}, **groups)))
    assert play_hash(other) == play_hash(play)
    first, second = simulate(play, feed), simulate(other, feed)
    np.testing.assert_array_equal(first.metrics, second.metrics)
    np.testing.assert_array_equal(first.daily_returns, second.daily_returns)


def test_most_of_these_plays_trade(feed):
    traded = [np.any(simulate(random_play(seed), feed).daily_returns) for seed in range(60)]
    assert sum(traded) > 20
