"""Stress tests, and the Plays one step away from a Play."""

import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.evidence.markets.market import Market
from forge_core.judging.neighbours import neighbours
from forge_core.judging.stress import stress_page, stress_test, summary
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import parse_play
from tests.judging.test_signal import BASE, COIN, PLAYS
from tests.reports.bars import walk
from tests.reports.test_pages import checked


@pytest.fixture(scope="module")
def market() -> Market:
    bars = walk(1_500)
    return Market(COIN, "1h", bars, {}, bars.index[50])


def test_each_number_goes_one_step_down_and_up():
    play = parse_play(BASE + PLAYS["exits and levels"])
    found = dict(neighbours(play))
    assert len({play_hash(other) for other in found.values()}) == len(found)
    assert play_hash(play) not in {play_hash(other) for other in found.values()}
    assert "rsi(7) > 70: 70 to 65" in found
    assert "rsi(7) > 70: 70 to 75" in found
    assert found["max_bars: 6 to 5"].risk.max_bars == 5
    assert found["stop: 1.5 to 1.8 atr"].risk.stop.value == pytest.approx(1.8)
    changed = [label for label in found if label.startswith("rsi(7): timeperiod 7 to ")]
    assert len(changed) == 2  # in all four rules that read it
    assert not any("cooldown" in label for label in found)


def test_a_streak_and_an_impossible_step():
    play = parse_play(BASE + "entry: {long: slow rising 1}\nrisk: {max_bars: 1}\n")
    labels = [label for label, _ in neighbours(play)]
    assert any("1 to 2 bars" in label for label in labels)
    assert not any("1 to 0" in label for label in labels)


def test_variants_are_backtests_of_what_they_say(market):
    play = parse_play(BASE + PLAYS["exits and levels"])
    costs = Costs(commission_bps=4, slippage_bps=2)
    rows = {(row.kind, row.variant): row for row in stress_test(play, market, costs=costs)}
    assert {kind for kind, _ in rows} == {
        *("own", "costs", "slippage", "delay", "start", "parameter", "noise", "trades", "order")
    }
    feed = market.feed()
    for key, terms in {
        ("own", "unchanged"): costs,
        ("costs", "x 0"): Costs.zero(),
        ("costs", "x 3"): Costs(commission_bps=12, slippage_bps=6),
        ("slippage", "5 bps more"): Costs(commission_bps=4, slippage_bps=7),
    }.items():
        metrics = backtest(play, feed, costs=terms).metrics
        assert (rows[key].sharpe, rows[key].total_return) == (metrics["sharpe"], metrics["total_return"])
    own = backtest(play, feed, costs=costs)
    best = own.trades["net_pnl"].nlargest(1).sum()
    assert rows["trades", "1 best trades left out"].total_return == pytest.approx(
        own.metrics["total_return"] - best / own.cash
    )
    assert 0 < rows["order", "trades in another order, median"].max_drawdown < 1


def test_the_page_shows_every_variant(market):
    play = parse_play(BASE + PLAYS["always in"])
    rows = stress_test(play, market)
    page = stress_page(play, "SIM", rows)
    checked(page)
    assert page.count("<tr>") == len(rows) + 1
    earning = sum((row.total_return or 0) > 0 for row in rows[1:] if row.total_return is not None)
    assert summary(rows).startswith(f"{earning} of ")
