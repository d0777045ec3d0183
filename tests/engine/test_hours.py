"""``when`` and ``flat_by`` in both engines, by hand; random cases are in ``test_kernel_against_reference``."""

import numpy as np
import pytest

from forge_core.engine.costs import Costs
from forge_core.engine.simulate import simulate
from forge_core.engine.windows import simulate_windows
from forge_core.feeds.joined import join_feeds
from forge_core.plays.model import Risk, Size, When
from tests.engine.hand_bars import ENGINES, SPOT, hand_feed, hand_play

ONE = Risk(size=Size("contracts", 1.0))


@pytest.fixture(params=ENGINES)
def run(request):
    def trades(letters: str, hours=None, sides="both", **play):
        """Trades of hourly bars from 2024-01-01 00:00 UTC, a Monday; a letter for the signal of each close."""
        rows = [(100.0 + k, 101.0 + k, 99.0 + k, 100.5 + k, letter.strip(".")) for k, letter in enumerate(letters)]
        feed = hand_feed(rows, hours=hours)
        chosen = hand_play(ONE, sides=sides, **play)
        result = ENGINES[request.param](chosen, feed, costs=Costs.zero(), cash=1e4, policy="pessimistic")
        first = feed.time[0] // 3_600_000_000
        return [
            ((t["entry_time"] // 3_600_000_000 - first), (t["exit_time"] // 3_600_000_000 - first), t["exit_reason"])
            for t in result.trades
        ]

    return trades


def test_an_entry_counts_at_the_closes_inside_both_ends_included(run):
    assert run("LlLlLlLl....", when=When(180, 300)) == [(3, 4, "exit"), (5, 6, "exit")]


def test_an_entry_outside_does_not_reverse_either(run):
    assert run("L...S.....", when=When(0, 120)) == [(1, 10, "end_of_data")]


def test_a_window_over_midnight_and_midnight_as_the_end_of_its_day(run):
    letters = "." * 23 + "LlLl" + "." * 5
    assert run(letters, when=When(1380, 60)) == [(24, 25, "exit")]
    assert run(letters, when=When(0, 1440, None, (0,))) == [(24, 25, "exit")]
    assert run(letters, when=When(0, 1440, None, (1,))) == [(26, 27, "exit")]


def test_flat_by_closes_at_the_last_close_that_leaves_time(run):
    assert run("L.......", flat_by=300) == [(1, 5, "flat_by")]
    assert run("L.......", flat_by=359) == [(1, 5, "flat_by")]  # the next open, 06:00, is too late
    assert run("L.......", flat_by=360) == [(1, 6, "flat_by")]


def test_no_entry_counts_at_the_close_of_flat_by(run):
    assert run("....L.......", flat_by=300) == []
    assert run(".....L......", flat_by=300) == [(6, 12, "end_of_data")]
    assert run("..L.S.......", flat_by=300) == [(3, 5, "flat_by")]  # no reversal


def test_after_a_gap_over_flat_by_the_position_is_closed_at_the_first_close(run):
    assert run("L.......", hours=[0, 1, 2, 9, 10, 11, 12, 13], flat_by=300) == [(1, 10, "flat_by")]


def test_flat_by_follows_the_zone_of_when(run):
    assert run("L" + "." * 30, flat_by=300, when=When(timezone="America/New_York")) == [(1, 10, "flat_by")]


def test_flat_by_comes_every_day(run):
    letters = ("L" + "." * 23) * 3
    assert run(letters, flat_by=120) == [(1, 2, "flat_by"), (25, 26, "flat_by"), (49, 50, "flat_by")]


def test_windows_of_joined_feeds_give_what_each_feed_gives():
    rng = np.random.default_rng(3)
    play = hand_play(ONE, when=When(0, 900), flat_by=1100)
    feeds = []
    for month in (0, 40, 10):
        letters = rng.choice(["L", "S", "", "", ""], 80)
        rows = [(100.0 + k % 7, 109.0, 99.0, 100.0 + k % 5, letter) for k, letter in enumerate(letters)]
        feeds.append(hand_feed(rows, instrument=SPOT, hours=[24 * month + k for k in range(80)]))
    joined = join_feeds(feeds)
    starts = np.array([0, 80, 160])
    found = simulate_windows(play, joined, starts, starts + 80, costs=Costs.zero(), first_signals=starts)
    for k, feed in enumerate(feeds):
        alone = simulate(play, feed, costs=Costs.zero(), record=True)
        np.testing.assert_array_equal(found.metrics[k], alone.metrics)
        assert len(alone.trades["side"]) > 2
