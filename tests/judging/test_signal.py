"""The signal at the last closed bar is what a backtest of one bar more does."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.feeds.build import feed_from_bars
from forge_core.judging.signal import signal
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.parser import parse_play
from tests.reports.bars import walk

COIN = Instrument(symbol="SIMCOIN", kind="spot", tick=0.01, lot=1e-6)
BASE = """
name: signals
timeframe: 1h
features:
  fast: {indicator: ema, timeperiod: 5}
  slow: {indicator: ema, timeperiod: 13}
  rsi: {indicator: rsi, timeperiod: 7}
"""
PLAYS = {
    "always in": "entry: {long: fast crosses_above slow, short: fast crosses_below slow}\n",
    "exits and levels": (
        "entry: {long: {any: [rsi crosses_below 30, fast > slow]}, short: rsi > 75}\n"
        "exit: {long: rsi > 70, short: rsi < 40}\nrisk: {stop: {atr: 1.5}, max_bars: 6, cooldown: 2}\n"
    ),
    "one side": (
        "entry: {long: slow rising 2, short: {at_least: 1, of: [rsi > 60, fast falling 3]}}\n"
        "sides: long\nrisk: {trailing: {percent: 0.01}, take_profit: {percent: 0.02}}\n"
    ),
    "hours": (
        "entry: {long: fast > slow, short: fast < slow}\nexit: {long: rsi > 80}\n"
        "when: {from: '07:00', to: '15:00'}\nflat_by: '18:00'\n"
    ),
    "clashing": "entry: {long: rsi > 45, short: rsi < 55}\nexit: {long: rsi > 65}\nwarmup_bars: 40\n",
}


def feed_of(bars: pd.DataFrame):
    return feed_from_bars(bars, instrument=COIN, timeframe="1h")


def done_at(result, moment) -> tuple[str, ...]:
    """Return what was executed at the open of a bar: of orders alone, not of levels."""
    trades = result.trades
    left = trades[
        (trades["exit_time"] == moment) & trades["exit_reason"].isin(["exit", "reversal", "max_bars", "flat_by"])
    ]
    # a stop in the entry bar itself has its entry at this open too
    entered = trades[trades["entry_time"] == moment]
    if len(entered):
        return ("enter long" if entered["side"].iloc[0] > 0 else "enter short",)
    return ("close",) if len(left) else ("none",)


@pytest.mark.parametrize("rules", PLAYS.values(), ids=PLAYS)
def test_the_signal_is_what_the_next_bar_does(rules):
    play = parse_play(BASE + rules)
    bars = walk(320)
    costs = Costs(commission_bps=2, slippage_bps=1)
    seen = set()
    for size in range(20, 319, 7):
        found = signal(play, feed_of(bars.iloc[:size]), costs=costs)
        longer = backtest(play, feed_of(bars.iloc[: size + 2]), costs=costs)
        assert done_at(longer, bars.index[size]) == (found.order,), (size, found)
        seen.add(found.order)
    assert len(seen) >= 2


def test_the_rules_are_shown_with_their_values():
    play = parse_play(BASE + PLAYS["exits and levels"])
    bars = walk(200)
    found = signal(play, feed_of(bars))
    assert found.closed == bars.index[-1] + pd.Timedelta(hours=1)
    feed = feed_of(bars)
    rules = {state.rule: state for state in found.rules}
    state = rules["ema(5) > ema(13)"]
    fast, slow = (feed.columns.column(play.features[name]) for name in ("fast", "slow"))
    assert state.values == (fast[-1], slow[-1])  # noqa: PD011
    assert state.before == (fast[-2], slow[-2])
    assert state.true == (fast[-1] > slow[-1])
    assert found.groups["entry long"] == any(r.true for r in found.rules if r.group == "entry long")
    assert found.levels["stop"] > 0
    assert found.document()["order"] == found.order


def test_nothing_is_queued_in_the_warm_up_or_after_ruin():
    play = parse_play(BASE + PLAYS["clashing"])
    found = signal(play, feed_of(walk(30)))
    assert (found.order, found.reason) == ("none", "warm-up: 11 more bars until the first order")
    short = parse_play(BASE + "entry: {short: close > 0.001}\nrisk: {max_bars: 500}\n")
    rising = walk(60)
    rising.iloc[30:, :4] *= 5.0
    ended = signal(replace(short, name="ruined"), feed_of(rising), costs=Costs.zero())
    assert (ended.order, ended.reason) == ("none", "the backtest ended in ruin")
    assert np.isfinite(ended.close)
