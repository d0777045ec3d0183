"""Reality check and test of superior predictive ability of many strategies at once.

H0: no strategy has a mean return above zero (White, A Reality Check for Data Snooping, Econometrica 68(5), 2000;
Hansen, A Test for Superior Predictive Ability, Journal of Business & Economic Statistics 23(4), 2005). Both take the
trials as given: over the ledger of an evolution, whose trials were bred towards the best, they are too often
significant (docs/evidence.md). ``arch.bootstrap.SPA`` compares raw means even with ``studentize=True``, therefore own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forge_core.evidence.statistics.bootstrap import MEAN_BLOCK, stationary_indexes

Floats = NDArray[np.float64]
_CHUNK = 4_000  # strategies at a time, so that memory stays flat


@dataclass(frozen=True)
class SpaResult:
    """p-values: of White's reality check (raw means), and of Hansen's test (studentized) with its lower, consistent and
    upper recentring; ``statistics``, the t of each strategy."""

    reality_check: float
    lower: float
    consistent: float
    upper: float
    statistics: Floats


def spa_test(
    returns: ArrayLike,
    *,
    repeats: int = 1000,
    block: int = MEAN_BLOCK,
    seed: int = 0,
    indexes: NDArray[np.int64] | None = None,
) -> SpaResult:
    """Test the strategies in the columns of ``returns`` (days, strategies).

    ``indexes`` (repeats, days) take the place of a stationary bootstrap of their own. Columns without variance can
    be no evidence and must be left out before.
    """
    data = np.asarray(returns, np.float64)
    days, strategies = data.shape
    if indexes is None:
        indexes = stationary_indexes(days, repeats, block=block, seed=seed)
    weights = np.stack([np.bincount(row, minlength=days) for row in indexes]) / days
    mean, root = data.mean(axis=0), np.sqrt(days)
    deviation = np.sqrt(long_run_variance(data, block))
    threshold = -deviation / root * np.sqrt(2.0 * np.log(np.log(days)))
    centers = {
        "lower": np.maximum(mean, 0.0),
        "consistent": np.where(mean >= threshold, mean, 0.0),
        "upper": mean,
    }
    best = {name: np.full(len(weights), -np.inf) for name in (*centers, "raw")}
    for first in range(0, strategies, _CHUNK):
        part = slice(first, first + _CHUNK)
        means = weights @ data[:, part]
        scale = root / deviation[part]
        for name, center in centers.items():
            best[name] = np.maximum(best[name], ((means - center[part]) * scale).max(axis=1))
        best["raw"] = np.maximum(best["raw"], (means - mean[part]).max(axis=1))
    statistics = mean / deviation * root
    found = max(0.0, float(statistics.max()))
    p = {name: float((np.maximum(best[name], 0.0) >= found).mean()) for name in centers}
    return SpaResult(float((best["raw"] > mean.max()).mean()), p["lower"], p["consistent"], p["upper"], statistics)


def long_run_variance(data: Floats, block: int) -> Floats:
    """Return Hansen's estimate of the variance of sqrt(n) times each column's mean, positive.

    Autocovariances weighted as the stationary bootstrap with mean block ``block`` weighs them.
    """
    days = len(data)
    centered = data - data.mean(axis=0)
    variance = (centered**2).mean(axis=0)
    restart = 1.0 / block
    lags = np.arange(1, min(days, int(block * 12) + 1))
    kernel = (1 - lags / days) * (1 - restart) ** lags + lags / days * (1 - restart) ** (days - lags)
    for lag, weight in zip(lags, kernel, strict=True):
        variance += 2.0 * weight * (centered[:-lag] * centered[lag:]).sum(axis=0) / days
    return np.maximum(variance, 1e-18)
