"""t statistic of a mean return whose days depend on each other."""

import math

import numpy as np
from numpy.typing import ArrayLike


def hac_t(returns: ArrayLike) -> float:
    """Return the t of the mean of ``returns`` with a variance that allows for heteroskedasticity and autocorrelation.

    Bartlett weights up to lag ``floor(4 (n / 100)^(2/9))`` (Newey and West, A Simple, Positive Semi-Definite,
    Heteroskedasticity and Autocorrelation Consistent Covariance Matrix, Econometrica 55(3), 1987). 0 for fewer than two
    returns, or returns that are all equal.
    """
    values = np.asarray(returns, np.float64)
    n = values.size
    if n < 2:
        return 0.0
    moved = values - values.mean()
    variance = float(moved @ moved)
    lags = min(math.floor(4.0 * (n / 100.0) ** (2.0 / 9.0)), n - 1)
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * float(moved[:-lag] @ moved[lag:])
    return float(values.sum()) / math.sqrt(variance) if variance > 1e-24 else 0.0
