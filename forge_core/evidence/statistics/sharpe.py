"""Sharpe ratios of one strategy and of the best of many: luck line, probabilistic and deflated ratio, track record.

Sharpe ratios here are those of one observation (a day), not of a year, unless a name says so: divide a yearly one by
the square root of the observations a year. ``kurtosis`` is Pearson's, 3 for a normal distribution.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri


def sharpe_ratio(returns: ArrayLike) -> float:
    """Return mean over standard deviation (ddof 1) of ``returns``; 0 where they are all equal or fewer than two."""
    values = np.asarray(returns, np.float64)
    if values.size < 2:
        return 0.0
    deviation = float(values.std(ddof=1))
    return float(values.mean()) / deviation if deviation > 1e-15 else 0.0


def expected_maximum(count: int) -> float:
    """Return the expected maximum of ``count`` independent standard normal draws, 0 for one or none.

    ``(1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))`` with Euler's constant g and the normal quantile Z (Bailey and Lopez de
    Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014).
    """
    if count <= 1:
        return 0.0
    # the upper tail's quantile keeps its digits where 1 - 1/N would lose them
    return float(-(1.0 - np.euler_gamma) * ndtri(1.0 / count) - np.euler_gamma * ndtri(1.0 / (count * math.e)))


def luck_line(trials: int, days: int) -> float:
    """Return the Sharpe ratio that the best of ``trials`` reaches by luck over ``days`` observations.

    The expected maximum of ``trials`` estimates of a true ratio of 0, whose variance is 1 / (days - 1) (Lo, The
    Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), 2002). 0 for fewer than two days.
    """
    return expected_maximum(trials) / math.sqrt(days - 1) if days > 1 else 0.0


def deviation_factor(sharpe: float, skew: float = 0.0, kurtosis: float = 3.0) -> float:
    """Return the variance of an estimated Sharpe ratio times (n - 1): 1 - skew SR + (kurtosis - 1) SR^2 / 4 (Mertens
    2002)."""
    return 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe


def probabilistic_sharpe(
    sharpe: float, observations: int, *, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Return the probability that the true Sharpe ratio lies above ``benchmark``.

    ``Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) SR^2 / 4))`` (Bailey and Lopez de Prado, The Sharpe
    Ratio Efficient Frontier, Journal of Risk 15(2), 2012). It does not correct for how the strategy was chosen.
    """
    if observations < 2:
        return 0.5
    factor = max(deviation_factor(sharpe, skew, kurtosis), 1e-12)
    return float(ndtr((sharpe - benchmark) * math.sqrt(observations - 1) / math.sqrt(factor)))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of ``trials`` reaches by luck when the trials' ratios have ``variance``."""
    return math.sqrt(variance) * expected_maximum(trials)


def deflated_sharpe(
    sharpe: float, observations: int, *, trials: int, variance: float, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Return the probabilistic Sharpe ratio against the best of ``trials`` by luck (Bailey and Lopez de Prado, 2014).

    ``variance`` is that of the trials' Sharpe ratios. The trials of an evolution are no independent sample: with the
    variance of its own ledger the test finds nothing even where there is an edge (docs/evidence.md).
    """
    benchmark = expected_best_sharpe(trials, variance)
    return probabilistic_sharpe(sharpe, observations, skew=skew, kurtosis=kurtosis, benchmark=benchmark)


def minimum_track_record(
    sharpe: float, *, benchmark: float = 0.0, skew: float = 0.0, kurtosis: float = 3.0, confidence: float = 0.95
) -> float:
    """Return how many observations it takes to tell ``sharpe`` from ``benchmark``; infinity where it is not above it.

    ``1 + (1 - skew SR + (kurtosis - 1) SR^2 / 4) (Z(confidence) / (SR - SR*))^2`` (Bailey and Lopez de Prado, 2012).
    """
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + deviation_factor(sharpe, skew, kurtosis) * (ndtri(confidence) / (sharpe - benchmark)) ** 2


def sharpe_p_value(returns: ArrayLike, benchmark: float = 0.0) -> float:
    """Return the one-sided p of H0: the true Sharpe ratio of ``returns`` is at most ``benchmark``; 1 without variance.

    One minus the probabilistic Sharpe ratio with the returns' own skew and kurtosis.
    """
    values = np.asarray(returns, np.float64)
    ratio = sharpe_ratio(values)
    if values.size < 3 or ratio == 0.0:
        return 1.0
    skew, kurtosis = skew_and_kurtosis(values)
    return 1.0 - probabilistic_sharpe(ratio, values.size, skew=skew, kurtosis=kurtosis, benchmark=benchmark)


def skew_and_kurtosis(returns: ArrayLike) -> tuple[float, float]:
    """Return the skewness and Pearson's kurtosis of ``returns``."""
    from scipy import stats  # half a second that a run without evidence does not need

    return float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))
