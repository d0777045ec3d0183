"""Parts of a Play that change no trade are left out, and near-twins of a front are folded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.engine.fill_rules import STRICT
from forge_core.engine.simulate import simulate
from forge_core.evolution.run.simplify import near_twins, simplify
from forge_core.features.reference import price_field
from forge_core.features.registry import make_reference
from forge_core.feeds.build import open_feed
from forge_core.market.datasets.build import ensure_dataset
from forge_core.plays.model import Compare, Distance, Group, Play, Risk
from forge_core.plays.parser import parse_play
from forge_core.plays.validation import check_play
from tests.evolution.test_genome import genome_of_daily, random_values

TERMS = {"costs": None, "cash": 100_000.0, "policy": "pessimistic", "fills": STRICT}
CLOSE = price_field("close", "1d")
IDLE = Compare(CLOSE, ">", 1.0)  # always true of these bars
NEVER = Compare(CLOSE, "<", 1.0)


@pytest.fixture(scope="module")
def feeds():
    return {name: open_feed(ensure_dataset(name), timeframe="1d") for name in ("SP500_BEAR_2008", "SP500_BULL_2013")}


def ema(period: int):
    return make_reference("ema", {"timeperiod": period}, timeframe="1d")


CROSS = Compare(ema(5), "crosses_above", ema(20))
BACK = Compare(ema(5), "crosses_below", ema(20))
LEAN = Play("lean", "1d", entry_long=Group(1, (CROSS,)), exit_long=Group(1, (BACK,)))


@pytest.mark.parametrize(
    ("fat", "removed"),
    [
        (replace(LEAN, entry_long=Group(2, (IDLE, CROSS))), ["entry.long: close > 1"]),
        (replace(LEAN, entry_long=Group(1, (CROSS, NEVER))), ["entry.long: close < 1"]),
        (replace(LEAN, entry_long=Group(2, (CROSS, IDLE, NEVER))), None),
        (replace(LEAN, entry_long=Group(2, (CROSS, Group(1, (IDLE, CROSS))))), None),
        (replace(LEAN, entry_short=Group(1, (NEVER,)), exit_short=Group(1, (IDLE,))), ["entry.short: close < 1"]),
        (replace(LEAN, risk=Risk(stop=Distance("percent", 0.9), max_bars=5000)), ["risk.stop", "risk.max_bars"]),
        (replace(LEAN, features={"fast": ema(5), "idle": ema(7)}), ["feature idle"]),
    ],
)  # fmt: skip
def test_idle_parts_are_left_out(feeds, fat, removed):
    found = simplify(fat, feeds, TERMS)
    if removed is not None:
        assert list(found.removed) == removed
    assert found.removed
    assert found.play.entry_long == LEAN.entry_long
    assert found.play.exit_long == LEAN.exit_long
    assert found.play.entry_short is None
    assert found.play.risk == LEAN.risk
    assert "idle" not in found.play.features


def test_what_is_needed_stays(feeds):
    found = simplify(LEAN, feeds, TERMS)
    assert found.play == LEAN
    assert found.removed == ()
    assert len(found.trades) > 10
    stopped = replace(LEAN, risk=Risk(stop=Distance("percent", 0.03)))
    assert simplify(stopped, feeds, TERMS).play == stopped


def test_a_way_out_stays(feeds):
    """Without an exit that is never reached the Play would be invalid."""
    held = replace(LEAN, exit_long=Group(1, (NEVER,)))
    assert simplify(held, feeds, TERMS).play == held


@settings(max_examples=12)
@given(st.integers(0, 10_000))
def test_the_simplified_play_of_any_genome_trades_the_same_and_cannot_be_simplified_further(feeds, seed):
    genome = genome_of_daily(5)
    play = genome.decode(random_values(genome, seed))
    found = simplify(play, feeds, TERMS)
    check_play(found.play)
    for feed in feeds.values():
        one, two = simulate(play, feed, **TERMS, record=True), simulate(found.play, feed, **TERMS, record=True)
        assert one.trades.tobytes() == two.trades.tobytes()
        np.testing.assert_array_equal(one.metrics, two.metrics)
        np.testing.assert_array_equal(one.equity, two.equity)
    assert simplify(found.play, feeds, TERMS).removed == ()


def trades(*numbers: int) -> frozenset:
    return frozenset(("D", number, number + 1, 1) for number in numbers)


def test_near_twins_are_shown_with_the_first_and_the_champion_leads():
    one, nearly, other = trades(*range(10)), trades(*range(1, 10)), trades(*range(50, 60))
    assert near_twins([one, nearly, other]) == [0, 0, 2]
    assert near_twins([one, nearly, other], first=1) == [1, 1, 2]
    assert near_twins([one, trades(*range(2, 10)), other]) == [0, 1, 2]  # 8 of 10
    assert near_twins([one, trades(*range(20))]) == [0, 1]  # all of one, half of the other
    assert near_twins([]) == []


def test_the_champion_and_the_front_of_a_study_are_shown_simplified(done):
    from forge_core.evolution.run.plan import StudyPlan
    from forge_core.evolution.steps import read_front, status_text
    from forge_core.files import read_table
    from forge_core.plays.canonical import play_hash

    home, report, _ = done
    plan = StudyPlan.open("reference", home)
    front = read_table(plan.folder.pareto_front).to_pandas()
    feeds = {name: plan.open_feed(name) for name in plan.spec.train}
    for row in front.to_dict("records"):
        shown, evolved = parse_play(row["yaml"]), plan.genome.decode(row["genes"])
        assert play_hash(evolved) == row["play"]
        assert simplify(shown, feeds, plan.spec.terms).removed == ()
        for feed in feeds.values():
            np.testing.assert_array_equal(
                simulate(shown, feed, **plan.spec.terms).metrics, simulate(evolved, feed, **plan.spec.terms).metrics
            )
    champion = report.champion
    assert play_hash(parse_play(champion.yaml)) == champion.shown
    assert champion.play in set(front[front["twin_of"].isna()]["play"])
    assert report.distinct == front["twin_of"].isna().sum()
    folded = read_front("reference", home, fold=True)
    assert len(folded) == report.distinct
    assert folded["twins"].sum() + len(folded) == len(front) == len(read_front("reference", home))
    assert f"{report.front_size} on the front, {report.distinct} without near-twins" in status_text("reference", home)
