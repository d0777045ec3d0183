"""Metrics of a series of returns or of equity, one public function each.

They apply the formulas of ``summary.summarize`` to any series: buy and hold, a benchmark, a live account. An undefined
metric is NaN. Input that is not one-dimensional or not finite raises DataError (a missing return is not a return of
zero: drop it or supply it).
"""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forge_core.errors import DataError
from forge_core.metrics import summary as s

Floats = NDArray[np.float64]


def cagr(total_return: float, years: float) -> float:
    """Return the compound annual growth rate.

    .. math:: (1 + R)^{1 / years} - 1

    Parameters
    ----------
    total_return : float
        Return over the whole period, a fraction (0.5 is 50 %).
    years : float
        Calendar years of 365.25 days.

    Returns
    -------
    float
        Fraction per year; -1 if everything was lost (``total_return <= -1``), NaN if ``years`` is less than
        ``summary.SHORTEST_ANNUALIZED`` (360 days): growth over a shorter period is not annualized.
    """
    return _finite(s.growth_a_year(float(total_return), float(years)))


def sharpe(returns: ArrayLike, annualization: float) -> float:
    r"""Annualized Sharpe ratio with a risk-free rate of zero.

    .. math:: \frac{\bar r}{\sigma_r} \sqrt{A}, \quad \sigma_r^2 = \frac{1}{n - 1} \sum (r_i - \bar r)^2

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.
    annualization : float
        Periods in a year (365 for daily returns of crypto, 252 of shares and futures).

    Returns
    -------
    float
        NaN for fewer than two returns, and where all are equal (but for rounding).

    References
    ----------
    Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21(1), 1994.
    """
    mean, deviation, _, _, _ = _moments(returns)
    return _finite(s.ratio(mean, deviation) * math.sqrt(annualization))


def sortino(returns: ArrayLike, annualization: float) -> float:
    r"""Return the annualized Sortino ratio with a target of zero.

    .. math:: \frac{\bar r}{\sqrt{\frac{1}{n} \sum \min(r_i, 0)^2}} \sqrt{A}

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.
    annualization : float
        Periods in a year.

    Returns
    -------
    float
        NaN for fewer than two returns, and where none is below zero.

    References
    ----------
    Sortino and Price, Performance Measurement in a Downside Risk Framework, Journal of Investing 3(3), 1994.
    """
    mean, _, downside, _, _ = _moments(returns)
    return _finite(s.ratio(mean, downside) * math.sqrt(annualization))


def volatility(returns: ArrayLike, annualization: float) -> float:
    r"""Return the annualized standard deviation, with ``n - 1`` in the denominator.

    .. math:: \sigma_r \sqrt{A}

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.
    annualization : float
        Periods in a year.

    Returns
    -------
    float
        Fraction a year; NaN for fewer than two returns, 0 where all are equal (but for rounding).
    """
    return _finite(_moments(returns)[1] * math.sqrt(annualization))


def skew(returns: ArrayLike) -> float:
    r"""Return the third standardized moment, biased.

    .. math:: m_3 / m_2^{3/2}, \quad m_k = \frac{1}{n} \sum (r_i - \bar r)^k

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.

    Returns
    -------
    float
        NaN for fewer than two returns, and where all are equal (but for rounding).

    References
    ----------
    Joanes and Gill, Comparing Measures of Sample Skewness and Kurtosis, The Statistician 47, 1998 (their g1).
    """
    return _finite(_moments(returns)[3])


def kurtosis(returns: ArrayLike) -> float:
    r"""Fourth standardized moment, biased; not excess kurtosis (a normal distribution has 3).

    .. math:: m_4 / m_2^2, \quad m_k = \frac{1}{n} \sum (r_i - \bar r)^k

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.

    Returns
    -------
    float
        NaN for fewer than two returns, and where all are equal (but for rounding).

    References
    ----------
    Bailey and Lopez de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014.
    """
    return _finite(_moments(returns)[4])


def value_at_risk(returns: ArrayLike) -> float:
    """Return the historical value at risk at 95 %: the 5th percentile of the returns, interpolated linearly.

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.

    Returns
    -------
    float
        A return: a loss is negative. NaN for fewer than two returns.

    References
    ----------
    Jorion, Value at Risk, 3rd ed., 2006.
    """
    return _tail(returns)[0]


def expected_shortfall(returns: ArrayLike) -> float:
    """Return the historical expected shortfall at 95 %: the mean of the returns at or below the 5th percentile.

    The mean is over the ``floor(0.05 (n - 1)) + 1`` lowest returns. Of returns equal to the percentile no more than
    that number count; otherwise days of zero return would dilute the losses of a strategy mostly out of the market.

    Parameters
    ----------
    returns : array-like, shape (n,)
        Periodic simple returns, fractions.

    Returns
    -------
    float
        A return: a loss is negative, and never above ``value_at_risk``. NaN for fewer than two returns.

    References
    ----------
    Acerbi and Tasche, On the Coherence of Expected Shortfall, Journal of Banking and Finance 26, 2002.
    """
    return _tail(returns)[1]


def drawdown(equity: ArrayLike) -> Floats:
    r"""Return the fall of ``equity`` from its running peak at each point.

    .. math:: 1 - E_i / \max_{j \le i} E_j

    Parameters
    ----------
    equity : array-like, shape (n,)
        Account value, money; the first is above zero.

    Returns
    -------
    float64 array, shape (n,)
        Fractions of the peak: 0 at a new peak, 0.25 a quarter below it, above 1 where equity is below zero.

    References
    ----------
    Magdon-Ismail and Atiya, Maximum Drawdown, Risk 17(10), 2004.
    """
    values = _series(equity)
    if values.size and not values[0] > 0:
        raise DataError(
            f"the first equity is {values[0]:g}; expected a value above zero, which a drawdown is a fraction of"
        )
    return 1.0 - values / np.maximum.accumulate(values)


def max_drawdown(equity: ArrayLike) -> float:
    """Return the largest ``drawdown``, a fraction of the peak; 0 if equity never fell, NaN for an empty series."""
    falls = drawdown(equity)
    return _finite(falls.max()) if falls.size else math.nan


def longest_drawdown(equity: pd.Series) -> float:
    """Return the longest time from a peak of ``equity`` to the last point below it.

    Parameters
    ----------
    equity : Series, shape (n,)
        Account value, money, its index a DatetimeIndex.

    Returns
    -------
    float
        Calendar days; 0 where equity never fell.
    """
    values = _series(equity)
    time = pd.DatetimeIndex(equity.index).as_unit("us").asi8
    new_peak = values >= np.maximum.accumulate(values)
    since = np.maximum.accumulate(np.where(new_peak, np.arange(values.size), 0))
    return float(np.max(time - time[since], initial=0)) / 86_400e6


def from_daily_returns(returns: ArrayLike, annualization: float, years: float) -> dict[str, float | int | None]:
    """Return the metrics that depend on daily returns only, by name, for comparison with those of a backtest.

    Parameters
    ----------
    returns : array-like, shape (n,)
        Daily simple returns, fractions.
    annualization : float
        Daily returns in a year.
    years : float
        Calendar years the series covers.

    Returns
    -------
    dict
        total_return, cagr, max_drawdown (of equity marked once a day), sharpe, sortino, calmar, var_95,
        expected_shortfall_95, volatility, skew, kurtosis and days; None where undefined.
    """
    values = _series(returns)
    with np.errstate(over="ignore", invalid="ignore"):
        equity = np.cumprod(np.concatenate([[1.0], 1.0 + values]))
    if not np.isfinite(equity).all():
        raise DataError("the returns compound to an infinite equity; expected fractions (0.01 is 1 %)")
    growth = float(equity[-1]) - 1.0
    fall = max_drawdown(equity)
    found = {
        "total_return": growth,
        "cagr": cagr(growth, years),
        "max_drawdown": fall,
        "sharpe": sharpe(values, annualization),
        "sortino": sortino(values, annualization),
        "calmar": _finite(s.ratio(cagr(growth, years), fall)),
        "var_95": value_at_risk(values),
        "expected_shortfall_95": expected_shortfall(values),
        "volatility": volatility(values, annualization),
        "skew": skew(values),
        "kurtosis": kurtosis(values),
    }
    return {name: None if math.isnan(x) else x for name, x in found.items()} | {"days": values.size}


def _series(values: ArrayLike) -> Floats:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"a series of shape {array.shape}; expected one dimension")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(
            f"value {row} of the series is {array[row]}; expected a finite number: remove missing values first"
        )
    return array


def _moments(returns: ArrayLike) -> Any:
    values = _series(returns)
    return s.moments(values) if values.size >= 2 else (math.nan,) * 5


def _tail(returns: ArrayLike) -> tuple[float, float]:
    values = _series(returns)
    if values.size < 2:
        return math.nan, math.nan
    percentile, mean = s.tail(values)
    return _finite(percentile), _finite(mean)


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan
