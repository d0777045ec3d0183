"""The kernel gives what the reference engine gives, to the last trade, on random bars, Plays, costs and settings."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.engine.costs import Costs
from forge_core.market.instruments import Instrument
from forge_core.plays.model import Risk, Size
from tests.engine.hand_bars import kernel_backtest
from tests.engine.reference_engine import reference_backtest
from tests.engine.strategies import Case, distances, feature_cases, hand_cases, instruments, pick, risks, walks

EXACT = {"entry_time", "exit_time", "side", "exit_reason", "bars_held", "switch"}
quick = settings(max_examples=250, deadline=None, derandomize=True, database=None)
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


def negative_allowed(instrument: Instrument) -> Instrument:
    return instrument.model_copy(update={"positive_prices": False})


STRATEGIES = {
    "random_signals": hand_cases(),
    "rules_over_features": feature_cases(),
    # All the margin there is, no stop, and a borrow that eats an account in weeks.
    "near_ruin": hand_cases(
        risk=st.builds(Risk, size=st.just(Size("fraction", 30.0)), max_bars=pick(None, 30)),
        cost=st.builds(Costs, borrow_rate=pick(3.0, 40.0), slippage_ticks=pick(0.0, 1.0)),
    ),
    # Positions held over many rolls by levels they seldom reach.
    "rolling": hand_cases(
        instrument=instruments(("future",)),
        risk=st.builds(
            Risk,
            size=pick(Size("contracts", 1.0), Size("fraction", 1.0)),
            stop=st.none() | distances(("percent", "ticks")),
            take_profit=st.none() | distances(),
            trailing=st.none() | distances(),
            max_bars=pick(None, 4, 12),
            cooldown=pick(0, 2),
        ),
        walk=walks((120,), levels=(100, 400)),
        entries=(0.1, 0.3),
        rolls=(0.1, 0.3),
    ),
    "around_zero": hand_cases(
        instrument=instruments(("future",)).map(negative_allowed),
        walk=walks((40, 120), levels=(3, 20), steps=(2, 5)),
    ),
    "liquidation": hand_cases(
        instrument=instruments(("perpetual",)).map(
            lambda perpetual: perpetual.model_copy(update={"maintenance_margin_rate": 0.02, "max_leverage": 10.0})
        ),
        risk=risks(sizes=("contracts", "fraction")),
        walk=walks((40, 120), levels=(100, 400), steps=(5, 12)),
    ),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@quick
@given(data=st.data())
def test_kernel_and_reference_agree(strategy, data):
    assert_agree(data.draw(STRATEGIES[strategy]))


@pytest.mark.long
@pytest.mark.parametrize("strategy", STRATEGIES)
@thorough
@given(data=st.data())
def test_kernel_and_reference_agree_very_often(strategy, data):
    assert_agree(data.draw(STRATEGIES[strategy]))
