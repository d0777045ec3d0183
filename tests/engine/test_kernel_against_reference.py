"""The kernel gives what the reference engine gives, to the last trade, on random bars, Plays, costs and settings."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.engine.costs import Costs
from forge_core.plays.model import Risk, Size
from tests.engine.hand_bars import kernel_backtest
from tests.engine.reference_engine import reference_backtest
from tests.engine.strategies import Case, feature_cases, hand_cases, pick

EXACT = {"entry_time", "exit_time", "side", "exit_reason", "bars_held", "switch"}
quick = settings(max_examples=400, deadline=None, derandomize=True, database=None)
thorough = settings(max_examples=20_000, deadline=None, database=None, print_blob=True)


def assert_agree(case: Case) -> None:
    """Both engines give the same trades and equity."""
    expected = reference_backtest(case.play, case.feed, **case.settings)
    actual = kernel_backtest(case.play, case.feed, **case.settings)
    assert len(actual.trades) == len(expected.trades)
    for number, (mine, theirs) in enumerate(zip(actual.trades, expected.trades, strict=True)):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            if name in EXACT:
                assert mine[name] == value, f"{name} of trade {number}: {mine} != {theirs}"
            else:
                # money below a billionth of what was traded is rounding, however small the difference itself
                scale = 100.0 if name in ("return_pct", "mae", "mfe") else case.cash
                near = math.isclose(mine[name], value, rel_tol=1e-9, abs_tol=1e-9 * scale)
                assert near, f"{name} of trade {number}: {mine} != {theirs}"
    assert actual.equity == pytest.approx(expected.equity, rel=1e-9, abs=1e-9 * case.cash)
    assert (actual.ambiguous, actual.ruined) == (expected.ambiguous, expected.ruined)


@quick
@given(hand_cases())
def test_random_signals(case):
    assert_agree(case)


@pytest.mark.long
@thorough
@given(hand_cases())
def test_very_many_random_signals(case):
    assert_agree(case)


# All the margin there is, no stop, and a borrow that eats an account in weeks.
reckless = hand_cases(
    risk=st.builds(Risk, size=st.just(Size("fraction", 30.0)), max_bars=pick(None, 30), take_profit=st.none()),
    cost=st.builds(Costs, borrow_rate=pick(3.0, 40.0), slippage_ticks=pick(0.0, 1.0)),
)


@quick
@given(reckless)
def test_accounts_that_may_be_ruined(case):
    assert_agree(case)


@pytest.mark.long
@thorough
@given(reckless)
def test_very_many_accounts_that_may_be_ruined(case):
    assert_agree(case)


@quick
@given(feature_cases())
def test_random_rules_over_features(case):
    assert_agree(case)


@pytest.mark.long
@thorough
@given(feature_cases())
def test_very_many_random_rules_over_features(case):
    assert_agree(case)
