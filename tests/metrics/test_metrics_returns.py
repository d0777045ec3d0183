"""The metrics of a return series, against empyrical, quantstats, scipy and exact arithmetic."""

import math
import statistics
import warnings

import numpy as np
import pandas as pd
import pytest
from arch.data import nasdaq, sp500
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from forge_core.errors import DataError
from forge_core.metrics import returns as m

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical
    import quantstats.stats as quantstats


def _market(module) -> pd.Series:
    return module.load()["Adj Close"].pct_change().dropna()


def _random(seed: int, size: int, idle: float = 0.0) -> pd.Series:
    generator = np.random.default_rng(seed)
    values = 0.0005 + 0.02 * generator.standard_t(4, size)
    values[generator.random(size) < idle] = 0.0
    return pd.Series(np.maximum(values, -0.9), index=pd.date_range("2021-01-01", periods=size, freq="D"))


SERIES = {
    "sp500": _market(sp500),
    "nasdaq": _market(nasdaq),
    "fat tails": _random(1, 1_461),
    "mostly idle": _random(2, 1_461, idle=0.6),
    "short": _random(3, 30),
}


@pytest.fixture(params=SERIES)
def series(request) -> pd.Series:
    return SERIES[request.param]


@pytest.mark.parametrize("annualization", [252, 365])
def test_agrees_with_empyrical(series, annualization):
    found = m.from_daily_returns(series, annualization, years=len(series) / annualization)
    assert found["sharpe"] == pytest.approx(empyrical.sharpe_ratio(series, annualization=annualization), rel=1e-10)
    assert found["sortino"] == pytest.approx(empyrical.sortino_ratio(series, annualization=annualization), rel=1e-10)
    if len(series) < 200:  # libraries raise a month to the twelfth power
        assert found["calmar"] is found["cagr"] is None
    else:
        assert found["calmar"] == pytest.approx(empyrical.calmar_ratio(series, annualization=annualization), rel=1e-10)
        assert found["cagr"] == pytest.approx(empyrical.cagr(series, annualization=annualization), rel=1e-10)
    assert found["max_drawdown"] == pytest.approx(-empyrical.max_drawdown(series), rel=1e-10)
    assert found["total_return"] == pytest.approx(empyrical.cum_returns_final(series), rel=1e-10)
    assert found["volatility"] == pytest.approx(
        empyrical.annual_volatility(series, annualization=annualization), rel=1e-10
    )
    assert found["var_95"] == pytest.approx(empyrical.value_at_risk(series), rel=1e-10, abs=1e-15)
    assert found["expected_shortfall_95"] == pytest.approx(empyrical.conditional_value_at_risk(series), rel=1e-10)


@pytest.mark.parametrize("annualization", [252, 365])
def test_agrees_with_quantstats(series, annualization):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = m.from_daily_returns(series, annualization, years=len(series) / annualization)
        assert found["sharpe"] == pytest.approx(quantstats.sharpe(series, periods=annualization), rel=1e-10)
        assert found["sortino"] == pytest.approx(quantstats.sortino(series, periods=annualization), rel=1e-10)
        if len(series) > 200:
            assert found["calmar"] == pytest.approx(quantstats.calmar(series, periods=annualization), rel=1e-10)
        assert found["volatility"] == pytest.approx(quantstats.volatility(series, periods=annualization), rel=1e-10)
        assert found["max_drawdown"] == pytest.approx(-quantstats.max_drawdown(series), rel=1e-10)


def test_agrees_with_scipy(series):
    assert m.skew(series) == pytest.approx(stats.skew(series, bias=True), rel=1e-9)
    assert m.kurtosis(series) == pytest.approx(stats.kurtosis(series, fisher=False, bias=True), rel=1e-9)


def test_kurtosis_of_the_normal_is_three():
    assert m.kurtosis(np.random.default_rng(0).standard_normal(400_000)) == pytest.approx(3.0, abs=0.05)


def test_days_out_of_the_market_do_not_dilute_the_shortfall():
    idle = np.zeros(100)
    idle[:3] = -0.10  # three losing days of a hundred: the 5th percentile is a day of zero
    assert m.value_at_risk(idle) == 0.0
    assert m.expected_shortfall(idle) == pytest.approx(-0.30 / 5)


_RETURNS = arrays(
    np.float64,
    st.integers(2, 80),
    elements=st.one_of(st.just(0.0), st.floats(-1.0, 5.0, allow_subnormal=False), st.floats(-0.05, 0.05)),
)


@given(_RETURNS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_agrees_with_exact_arithmetic(values):
    """The ``statistics`` module computes in fractions, so it has no rounding to share with us."""
    deviation = statistics.stdev(values.tolist())
    mean = statistics.mean(values.tolist())
    assert m.volatility(values, 365) == pytest.approx(deviation * math.sqrt(365), rel=1e-9, abs=1e-13)
    assert m.value_at_risk(values) == pytest.approx(np.percentile(values, 5), rel=1e-12, abs=1e-15)
    if deviation > 1e-12:
        assert m.sharpe(values, 365) == pytest.approx(mean / deviation * math.sqrt(365), rel=1e-6, abs=1e-9)
    downside = math.sqrt(math.fsum(min(x, 0.0) ** 2 for x in values) / values.size)
    if downside > 1e-12:
        assert m.sortino(values, 365) == pytest.approx(mean / downside * math.sqrt(365), rel=1e-9, abs=1e-9)
    spread = values.max() - values.min()
    if spread > 1e-9:
        scaled = (values - values.mean()) / spread
        assert m.skew(values) == pytest.approx(stats.skew(scaled), rel=1e-6, abs=1e-6)
        assert m.kurtosis(values) == pytest.approx(stats.kurtosis(scaled, fisher=False), rel=1e-6)


@given(_RETURNS)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_always_holds(values):
    found = m.from_daily_returns(values, 365, years=values.size / 365)
    assert all(x is None or math.isfinite(x) for x in found.values())
    assert found["expected_shortfall_95"] <= found["var_95"] + 1e-15
    assert found["volatility"] >= 0
    assert 0 <= found["max_drawdown"] <= 1
    assert found["kurtosis"] is None or found["kurtosis"] >= 1 - 1e-9
    assert found["sortino"] is None or found["sortino"] >= -math.sqrt(365) * (1 + 1e-12)


@given(_RETURNS, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_order_of_the_days_does_not_matter(values, random):
    shuffled = values.tolist()
    random.shuffle(shuffled)
    assume(np.ptp(values) > 1e-6)
    assert m.sharpe(shuffled, 365) == pytest.approx(m.sharpe(values, 365), rel=1e-9, abs=1e-12)
    assert m.expected_shortfall(shuffled) == pytest.approx(m.expected_shortfall(values), rel=1e-12, abs=1e-18)
    assert m.value_at_risk(shuffled) == m.value_at_risk(values)


@pytest.mark.parametrize("value", [0.0, 0.01, 0.1, -0.1, 1 / 3])
@pytest.mark.parametrize("size", [2, 7, 1_461])
def test_equal_returns_have_no_variance(value, size):
    """0.1 summed 1,461 times and divided by 1,461 is not 0.1; its variance is zero all the same."""
    values = np.full(size, value)
    assert math.isnan(m.sharpe(values, 365))
    assert math.isnan(m.skew(values))
    assert math.isnan(m.kurtosis(values))
    assert m.volatility(values, 365) == 0.0
    assert m.value_at_risk(values) == value


def test_equal_growth_has_no_variance():
    """Equity that grows by the same share each day: its returns differ by rounding alone."""
    equity = 100_000.0 * 1.001 ** np.arange(500)
    growth = equity[1:] / equity[:-1] - 1
    assert np.ptp(growth) > 0
    assert math.isnan(m.sharpe(growth, 365))


@pytest.mark.parametrize("values", [[], [0.01]])
def test_fewer_than_two_returns_tell_nothing(values):
    for metric in (m.skew, m.kurtosis, m.value_at_risk, m.expected_shortfall):
        assert math.isnan(metric(values))
    for metric in (m.sharpe, m.sortino, m.volatility):
        assert math.isnan(metric(values, 365))


def test_huge_returns_are_undefined_not_infinite():
    values = [1e308, 1e308, -1.0, 1e308]
    assert math.isnan(m.volatility([1e308, -1e308], 365))
    assert math.isfinite(m.kurtosis(values))
    assert not math.isinf(m.sharpe(values, 365))
    with pytest.raises(DataError, match="compound to an infinite equity"):
        m.from_daily_returns(values, 365, 1.0)


def test_cagr_by_hand():
    assert m.cagr(0.21, 2.0) == pytest.approx(0.1)
    assert m.cagr(-1.0, 2.0) == -1.0
    assert m.cagr(-1.7, 2.0) == -1.0  # a leveraged account that owes money
    assert math.isnan(m.cagr(0.5, 0.0))
    assert math.isnan(m.cagr(0.03, 30 / 365.25))  # a month is not raised to the twelfth power


def test_drawdown_by_hand():
    equity = [100.0, 120.0, 90.0, 110.0, 130.0, 65.0]
    np.testing.assert_allclose(m.drawdown(equity), [0, 0, 0.25, 1 / 12, 0, 0.5], atol=1e-15)
    assert m.max_drawdown(equity) == 0.5
    assert m.max_drawdown([100.0, 50.0, -20.0]) == pytest.approx(1.2)
    assert m.max_drawdown([100.0]) == 0.0
    assert math.isnan(m.max_drawdown([]))
    with pytest.raises(DataError, match="first equity is 0"):
        m.drawdown([0.0, 1.0])


def test_longest_drawdown_by_hand():
    days = pd.to_datetime(
        ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-06", "2024-01-07", "2024-01-08"], utc=True
    )
    assert m.longest_drawdown(pd.Series([100.0, 110, 90, 109, 111, 100], index=days)) == 4.0  # from the 2nd to the 6th
    assert m.longest_drawdown(pd.Series([1.0, 2, 3, 4, 4, 5], index=days)) == 0.0


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(1.0, 1_000.0)))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_drawdowns_agree_with_a_plain_loop(values):
    equity = pd.Series(values, index=pd.date_range("2024-01-01", periods=values.size, freq="6h", tz="UTC"))
    peak, since, longest, deepest = values[0], 0, 0, 0.0
    for i, value in enumerate(values):
        if value >= peak:
            peak, since = value, i
        longest = max(longest, i - since)
        deepest = max(deepest, (peak - value) / peak)
    assert m.longest_drawdown(equity) == longest / 4
    assert m.max_drawdown(equity) == pytest.approx(deepest, abs=1e-15)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.1, float("nan")], "value 1 of the series is nan"),
        ([float("inf"), 0.1], "value 0 of the series is inf"),
        ([[0.1, 0.2]], "one dimension"),
    ],
)
def test_what_is_not_a_series_of_returns_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        m.sharpe(values, 365)


def test_a_series_of_returns_tells_its_undefined_metrics_as_none():
    found = m.from_daily_returns([0.01, 0.01, 0.01], 365, years=3 / 365)
    assert found["sharpe"] is None
    assert found["sortino"] is None
    assert found["calmar"] is None
    assert found["total_return"] == pytest.approx(1.01**3 - 1)
    assert found["days"] == 3
