"""The compiled summary: hand-made tallies, what is undefined and why, what the optimizer is told."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forge_core.errors import ConfigError
from forge_core.metrics import returns, summary
from forge_core.metrics.accumulators import ACCUMULATORS
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, get_metric
from forge_core.simd.memory import address_of


def _accumulators(**entries: float) -> np.ndarray:
    values = np.zeros(1, ACCUMULATORS)
    standard = {"initial": 100_000.0, "final": 100_000.0, "bars": 1_000, "margin_sum": math.nan}
    for name, value in (standard | entries).items():
        values[name] = value
    return values


def _vector(accumulators: np.ndarray, daily=(), years: float = 2.0, annualization: float = 365.0) -> np.ndarray:
    out = np.full(len(METRICS), 7.0)  # whatever stood there before must be gone
    summary.summarize(address_of(accumulators), np.asarray(daily, np.float64), years, annualization, out)
    return out


TEN_TRADES = _accumulators(
    trades=10,
    wins=6,
    losses=3,
    gross_profit=9_000.0,
    gross_loss=-3_000.0,
    return_sum=0.12,
    margin_sum=1.5,
    points_sum=250.0,
    bars_held=200,
    exposed=190,
    turnover=1_000_000.0,
    commission=400.0,
    financing=-25.0,
    ambiguous=2,
    final=106_000.0,
    max_drawdown=0.04,
    longest_drawdown=12.5,
    rejected=3,
    volume_capped=1,
)


def test_ten_trades_by_hand():
    daily = np.array([0.02, -0.01, 0.03, 0.0, 0.01])
    found = summary.metrics_mapping(_vector(TEN_TRADES, daily))
    cagr = 1.06**0.5 - 1
    assert found == {
        "total_trades": 10,
        "wins": 6,
        "losses": 3,
        "win_rate": 0.6,
        "total_return": pytest.approx(0.06),
        "cagr": pytest.approx(cagr),
        "average_return": pytest.approx(0.012),
        "expectancy": 600.0,
        "profit_factor": 3.0,
        "max_drawdown": 0.04,
        "longest_drawdown": 12.5,
        "sharpe": pytest.approx(daily.mean() / daily.std(ddof=1) * 365**0.5),
        "sortino": pytest.approx(0.01 / (0.0001 / 5) ** 0.5 * 365**0.5),
        "calmar": pytest.approx(cagr / 0.04),
        "var_95": pytest.approx(-0.008),
        "expected_shortfall_95": -0.01,
        "volatility": pytest.approx(daily.std(ddof=1) * 365**0.5),
        "skew": pytest.approx(0.0, abs=1e-12),
        "kurtosis": pytest.approx(1.7),
        "exposure": 0.19,
        "average_bars_held": 20.0,
        "turnover": 5.0,
        "ambiguity_rate": 0.2,
        "total_return_contract": 0.12,
        "average_return_contract": pytest.approx(0.012),
        "total_return_margin": 1.5,
        "average_return_margin": 0.15,
        "points": 250.0,
        "commission": 400.0,
        "financing": -25.0,
        "net_profit": 6_000.0,
        "final_equity": 106_000.0,
        "days": 5,
        "rejected_orders": 3,
        "volume_capped": 1,
    }
    assert isinstance(found["total_trades"], int)
    assert summary.undefined_reasons(_vector(TEN_TRADES, daily)) == {}


def test_the_constants_are_the_catalogue_s_order():
    for name, index in METRIC_INDEX.items():
        assert getattr(summary, name.upper()) == index


def test_the_vector_and_the_single_functions_agree():
    daily = np.random.default_rng(5).standard_normal(300) * 0.01
    found = summary.metrics_mapping(_vector(TEN_TRADES, daily, annualization=252.0))
    alone = returns.from_daily_returns(daily, 252.0, 1.0)
    for name in ("sharpe", "sortino", "var_95", "expected_shortfall_95", "volatility", "skew", "kurtosis", "days"):
        assert found[name] == alone[name], name


def test_a_play_that_never_trades():
    vector = _vector(_accumulators(), np.zeros(400))
    found = summary.metrics_mapping(vector)
    reasons = summary.undefined_reasons(vector)
    of_trades = {metric.name for metric in METRICS if metric.needs == "trades"}
    assert {name for name, reason in reasons.items() if reason == "no trades"} == of_trades
    assert reasons["sharpe"] == reasons["kurtosis"] == "all daily returns are equal"
    assert reasons["sortino"] == "no losing day"
    assert reasons["calmar"] == "no drawdown"
    assert reasons["total_return_margin"] == "the instrument has no initial margin"
    assert found["total_trades"] == 0
    assert found["total_return"] == found["cagr"] == found["max_drawdown"] == found["volatility"] == 0.0
    assert found["var_95"] == found["expected_shortfall_95"] == 0.0
    for metric in METRICS:
        if metric.better and metric.name in reasons:
            assert summary.objective_value(vector, metric.name) == metric.worst  # doing nothing is not rewarded


def test_nothing_went_wrong_is_the_cap():
    """Two wins, no loss, no losing day, no drawdown: undefined, but good."""
    accumulators = _accumulators(trades=2, wins=2, gross_profit=500.0, final=100_500.0, margin_sum=0.1)
    vector = _vector(accumulators, [0.002, 0.003, 0.0])
    found, reasons = summary.metrics_mapping(vector), summary.undefined_reasons(vector)
    assert reasons == {"profit_factor": "no losing trade", "sortino": "no losing day", "calmar": "no drawdown"}
    for name in reasons:
        assert found[name] is None
        assert summary.objective_value(vector, name) == get_metric(name).cap
    steady = _vector(accumulators, [0.0025, 0.0025])
    assert summary.undefined_reasons(steady)["sharpe"] == "all daily returns are equal"
    assert summary.objective_value(steady, "sharpe") == get_metric("sharpe").cap


def test_only_break_even_trades_are_not_rewarded():
    vector = _vector(_accumulators(trades=3), np.zeros(10))
    assert summary.metrics_mapping(vector)["profit_factor"] is None
    assert summary.objective_value(vector, "profit_factor") == 0.0


def test_steady_loss_is_the_worst_sharpe():
    vector = _vector(
        _accumulators(trades=1, losses=1, gross_loss=-10.0, final=99_990.0, max_drawdown=0.1), [-0.01, -0.01]
    )
    assert summary.objective_value(vector, "sharpe") == get_metric("sharpe").worst
    assert summary.objective_value(vector, "sortino") == pytest.approx(-math.sqrt(365))
    assert summary.objective_value(vector, "profit_factor") == 0.0


def test_ruin():
    accumulators = _accumulators(trades=1, losses=1, gross_loss=-130_000.0, final=-30_000.0, max_drawdown=1.3, ruined=1)
    daily = np.empty(3)
    summary.daily_returns(np.array([50_000.0, -30_000.0, -30_000.0]), 100_000.0, daily)
    assert daily.tolist() == [-0.5, -1.0, 0.0]
    vector = _vector(accumulators, daily)
    found = summary.metrics_mapping(vector)
    assert found["cagr"] == -1.0
    assert found["total_return"] == pytest.approx(-1.3)
    assert found["calmar"] == pytest.approx(-1 / 1.3)
    assert summary.objective_value(vector, "total_return") == -1.0
    assert summary.objective_value(vector, "max_drawdown") == 1.0


def test_ruin_counts_even_where_the_last_fill_left_something():
    assert summary.metrics_mapping(_vector(_accumulators(final=10.0, ruined=1)))["cagr"] == -1.0


def test_objectives_are_clipped_to_their_cap():
    vector = _vector(
        _accumulators(trades=9, wins=8, losses=1, gross_profit=1e6, gross_loss=-1.0, final=1.1e6), [0.0, 0.1]
    )
    assert summary.metrics_mapping(vector)["profit_factor"] == 1e6
    assert summary.objective_value(vector, "profit_factor") == 100.0


@pytest.mark.parametrize("days", [1, 30, 180, 359])
def test_growth_over_less_than_a_year_is_not_annualized(days):
    vector = _vector(_accumulators(final=103_000.0, max_drawdown=0.01), years=days / 365.25)
    reasons = summary.undefined_reasons(vector)
    for name in ("cagr", "calmar"):
        assert summary.metrics_mapping(vector)[name] is None
        assert "shorter than 360 days" in reasons[name]
        assert summary.objective_value(vector, name) == get_metric(name).worst
    steady = _vector(_accumulators(final=103_000.0), years=days / 365.25)  # no drawdown is no merit in a month
    assert summary.objective_value(steady, "calmar") == get_metric("calmar").worst


@pytest.mark.parametrize("days", [360, 363, 365.25])
def test_a_trading_year_is_annualized(days):
    vector = _vector(_accumulators(final=110_000.0, max_drawdown=0.1), years=days / 365.25)
    found = summary.metrics_mapping(vector)
    assert found["cagr"] == pytest.approx(1.1 ** (365.25 / days) - 1)
    assert found["calmar"] == pytest.approx(found["cagr"] / 0.1)


def test_ruin_is_total_however_short_the_period():
    assert summary.metrics_mapping(_vector(_accumulators(final=10.0, ruined=1), years=0.01))["cagr"] == -1.0


@pytest.mark.parametrize("daily", [[], [0.01]])
def test_fewer_than_two_days(daily):
    reasons = summary.undefined_reasons(_vector(TEN_TRADES, daily))
    assert {name for name in reasons if reasons[name] == "fewer than 2 daily returns"} == {
        metric.name for metric in METRICS if metric.needs == "days"
    }


_ANY = st.one_of(st.floats(-1e300, 1e300), st.sampled_from([0.0, 1.0, -1.0, math.nan, 1e-320]))


@given(
    st.fixed_dictionaries({name: _ANY for name in ("gross_profit", "gross_loss", "return_sum", "margin_sum", "final")}),
    st.fixed_dictionaries(
        {name: st.integers(0, 3) for name in ("trades", "wins", "losses", "exposed", "bars", "ruined")}
    ),
    st.floats(0.0, 2.0),
    arrays(np.float64, st.integers(0, 30), elements=st.floats(-1.0, 1e300)),
    st.floats(0.0, 30.0),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_nothing_infinite_comes_out_whatever_goes_in(money, counts, fall, daily, years):
    vector = _vector(_accumulators(**money, **counts, max_drawdown=fall), daily, years)
    assert not np.isinf(vector).any()
    found = summary.metrics_mapping(vector)
    json.dumps(found, allow_nan=False)
    reasons = summary.undefined_reasons(vector)
    assert set(reasons) == {name for name, value in found.items() if value is None}
    assert all(reasons.values())
    for metric in METRICS:
        if metric.better is not None:
            value = summary.objective_value(vector, metric.name)
            assert math.isfinite(value)
            assert value >= metric.worst if metric.better == "maximize" else value <= metric.worst


@given(
    arrays(np.float64, st.integers(0, 30), elements=st.floats(-100.0, 1e6).map(lambda x: round(x, 2))),
    st.floats(1.0, 1e6),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_daily_returns_compound_to_the_equity(equity, initial):
    out = np.empty(equity.size)
    summary.daily_returns(equity, initial, out)
    assert (out >= -1).all()
    for value, growth, before in zip(equity, out, itertools.chain([initial], equity), strict=False):
        if before <= 0:
            assert growth == 0.0
        else:
            assert before * (1 + growth) == pytest.approx(max(value, 0.0), rel=1e-9, abs=1e-9)


def test_two_runs_give_the_same_bits():
    daily = np.random.default_rng(1).standard_normal(1_461) * 0.02
    assert _vector(TEN_TRADES, daily).tobytes() == _vector(TEN_TRADES, daily.copy()).tobytes()


def test_an_objective_needs_a_direction_and_a_known_name():
    vector = _vector(TEN_TRADES)
    with pytest.raises(ConfigError, match="'total_trades' cannot be an objective"):
        summary.objective_value(vector, "total_trades")
    with pytest.raises(ConfigError, match="did you mean 'sharpe'"):
        summary.objective_value(vector, "sharp")


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(ValueError, match="shape"):
        summary.metrics_mapping(np.zeros(3))
