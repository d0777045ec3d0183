"""The kernel gives what the reference engine gives, to the last trade, on random bars, Plays, costs and settings."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from arch.data import sp500
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.features.reference import price_field
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Size
from tests.engine.hand_bars import kernel_backtest
from tests.engine.reference_engine import ReferenceResult, reference_backtest
from tests.engine.reference_metrics import daily_returns, drawdowns, expected_metrics
from tests.engine.strategies import Case, distances, feature, feature_cases, hand_cases, instruments, pick, risks, walks

EXACT = {"entry_time", "exit_time", "side", "exit_reason", "bars_held", "switch"}
quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
thorough = settings(max_examples=5_000, deadline=None, database=None, print_blob=True)


def sp500_plays() -> list[Play]:
    """Plays of three kinds on prices that are no round numbers."""

    def group(*parts: Compare) -> Group:
        return Group(len(parts), parts)

    close, rsi = price_field("close", "1d"), feature("rsi", timeframe="1d", timeperiod=5)
    fast, slow = feature("ema", timeframe="1d", timeperiod=10), feature("ema", timeframe="1w", timeperiod=5)
    reversal = Play(
        "averages",
        "1d",
        entry_long=group(Compare(fast, "crosses_above", slow)),
        entry_short=group(Compare(fast, "crosses_below", slow)),
        risk=Risk(trailing=Distance("atr", 3.0, 20), cooldown=0),
    )
    dip = Play(
        "dip",
        "1d",
        entry_long=group(Compare(rsi, "crosses_below", 40.0), Compare(close, ">", slow)),
        exit_long=group(Compare(rsi, ">", 60.0)),
        risk=Risk(
            Size("risk", 0.02), stop=Distance("percent", 0.03), take_profit=Distance("percent", 0.02), max_bars=15
        ),
        warmup_bars=100,
    )
    short = replace(dip, name="fade", entry_long=None, entry_short=group(Compare(rsi, ">", 70.0)), exit_long=None)
    return [reversal, dip, short]


def sp500_feed() -> Feed:
    raw = sp500.load()
    bars = raw.rename(columns=str.lower)[["open", "high", "low", "close", "volume"]].astype(float)
    bars.index = pd.DatetimeIndex(bars.index, name="timestamp").tz_localize("UTC").as_unit("us")
    instrument = Instrument(symbol="SP500", kind="index", tick=0.01, lot=0.01)
    return feed_from_bars(bars, instrument=instrument, timeframe="1d", start=200)


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
    for name in ("ambiguous", "ruined", "rejected", "capped"):
        assert getattr(actual, name) == getattr(expected, name), name
    assert_fast_pass_agrees(case, actual, expected)


# Functions of the daily returns alone, which the tests of metrics compare with other libraries.
OF_DAILY_RETURNS = {"sharpe", "sortino", "var_95", "expected_shortfall_95", "volatility", "skew", "kurtosis"}


def assert_fast_pass_agrees(case: Case, actual: ReferenceResult, expected: ReferenceResult) -> None:
    """The pass without a record, which evolution uses: its metrics and daily returns are those of the record.

    Money is that of the reference engine but for rounding; what follows from the marked equity alone (which equity is
    a peak, the return of a date) is exactly that of the recorded equity, which is the reference's but for rounding.
    """
    daily = daily_returns(case.feed, actual.equity, case.cash)
    assert actual.daily_returns == daily
    counts = ("exposed", "ambiguous", "ruined", "rejected", "capped")
    found = {name: getattr(expected, name) for name in counts}
    metrics = expected_metrics(case.feed, expected.trades, expected.equity, cash=case.cash, **found)
    assert actual.metrics.keys() == metrics.keys()
    deepest, longest = drawdowns(case.feed, actual.equity, case.cash)
    assert actual.metrics["longest_drawdown"] == longest
    assert actual.metrics["max_drawdown"] == pytest.approx(deepest, rel=1e-12, abs=1e-15)
    rounding = 1e-9 * case.cash * max(1, len(expected.trades))
    break_even = any(abs(trade["net_pnl"]) <= rounding for trade in expected.trades)
    for name, value in metrics.items():
        if name in OF_DAILY_RETURNS or name == "longest_drawdown":
            continue
        if break_even and name in ("wins", "losses", "win_rate", "profit_factor"):
            continue  # rounding decides on which side of zero such a trade is
        if name == "calmar" and deepest < 1e-9:
            continue  # a drawdown of rounding alone
        mine = actual.metrics[name]
        if math.isnan(value):
            assert math.isnan(mine), f"{name}: {mine} != {value}"
        else:
            scale = case.cash if name in ("expectancy", "commission", "financing", "net_profit", "final_equity") else 1
            near = math.isclose(mine, value, rel_tol=1e-7, abs_tol=1e-9 * scale)
            assert near, f"{name}: {mine} != {value}"


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
    # Positions held over many bars between levels far away: bars are passed 64 at a time.
    "patient": hand_cases(
        instrument=instruments(("future", "perpetual", "spot", "index")),
        risk=st.builds(
            Risk,
            size=pick(Size("contracts", 1.0), Size("fraction", 0.5)),
            stop=st.none() | distances(("percent", "ticks")),
            take_profit=st.none() | st.builds(Distance, st.just("percent"), pick(0.1, 0.6)),
            trailing=st.none() | st.builds(Distance, pick("percent", "atr"), pick(0.05, 0.3)) | distances(),
            max_bars=pick(None, 100, 700),
        ),
        walk=walks((700,), levels=(400, 10_000), steps=(1, 2)),
        entries=(0.01, 0.003),
        rolls=(0.0, 0.003),
        payments=(0.0, 0.01),
    ),
    "hours": hand_cases(by_clock=True, entries=(0.3, 0.7)),
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


@settings(parent=quick, max_examples=20)
@given(
    hand_cases(walk=walks((3_000, 9_000)), entries=(0.2, 0.01, 0.001), rolls=(0.0, 0.001, 0.02), payments=(0.6, 0.01))
)
def test_kernel_and_reference_agree_on_many_bars(case):
    assert_agree(case)


@pytest.mark.parametrize("policy", ["pessimistic", "ohlc_path"])
@pytest.mark.parametrize("play", sp500_plays(), ids=lambda play: play.name)
def test_kernel_and_reference_agree_on_twenty_years_of_real_bars(play, policy):
    dear = Costs(commission_bps=5, slippage_bps=2, borrow_rate=0.02)
    case = Case(play, sp500_feed(), dear, 100_000.0, policy, "prev_open", True, None, FillRules())
    assert len(kernel_backtest(play, case.feed, **case.settings).trades) > 50
    assert_agree(case)


@pytest.mark.long
@pytest.mark.parametrize("strategy", STRATEGIES)
@thorough
@given(data=st.data())
def test_kernel_and_reference_agree_very_often(strategy, data):
    assert_agree(data.draw(STRATEGIES[strategy]))
