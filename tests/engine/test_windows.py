"""Many windows in one call give what each gives alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from forge_core.engine.simulate import simulate
from forge_core.engine.windows import simulate_windows
from forge_core.errors import DataError, PlayError
from forge_core.features.column import Column
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument
from forge_core.metrics.catalog import METRIC_INDEX
from forge_core.plays.classic.ema import Ema
from forge_core.plays.model import Play
from tests.engine.hand_bars import PERPETUAL, hand_feed
from tests.engine.strategies import feature_cases
from tests.market.bar_tables import walk

SHARE = Instrument(symbol="SIMSHARE", kind="spot", tick=0.01)


def part(feed: Feed, start: int, end: int) -> Feed:
    """The feed as it was when bar ``end`` had not come yet, beginning at ``start``."""

    class Head:
        def column(self, reference):
            return np.ascontiguousarray(feed.columns.column(reference)[:end])

        def quantized_column(self, reference):
            return Column(self.column(reference))

        def warmup(self, reference):
            return feed.columns.warmup(reference)

    arrays = {name: getattr(feed, name)[:end] for name in ("time", "open", "high", "low", "close", "volume", "day")}
    rolls = None if feed.rolls is None else feed.rolls[:end]
    funding = None if feed.funding is None else feed.funding[:end]
    return replace(feed, **arrays, start=start, columns=Head(), rolls=rolls, funding=funding)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(feature_cases())
def test_each_window_is_a_backtest_of_its_own(case):
    feed = replace(case.feed, start=0)
    edges = np.unique(np.linspace(0, len(feed), 6).astype(int))
    starts, ends = edges[:-1], edges[1:]
    shared = {"costs": case.costs, "cash": case.cash, "policy": case.policy, "roll_mode": case.roll_mode}
    shared["fills"] = case.fills
    windows = simulate_windows(case.play, feed, starts, ends, rollover=case.rollover, **shared)
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        alone = simulate(case.play, part(feed, start, end), rollover=case.rollover, record=True, **shared)
        np.testing.assert_array_equal(windows.metrics[k], alone.metrics)
        np.testing.assert_array_equal(windows.returns[windows.offsets[k] : windows.offsets[k + 1]], alone.daily_returns)
        net = alone.trades["net_pnl"]
        assert windows.gross[k] == pytest.approx([net[net > 0].sum(), net[net < 0].sum()], rel=1e-12, abs=1e-9)


def test_windows_may_overlap_and_come_in_any_order():
    feed = feed_from_bars(walk(400, "1h"), instrument=SHARE, timeframe="1h")
    play = crossing()
    together = simulate_windows(play, feed, [200, 0, 150], [400, 300, 260])
    alone = [simulate_windows(play, feed, [s], [e]) for s, e in ((200, 400), (0, 300), (150, 260))]
    np.testing.assert_array_equal(together.metrics, np.concatenate([one.metrics for one in alone]))
    np.testing.assert_array_equal(together.returns, np.concatenate([one.returns for one in alone]))
    assert together.metrics[:, METRIC_INDEX["total_trades"]].min() > 0


def crossing() -> Play:
    return Ema(short_period=3, long_period=8).play("1h")


@pytest.mark.parametrize(("starts", "ends"), [([5], [5]), ([-1], [5]), ([0], [31]), ([0, 1], [5]), ([[0]], [[5]])])
def test_windows_outside_the_feed_are_refused(starts, ends):
    feed = hand_feed([(100, 101, 99, 100, "")] * 30)
    with pytest.raises(DataError, match="window"):
        simulate_windows(crossing(), feed, starts, ends)


def test_what_simulate_refuses_windows_refuse():
    funded = hand_feed([(100, 101, 99, 100, "LS")] * 30, instrument=PERPETUAL)
    with pytest.raises(DataError, match="funding"):
        simulate_windows(crossing(), replace(funded, funding=None), [0], [30])
    unshortable = SHARE.model_copy(update={"shortable": False})
    feed = feed_from_bars(walk(60, "1h"), instrument=unshortable, timeframe="1h")
    with pytest.raises(PlayError, match="not shortable"):
        simulate_windows(crossing(), feed, [0], [60])
    assert simulate_windows(crossing(), replace(feed, instrument=SHARE), [], []).metrics.shape[0] == 0
