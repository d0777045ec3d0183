"""Block bootstrap of daily returns: stationary resampling and confidence intervals, both by ``arch``.

``arch`` is imported by the functions: it takes as long to import as the rest of the evidence.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
MEAN_BLOCK = 10
"""Mean length of a block in days: longer than daily returns of most strategies depend on each other."""


def stationary_indexes(observations: int, repeats: int, *, block: int = MEAN_BLOCK, seed: int = 0) -> NDArray[np.int64]:
    """Return indexes (repeats, observations) of the stationary bootstrap with blocks of mean length ``block``.

    Blocks of geometric length from random starts, wrapped around (Politis and Romano, The Stationary Bootstrap, Journal
    of the American Statistical Association 89, 1994).
    """
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block, np.arange(observations), seed=seed)
    return np.array([positional[0] for positional, _ in bootstrap.bootstrap(repeats)], np.int64)


def interval(
    returns: ArrayLike,
    statistic: Callable[[Floats], float],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    block: int = MEAN_BLOCK,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of ``statistic`` under the stationary bootstrap."""
    from arch.bootstrap import StationaryBootstrap

    bootstrap: Any = StationaryBootstrap(block, np.asarray(returns, np.float64), seed=seed)
    low, high = bootstrap.conf_int(statistic, repeats, method="percentile", size=level).ravel()
    return float(low), float(high)


def bca_interval(
    values: ArrayLike,
    statistic: Callable[[Floats], float],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval of ``statistic`` of independent ``values``, such as trades.

    (Efron, Better Bootstrap Confidence Intervals, Journal of the American Statistical Association 82, 1987.) Its
    acceleration is a jackknife over single values, so daily returns, which depend on each other, take ``interval``.
    """
    from arch.bootstrap import IIDBootstrap

    bootstrap: Any = IIDBootstrap(np.asarray(values, np.float64), seed=seed)
    low, high = bootstrap.conf_int(statistic, repeats, method="bca", size=level).ravel()
    return float(low), float(high)
