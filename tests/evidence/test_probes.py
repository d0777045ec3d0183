"""Probes and controls of one champion, against what can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.engine.simulate import simulate
from forge_core.evidence.markets.market import Market
from forge_core.evidence.robustness.lottery import lottery, random_entries
from forge_core.evidence.robustness.probes import (
    Probe,
    cost_probes,
    deepest,
    delayed,
    drawdown_probes,
    neighbour_probes,
    noisy,
    trade_probes,
    weaknesses,
)
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evidence.searches.subject import Subject
from forge_core.market.reference.instruments import Instrument
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import parse_play

SPOT = Instrument(symbol="SIM", kind="spot", tick=0.01, lot=0.0001)
RULE = {
    "name": "rule",
    "timeframe": "1d",
    "features": {"rsi": {"indicator": "rsi", "timeperiod": 5}},
    "entry": {"long": "rsi < 40"},
    "exit": {"long": "rsi > 60"},
}


@pytest.fixture(scope="module")
def market() -> Market:
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0003, 0.01, 900)))
    opens = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.001, 900))
    frame = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.004,
            "low": np.minimum(opens, close) * 0.996,
            "close": close,
            "volume": 1e6,
        },
        index=pd.date_range("2020-01-01", periods=900, freq="D", tz="UTC", unit="us", name="timestamp"),
    )
    return Market(SPOT, "1d", frame, {}, frame.index[100])


@pytest.fixture(scope="module")
def subject(proved_home: Home) -> Subject:
    return Subject.of("two", proved_home)


def test_delayed_columns_give_the_trades_of_signals_that_come_later(market: Market) -> None:
    feed = market.feed()
    late = backtest(parse_play(RULE), delayed({"a": feed}, 2)["a"], costs=Costs.zero()).trades
    now = backtest(parse_play(RULE), feed, costs=Costs.zero()).trades
    assert len(now) > 20
    shifted = set(now["entry_time"] + pd.Timedelta(days=2))
    assert np.mean([time in shifted for time in late["entry_time"]]) > 0.95


def test_costs_are_multiplied(market: Market, subject: Subject) -> None:
    experiment = Experiment(subject.search, costs=Costs(commission_bps=5, slippage_bps=3))
    found = {probe.variant: probe for probe in cost_probes(experiment, parse_play(RULE), {"a": market.feed()})}
    for factor in (0, 1, 2, 3):
        costs = Costs(commission_bps=5 * factor, slippage_bps=3 * factor)
        expected = backtest(parse_play(RULE), market.feed(), costs=costs).metrics
        assert found[f"x {factor}"].total_return == pytest.approx(expected["total_return"])


def test_neighbours_differ_in_one_gene_and_trade_otherwise(subject: Subject) -> None:
    genome, by_name = subject.plan.genome, subject.report.champion.genes
    genes = [by_name[gene.name] for gene in genome.genes]
    feeds = {name: market.feed() for name, market in subject.markets.items()}
    assert subject.champion is not None
    assert play_hash(genome.decode(genes)) == subject.report.play
    probes = list(neighbour_probes(subject.experiment, subject.champion, genes, feeds))
    assert len(probes) > 20
    assert len({probe.variant for probe in probes}) == len(probes)
    steps = [probe.variant.split() for probe in probes]
    ordered = {gene.name for gene in genome.genes if gene.ordered}
    assert all(abs(int(old) - int(new)) == 1 for name, old, _, new in steps if name in ordered)
    assert any(abs(int(old) - int(new)) > 1 for name, old, _, new in steps if name not in ordered)


def test_noise_keeps_bars_and_is_as_large_as_it_says(market: Market) -> None:
    other = noisy(market, np.random.default_rng(1)).bars
    assert (other["high"] >= other[["open", "close", "low"]].max(axis=1)).all()
    assert (other["low"] <= other[["open", "close", "high"]].min(axis=1)).all()
    ranges = (market.bars["high"] - market.bars["low"]).rolling(14, min_periods=1).mean()
    share = ((other["close"] - market.bars["close"]) / ranges).std()
    assert share == pytest.approx(0.1, rel=0.15)


def test_the_best_trades_are_left_out(market: Market) -> None:
    run = simulate(parse_play(RULE), market.feed(), costs=Costs.zero(), cash=1_000.0, record=True)
    profits = np.sort(run.trades["net_pnl"])[::-1]
    found = {probe.variant: probe.total_return for probe in trade_probes([run], 1_000.0)}
    assert found["5 best trades left out"] == pytest.approx(profits[5:].sum() / 1_000.0)
    count = int(np.ceil(0.05 * profits.size))
    assert found["best 5 % of trades left out"] == pytest.approx(profits[count:].sum() / 1_000.0)


def test_deepest_drawdown_of_rows() -> None:
    rows = np.array([[0.1, -0.5, 0.2], [-0.1, 0.5, 0.1], [0.1, 0.1, 0.1]])
    np.testing.assert_allclose(deepest(rows), [0.5, 0.1, 0.0])


def test_resampled_drawdowns_lie_around_the_real_one(market: Market) -> None:
    run = simulate(parse_play(RULE), market.feed(), costs=Costs.zero(), record=True)
    found = {probe.variant: probe.drawdown for probe in drawdown_probes([run], 100_000.0, 1)}
    assert len(found) == 4
    for way in ("trades in another order", "blocks of days"):
        assert 0.0 < found[f"{way}, median"] < found[f"{way}, 95th percentile"] < 1.0


def test_random_entries_do_not_overlap_and_stay_in_the_period() -> None:
    rng = np.random.default_rng(2)
    held = np.array([3, 10, 1, 7])
    for _ in range(200):
        entries = random_entries(held, 50, 80, rng)
        assert entries[0] >= 50
        assert (entries[1:] >= entries[:-1] + held[:-1]).all()
        assert entries[-1] + held[-1] <= 80


def test_a_champion_with_foresight_beats_the_lottery_and_one_without_does_not(market: Market) -> None:
    feed = market.feed()
    play = parse_play(RULE)
    run = simulate(play, feed, costs=Costs.zero(), record=True)
    shares = []
    for seed in range(5):
        drawn = lottery({"a": (run, feed)}, Costs.zero(), seed)
        shares.append(drawn.p)
    assert np.ptp(shares) < 0.1  # as many draws as it takes
    entries = np.searchsorted(feed.time, run.trades["entry_time"])
    leave = np.minimum(entries + run.trades["bars_held"], len(feed) - 1)
    run.trades["side"][:] = np.sign(feed.open[leave] - feed.open[entries]).astype(np.int64)
    assert lottery({"a": (run, feed)}, Costs.zero(), 1).p < 0.001


def probe(kind: str, variant: str, sharpe: float, total_return: float) -> Probe:
    return Probe(kind, variant, sharpe, total_return, 10)


def test_weaknesses_are_losses_at_twice_the_costs_without_the_best_trades_and_poor_neighbours() -> None:
    good = [
        probe("costs", "x 1", 1.0, 0.5),
        probe("costs", "x 2", 0.5, 0.1),
        probe("neighbour", "a", 0.6, 0.1),
        probe("trades", "best 5 % of trades left out", 0.0, 0.1),
    ]
    assert weaknesses(good) == []
    bad = [good[0], probe("costs", "x 2", -0.5, -0.1), probe("neighbour", "a", 0.4, 0.1)]
    bad.append(probe("trades", "best 5 % of trades left out", 0.0, -0.2))
    assert len(weaknesses(bad)) == 3
