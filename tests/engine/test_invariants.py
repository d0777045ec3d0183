"""What must hold of any backtest, whatever the reference engine says: sums, symmetry, scale, and no look-ahead."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings

from forge_core.engine.costs import Costs
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.model import Play, Risk, Size
from tests.engine.hand_bars import T0, atr_reference, hand_feed, kernel_backtest, signal
from tests.engine.reference_engine import references_of
from tests.engine.strategies import (
    SHORT_MEMORY,
    Case,
    Walk,
    costs,
    feature_cases,
    frame_of,
    hand_cases,
    instruments,
    pick,
    risks,
    rules,
    walks,
)

quick = settings(max_examples=100, deadline=None, derandomize=True, database=None)
HIGH_ABOVE_ZERO = walks((40, 120), levels=(10_000,))  # no price anywhere near zero


def run(case: Case, **changes):
    case = replace(case, **changes)
    return kernel_backtest(case.play, case.feed, **case.settings)


def column(trades: list[dict], name: str) -> list:
    return [trade[name] for trade in trades]


@quick
@given(hand_cases())
def test_the_trades_add_up(case):
    result = run(case)
    net = sum(column(result.trades, "net_pnl"))
    assert result.equity[-1] - case.cash == pytest.approx(net, rel=1e-9, abs=1e-9 * case.cash)
    for trade in result.trades:
        parts = trade["gross_pnl"] - trade["commission"] - trade["financing"]
        assert trade["net_pnl"] == pytest.approx(parts, rel=1e-9, abs=1e-9 * case.cash)
        assert trade["mae"] <= 0 <= trade["mfe"]
        assert trade["entry_time"] <= trade["exit_time"]
        lots = trade["quantity"] / case.feed.instrument.lot
        assert lots == pytest.approx(round(lots), abs=1e-6)
        assert lots >= 0.5
    for before, after in zip(result.trades, result.trades[1:], strict=False):
        assert before["exit_time"] <= after["entry_time"]


@quick
@given(feature_cases())
def test_nothing_is_entered_before_the_warm_up_has_passed(case):
    play, feed = case.play, case.feed
    groups = [g for g in (play.entry_long, play.entry_short, play.exit_long, play.exit_short) if g is not None]
    warmups = [feed.columns.warmup(reference) for group in groups for reference in references_of(group)]
    first_signal = max(feed.start, play.warmup_bars, *warmups)
    earliest = feed.time[first_signal + 1] if first_signal + 1 < len(feed) else np.inf
    assert all(entry >= earliest for entry in column(run(case).trades, "entry_time"))


@quick
@given(hand_cases())
def test_what_is_bought_can_be_paid(case):
    """Cash is never overdrawn: the margin and commission of a new position are within the equity it is opened from."""
    instrument, balance = case.feed.instrument, case.cash
    for trade in run(case).trades:
        price, quantity = abs(trade["entry_price"]), trade["quantity"]
        margin = instrument.initial_margin or price * instrument.multiplier / instrument.max_leverage
        of_notional = price * instrument.multiplier * case.costs.commission_bps / 10_000
        needed = quantity * (margin + of_notional + case.costs.commission_per_contract)
        if not (trade["switch"] and case.rollover):  # a roll keeps its quantity whatever it costs
            assert needed <= balance + 1e-6 * case.cash
        balance += trade["net_pnl"]


def exact_ticks(instrument: Instrument) -> Instrument:
    """The instrument with a tick whose multiples and sums have no rounding error."""
    return instrument.model_copy(update={"tick": 0.25})


def mirrored(case: Case, about: float) -> Case:
    """The case with every price x turned into ``about - x`` and the sides exchanged."""
    feed, other = case.feed, {"L": "S", "S": "L", "l": "s", "s": "l"}
    letters = ["".join(other[x] for x in other if feed.columns.column(signal(x))[k] > 0) for k in range(len(feed))]
    prices = about - np.stack([feed.open, feed.low, feed.high, feed.close], axis=1)
    turned = hand_feed(
        [(*bar, text) for bar, text in zip(prices, letters, strict=True)],
        instrument=feed.instrument,
        start=feed.start,
        atr=feed.columns.column(atr_reference()),
        rolls=np.flatnonzero(feed.rolls) if feed.rolls is not None else (),
        hours=(feed.time - T0) / 3.6e9,
        volume=feed.volume,
    )
    sides = {"both": "both", "long": "short", "short": "long"}[case.play.sides]
    return replace(case, feed=turned, play=replace(case.play, sides=sides))


@quick
@given(
    hand_cases(
        instrument=instruments(("future",)).map(
            lambda i: i.model_copy(update={"tick": 0.25, "positive_prices": False})
        ),
        cost=costs().map(lambda c: c.model_copy(update={"commission_bps": 0.0, "slippage_bps": 0.0})),
        risk=risks(kinds=("atr", "ticks"), sizes=("contracts", "risk")),
        policy=pick("pessimistic"),
        walk=HIGH_ABOVE_ZERO,
    )
)
def test_long_and_short_are_mirror_images(case):
    about = 6_000.0  # twice as high as the bars are, and a bit
    result, reflected = run(case), run(mirrored(case, about))
    assert column(reflected.trades, "side") == [-side for side in column(result.trades, "side")]
    for name in ("entry_price", "exit_price"):
        assert column(reflected.trades, name) == [about - price for price in column(result.trades, name)]
    for name in ("entry_time", "exit_time", "exit_reason", "bars_held", "switch"):
        assert column(reflected.trades, name) == column(result.trades, name)
    for name in ("quantity", "gross_pnl", "commission", "net_pnl"):
        assert column(reflected.trades, name) == pytest.approx(column(result.trades, name), rel=1e-9, abs=1e-6)


@quick
@given(
    hand_cases(
        instrument=instruments(("spot", "perpetual")),
        cost=costs().map(lambda c: c.model_copy(update={"commission_per_contract": 0.0, "slippage_ticks": 0.0})),
        risk=risks(kinds=("percent",), sizes=("fraction", "notional", "risk")),
        policy=pick("pessimistic", "ohlc_path"),
    ),
    pick(4.0, 0.125),
)
def test_the_unit_of_price_does_not_matter(case, factor):
    """Prices times a power of two and lots divided by it: the same money, exactly."""
    feed = case.feed
    instrument = feed.instrument.model_copy(
        update={"tick": feed.instrument.tick * factor, "lot": feed.instrument.lot / factor}
    )
    prices = {name: getattr(feed, name) * factor for name in ("open", "high", "low", "close")}
    prices["volume"] = feed.volume / factor
    result, scaled = run(case), run(case, feed=replace(feed, instrument=instrument, **prices))
    assert scaled.equity == result.equity
    for name in ("entry_time", "exit_time", "exit_reason", "bars_held", "net_pnl", "return_pct", "mae", "mfe"):
        assert column(scaled.trades, name) == column(result.trades, name)
    assert column(scaled.trades, "quantity") == [q / factor for q in column(result.trades, "quantity")]


@quick
@given(
    hand_cases(
        instrument=instruments().map(lambda i: i.model_copy(update={"maintenance_margin_rate": 0.0})),
        cost=pick(Costs.zero()),
        risk=risks(sizes=("contracts",)).map(lambda r: replace(r, stop=None, take_profit=None, trailing=None)),
        walk=HIGH_ABOVE_ZERO,
    ),
    costs(),
)
def test_costs_change_prices_but_no_signal(case, dear):
    case = replace(case, cash=1e9)
    free, paid = run(case).trades, run(case, costs=dear).trades
    for name in ("entry_time", "exit_time", "side", "exit_reason", "bars_held", "switch", "quantity"):
        assert column(paid, name) == column(free, name)
    for mine, theirs in zip(paid, free, strict=True):
        assert mine["side"] * (mine["entry_price"] - theirs["entry_price"]) >= 0
        assert mine["side"] * (mine["exit_price"] - theirs["exit_price"]) <= 0
        assert mine["commission"] >= theirs["commission"] == 0


LOOKBACK = 20  # bars, more than any of SHORT_MEMORY reads


def flat_points(feed: Feed, trades: list[dict]) -> list[int]:
    """Bars at whose open, and at the close before it, nothing is held or ordered."""
    held = [(trade["entry_time"], trade["exit_time"]) for trade in trades]
    return [
        k
        for k in range(feed.start + 1, len(feed))
        if all(end < feed.time[k] or begin > feed.time[k] for begin, end in held)
    ]


@settings(parent=quick, max_examples=60)
@given(
    instruments(("spot", "future", "index")).map(exact_ticks),
    walks((150, 300)),
    rules(SHORT_MEMORY, ()),
    rules(SHORT_MEMORY, ()),
    risks(kinds=("percent", "ticks"), sizes=("contracts",)),
    costs(),
)
def test_a_dataset_split_at_a_flat_point_gives_the_same_trades(instrument, walk: Walk, long, short, risk, cost):
    bars = frame_of(walk, np.random.default_rng(walk.seed), instrument)
    risk = replace(risk, size=Size("contracts", 1.0), cooldown=0, max_bars=3)
    play = Play("split", "1h", entry_long=long, entry_short=short, risk=risk)
    settings_ = {"costs": cost, "cash": 1e9, "policy": "pessimistic"}

    def trades(frame, start):
        feed = feed_from_bars(frame, instrument=instrument, timeframe="1h", start=start)
        return kernel_backtest(play, feed, **settings_).trades

    whole = feed_from_bars(bars, instrument=instrument, timeframe="1h", start=LOOKBACK)
    expected = trades(bars, LOOKBACK)
    points = [k for k in flat_points(whole, expected) if k < len(bars) - 1]
    assume(points and len(expected) > 1)
    split = points[len(points) // 2]
    first, second = trades(bars[:split], LOOKBACK), trades(bars[split - LOOKBACK :], LOOKBACK)
    assert len(first) + len(second) == len(expected)
    for name in expected[0]:
        actual, wanted = column(first + second, name), column(expected, name)
        assert actual == (wanted if isinstance(wanted[0], str) else pytest.approx(wanted, rel=1e-9, abs=1e-6))


@quick
@given(hand_cases(policy=pick("pessimistic", "ohlc_path")))
def test_bars_still_to_come_change_no_trade_that_has_ended(case):
    """Cut off the second half: what was closed before is the same, but for the last bar's own close."""
    feed = case.feed
    assume(len(feed) >= 40 and feed.start < 10)
    cut = len(feed) // 2
    rolls = feed.rolls[:cut] if feed.rolls is not None else None
    if feed.rolls is not None and feed.rolls[cut]:  # switch times are known beforehand
        cut += 1
        rolls = feed.rolls[:cut]
    head = replace(
        feed,
        **{name: getattr(feed, name)[:cut] for name in ("time", "open", "high", "low", "close", "volume", "day")},
        columns=replace(feed.columns, values={key: values[:cut] for key, values in feed.columns.values.items()}),
        rolls=rolls,
        funding=None if feed.funding is None else feed.funding[:cut],
    )
    last = feed.time[cut - 1]
    ended = [t for t in run(case, feed=head).trades if t["exit_time"] < last]
    assert ended == [t for t in run(case).trades if t["exit_time"] < last]


def test_a_play_without_a_signal_leaves_the_cash_alone():
    feed = hand_feed([(100, 101, 99, 100, "")] * 30)
    play = Play("idle", "1h", entry_long=None, risk=Risk())
    result = kernel_backtest(play, feed, costs=Costs.zero(), cash=1000.0, policy="pessimistic")
    assert result.trades == []
    assert set(result.equity) == {1000.0}
