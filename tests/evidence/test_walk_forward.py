"""Walk-forward windows: what a search sees, what its champion trades, and how windows are joined."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.walk_forward import (
    Period,
    WindowResult,
    make_windows,
    mean_by_day,
    run_window,
    stitch,
    train_markets,
)
from forge_core.paths import Home


@pytest.fixture(scope="module")
def subject(proved_home: Home) -> Subject:
    return Subject.of("two", proved_home)


def test_windows_follow_each_other_and_leave_no_day_out(subject: Subject) -> None:
    windows = make_windows(subject.markets, 5)
    days = np.unique(np.concatenate([market.days for market in subject.markets.values()]))
    assert len(windows) == 5
    for window, following in pairwise(windows):
        assert window.train.last < window.test.first
        assert following.train.last == window.test.last
        assert not ((days > window.test.last) & (days < following.test.first)).any()
    assert {window.train.first for window in windows} == {days[0]}
    assert windows[-1].test.last == days[-1]
    rolling = make_windows(subject.markets, 5, rolling=True)
    assert [w.test for w in rolling] == [w.test for w in windows]
    assert rolling[3].train.first > rolling[2].train.first


def test_a_window_of_a_market_ends_with_its_last_day_and_what_comes_before_is_lead_in(subject: Subject) -> None:
    market = next(iter(subject.markets.values()))
    days = market.days
    cut = market.window(int(days[50]), int(days[99]))
    np.testing.assert_array_equal(cut.days, days[50:100])
    assert cut.first == market.first + 50
    for label, bars in cut.higher.items():
        assert bars.index[-1] + pd.Timedelta(days={"1w": 7}[label]) <= cut.bars.index[-1] + pd.Timedelta(days=1)


def test_a_dataset_of_which_only_a_few_days_are_over_is_not_searched_yet(subject: Subject) -> None:
    first, second = subject.markets.values()
    early, late = sorted((first, second), key=lambda market: market.days[0])
    start = int(early.days[0])
    taken, share = train_markets({"early": early, "late": late}, Period(start, int(late.days[20])))
    assert (list(taken), share) == (["early"], 1.0)
    half = int(late.days[int(late.days.size * 0.6)])
    taken, share = train_markets({"early": early, "late": late}, Period(start, half))
    assert list(taken) == ["early", "late"]
    assert share == pytest.approx(0.6, abs=0.01)


def test_a_windows_champion_is_chosen_without_the_days_it_trades(subject: Subject) -> None:
    """Other bars from the test days on change what is earned there, and nothing else."""
    window = make_windows(subject.markets, 5)[2]
    before = run_window(subject.experiment, subject.markets, window)
    changed = {name: _doubled_from(market, window.test.first) for name, market in subject.markets.items()}
    after = run_window(subject.experiment, changed, window)
    assert before.play is not None
    assert (after.play, after.train_sharpe) == (before.play, before.train_sharpe)
    np.testing.assert_array_equal(after.days, before.days)
    assert before.days[0] == window.test.first
    assert before.days[-1] == window.test.last


def _doubled_from(market: Market, day: int) -> Market:
    stamp = pd.Timestamp(day, unit="D", tz="UTC")

    def doubled(bars: pd.DataFrame) -> pd.DataFrame:
        factors = np.where(bars.index >= stamp, np.linspace(1.0, 3.0, len(bars)), 1.0)
        return bars.assign(**{name: bars[name] * factors for name in ("open", "high", "low", "close")})

    return replace(market, bars=doubled(market.bars), higher={k: doubled(v) for k, v in market.higher.items()})


def test_bounds_on_trades_shrink_with_the_days(subject: Subject) -> None:
    (constraint,) = subject.experiment.shortened(0.5).search.objectives.constraints
    assert (constraint.name, constraint.bound) == ("min_trades", 1.5)


def test_returns_of_markets_that_trade_on_one_date_are_averaged() -> None:
    days, returns = mean_by_day([np.array([1, 2]), np.array([2, 3])], [np.array([0.1, 0.2]), np.array([0.4, -0.1])])
    assert days.tolist() == [1, 2, 3]
    np.testing.assert_allclose(returns, [0.1, 0.3, -0.1])


def result(returns: list[float], train_sharpe: float | None) -> WindowResult:
    return WindowResult("p", train_sharpe, np.arange(len(returns)), np.array(returns), 3)


def test_stitched_returns_are_those_of_the_windows_in_a_row() -> None:
    joined = stitch([result([0.1, -0.1], 2.0), result([0.2, 0.0], 1.0)], 365)
    assert joined.total_return == pytest.approx(1.1 * 0.9 * 1.2 - 1)
    returns = np.array([0.1, -0.1, 0.2, 0.0])
    assert joined.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(365))
    assert joined.efficiency == pytest.approx(joined.sharpe / 1.5)


def test_there_is_no_efficiency_where_train_earned_nothing() -> None:
    assert stitch([result([0.1, -0.1], -1.0)], 365).efficiency is None
    assert stitch([result([0.0, 0.0], None)], 365).efficiency is None
    assert stitch([result([0.0, 0.0], None)], 365).p == 1.0
