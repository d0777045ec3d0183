"""Summary metrics: one float64 vector per backtest, in the order of the catalogue, NaN where a metric is undefined."""

import math

import numpy as np
from numpy.typing import NDArray

from forge_core.errors import ConfigError
from forge_core.metrics.accumulators import accumulators_at
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, SHORT_PERIOD, Metric, get_metric
from forge_core.simd.compiled import compiled

Floats = NDArray[np.float64]

# The catalogue's order as constants; a test compares the two.
(
    TOTAL_TRADES,
    WINS,
    LOSSES,
    WIN_RATE,
    TOTAL_RETURN,
    CAGR,
    AVERAGE_RETURN,
    EXPECTANCY,
    PROFIT_FACTOR,
    MAX_DRAWDOWN,
    LONGEST_DRAWDOWN,
    SHARPE,
    SORTINO,
    CALMAR,
    VAR_95,
    EXPECTED_SHORTFALL_95,
    VOLATILITY,
    SKEW,
    KURTOSIS,
    EXPOSURE,
    AVERAGE_BARS_HELD,
    TURNOVER,
    AMBIGUITY_RATE,
    TOTAL_RETURN_CONTRACT,
    AVERAGE_RETURN_CONTRACT,
    TOTAL_RETURN_MARGIN,
    AVERAGE_RETURN_MARGIN,
    POINTS,
    COMMISSION,
    FINANCING,
    NET_PROFIT,
    FINAL_EQUITY,
    DAYS,
    REJECTED_ORDERS,
    VOLUME_CAPPED,
) = range(35)

_TAIL = 0.05
_DAY_MICROSECONDS = 86_400_000_000
YEAR_MICROSECONDS = 365.25 * _DAY_MICROSECONDS
# Minimum period in years for annualized growth; a trading year of futures or shares starts and ends with holidays.
SHORTEST_ANNUALIZED = 360.0 / 365.25
ANNUAL_RETURNS = frozenset({"cagr", "calmar"})
"""Metrics that are undefined for periods of fewer than ``SHORTEST_ANNUALIZED`` years."""
# A return is a ratio minus one, so differences below a few units in the last place of 1.0 are rounding errors.
_ROUNDING = 4 * np.finfo(np.float64).eps


@compiled
def daily_returns(equity_at_day_ends, initial, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the simple return of each trade date.

    ``out[d] = max(equity[d] / equity[d - 1] - 1, -1)``, where the equity before the first day is ``initial``; 0 if the
    previous equity is at or below zero.

    Parameters
    ----------
    equity_at_day_ends : float64 array, shape (days,)
        Equity marked at the last close of each trade date, money.
    initial : float
        Equity before the first bar, money.
    out : float64 array, shape (days,)
        Receives the returns, fractions.
    """
    before = initial
    for day in range(equity_at_day_ends.size):
        equity = equity_at_day_ends[day]
        out[day] = max(equity / before - 1.0, -1.0) if before > 0.0 else 0.0
        before = equity


@compiled
def moments(returns):  # type: ignore[no-untyped-def]
    """Return mean, deviation (ddof 1), downside deviation, skew and kurtosis (biased, Pearson) of two or more returns.

    Two passes, the second about the mean and scaled by the range: no cancellation, no overflow (Chan, Golub and
    LeVeque, Algorithms for Computing the Sample Variance, The American Statistician 37(3), 1983). Returns that are
    equal except for rounding have deviation 0 and NaN for skew and kurtosis; all are NaN if the range is not finite.
    """
    n = returns.size
    first = returns[0]
    shift = 0.0  # sum of differences from the first, so that the mean of nearly equal returns is exact
    low = first
    high = first
    for value in returns:
        shift += value - first
        low = min(low, value)
        high = max(high, value)
    mean = first + shift / n
    spread = high - low
    if not (math.isfinite(mean) and math.isfinite(spread)):
        return math.nan, math.nan, math.nan, math.nan, math.nan

    downside = 0.0
    if low < -_ROUNDING:
        for value in returns:
            if value < 0.0:
                downside += (value / low) ** 2
        downside = -low * math.sqrt(downside / n)

    if spread <= _ROUNDING * max(1.0, abs(mean)):
        return mean, 0.0, downside, math.nan, math.nan
    scale = 1.0 / spread
    m2 = 0.0
    m3 = 0.0
    m4 = 0.0
    for value in returns:
        z = (value - mean) * scale
        square = z * z
        m2 += square
        m3 += square * z
        m4 += square * square
    deviation = math.sqrt(m2 / (n - 1)) * spread
    m2 /= n
    return mean, deviation, downside, m3 / n / m2**1.5, m4 / n / (m2 * m2)


@compiled
def tail(returns):  # type: ignore[no-untyped-def]
    """Return the 5th percentile (linear, as in ``numpy.percentile``) and the mean of the returns at or below it.

    The mean is over the ``floor(0.05 (n - 1)) + 1`` lowest of ``n >= 2`` returns.
    """
    position = _TAIL * (returns.size - 1)
    below = int(position)
    lowest = np.partition(returns, below + 1)[: below + 2]
    upper = lowest[below + 1]
    lower = lowest[0]
    total = 0.0
    for value in lowest[: below + 1]:
        lower = max(lower, value)
        total += value
    return lower + (upper - lower) * (position - below), total / (below + 1)


@compiled
def growth_a_year(total_return, years):  # type: ignore[no-untyped-def]
    """Return the compound annual growth rate: -1 if everything was lost, NaN below ``SHORTEST_ANNUALIZED`` years."""
    if total_return <= -1.0:
        return -1.0
    return (1.0 + total_return) ** (1.0 / years) - 1.0 if years >= SHORTEST_ANNUALIZED else math.nan


@compiled
def periods_a_year(returns, years, bar_microseconds, annualization):  # type: ignore[no-untyped-def]
    """Return the number of returns per year; its square root annualizes a deviation or a Sharpe ratio.

    Bars of up to a day give one return per trade date: the instrument's number of trade dates per year. Longer bars
    give one return per bar: ``returns / years``, the number of periods in the data (52.18 for weekly bars).

    Parameters
    ----------
    returns : int
        Number of returns.
    years : float
        Calendar years of 365.25 days that the returns cover, from the open of the first bar to the close of the last.
    bar_microseconds : int
        Length of a bar.
    annualization : float
        Trade dates in a year (252 for shares and futures, 365 for crypto).

    References
    ----------
    Lo, The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), 2002: ``SR(q) = sqrt(q) SR`` for ``q``
    independent periods.
    """
    if bar_microseconds <= _DAY_MICROSECONDS or years <= 0.0:
        return annualization
    return returns / years


@compiled
def ratio(numerator, denominator):  # type: ignore[no-untyped-def]
    """Return ``numerator / denominator``, NaN where the denominator is zero."""
    return numerator / denominator if denominator != 0.0 else math.nan


@compiled
def summarize(accumulators, daily, years, annualization, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with every metric of one backtest; NaN where a metric is undefined, never infinite.

    The formulas are in ``metrics.catalog``; ``metrics.returns`` has a function for each metric of daily returns.

    Parameters
    ----------
    accumulators : int
        Address of the kernel's running sums (``metrics.accumulators``).
    daily : float64 array, shape (days,)
        Daily returns, fractions, one per trade date.
    years : float
        Calendar years from the open of the first bar to the close of the last.
    annualization : float
        Returns in a year (``periods_a_year``).
    out : float64 array, shape (len(METRICS),)
        Receives the metrics.
    """
    sums = accumulators_at(accumulators)
    trades = sums.trades
    out[TOTAL_TRADES] = trades
    out[WINS] = sums.wins
    out[LOSSES] = sums.losses
    out[WIN_RATE] = ratio(sums.wins, trades)
    out[AVERAGE_RETURN] = ratio(sums.return_sum, trades)
    out[EXPECTANCY] = ratio(sums.gross_profit + sums.gross_loss, trades)
    out[PROFIT_FACTOR] = ratio(sums.gross_profit, -sums.gross_loss)
    out[AVERAGE_BARS_HELD] = ratio(sums.bars_held, trades)
    out[AMBIGUITY_RATE] = ratio(sums.ambiguous, trades)
    out[TOTAL_RETURN_CONTRACT] = sums.return_sum
    out[AVERAGE_RETURN_CONTRACT] = ratio(sums.return_sum, trades)
    out[TOTAL_RETURN_MARGIN] = sums.margin_sum
    out[AVERAGE_RETURN_MARGIN] = ratio(sums.margin_sum, trades)
    out[POINTS] = sums.points_sum
    out[COMMISSION] = sums.commission
    out[FINANCING] = sums.financing

    total_return = sums.final / sums.initial - 1.0
    out[TOTAL_RETURN] = total_return
    out[NET_PROFIT] = sums.final - sums.initial
    out[FINAL_EQUITY] = sums.final
    out[CAGR] = growth_a_year(-1.0 if sums.ruined else total_return, years)
    out[MAX_DRAWDOWN] = sums.max_drawdown
    out[LONGEST_DRAWDOWN] = sums.longest_drawdown
    out[CALMAR] = ratio(out[CAGR], sums.max_drawdown)
    out[EXPOSURE] = ratio(sums.exposed, sums.bars)
    out[TURNOVER] = ratio(sums.turnover / sums.initial, years)

    out[REJECTED_ORDERS] = sums.rejected
    out[VOLUME_CAPPED] = sums.volume_capped

    out[DAYS] = daily.size
    if daily.size >= 2:
        mean, deviation, downside, skew, kurtosis = moments(daily)
        year = math.sqrt(annualization)
        out[VOLATILITY] = deviation * year
        out[SHARPE] = ratio(mean, deviation) * year
        out[SORTINO] = ratio(mean, downside) * year
        out[SKEW] = skew
        out[KURTOSIS] = kurtosis
        out[VAR_95], out[EXPECTED_SHORTFALL_95] = tail(daily)
    else:
        for index in (VOLATILITY, SHARPE, SORTINO, SKEW, KURTOSIS, VAR_95, EXPECTED_SHORTFALL_95):
            out[index] = math.nan

    for index in range(out.size):
        if not math.isfinite(out[index]):
            out[index] = math.nan


def metrics_mapping(vector: Floats) -> dict[str, float | int | None]:
    """Return the metrics by name, in the catalogue's order: counts as int, None where undefined."""
    _check(vector)
    return {metric.name: _value(metric, float(x)) for metric, x in zip(METRICS, vector, strict=True)}


def undefined_reasons(vector: Floats) -> dict[str, str]:
    """Return the reason for each undefined metric of ``vector``."""
    _check(vector)
    return {
        metric.name: _reason(metric, vector) for metric, x in zip(METRICS, vector, strict=True) if not math.isfinite(x)
    }


def objective_value(vector: Floats, name: str) -> float:
    """Return metric ``name`` as the value of an objective: always finite, between ``worst`` and ``cap``.

    An undefined metric is ``worst``, or ``cap`` if it is undefined for the absence of losses: profit factor with a win
    and no loss, Sortino without a losing day and Calmar without a drawdown after a gain, Sharpe of a constant gain.
    Raises ConfigError for an unknown metric or one without a direction.
    """
    metric = get_metric(name)
    if metric.better is None:
        known = ", ".join(m.name for m in METRICS if m.better)
        raise ConfigError(
            f"metric {name!r} cannot be an objective: neither more nor less is better; use one of {known}"
        )
    _check(vector)
    value = float(vector[METRIC_INDEX[name]])
    if not math.isfinite(value):
        return metric.cap if metric.cap is not None and _faultless(vector, name) else metric.worst
    if metric.better == "minimize":
        return min(value, metric.worst)
    value = max(value, metric.worst)
    return value if metric.cap is None else min(value, metric.cap)


def _faultless(vector: Floats, name: str) -> bool:
    """Return whether an unbounded metric is undefined because there was a gain and a denominator of zero."""
    gained = bool(vector[TOTAL_RETURN] > 0)
    if name == "profit_factor":
        return bool(vector[WINS] > 0 and vector[LOSSES] == 0)
    if name == "sharpe":
        return gained and bool(vector[VOLATILITY] == 0)
    if name == "sortino":
        return gained and bool(vector[DAYS] >= 2)
    if name == "calmar":
        return gained and bool(vector[MAX_DRAWDOWN] == 0 and math.isfinite(vector[CAGR]))
    return gained and name != "cagr"


def _value(metric: Metric, value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if metric.integer else value


def _reason(metric: Metric, vector: Floats) -> str:
    if metric.needs == "trades" and vector[TOTAL_TRADES] == 0:
        return "no trades"
    if metric.needs == "days" and vector[DAYS] < 2:
        return "fewer than 2 daily returns"
    if metric.name == "calmar" and not math.isfinite(vector[CAGR]):
        return SHORT_PERIOD
    return metric.undefined or "the numbers are too large"


def _check(vector: Floats) -> None:
    if vector.shape != (len(METRICS),):
        raise ValueError(f"metrics vector of shape {vector.shape}; expected ({len(METRICS)},)")
