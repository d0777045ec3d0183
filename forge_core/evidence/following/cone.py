"""Cone of what a strategy is expected to earn, from its days out of sample."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forge_core.evidence.statistics.bootstrap import MEAN_BLOCK

Floats = NDArray[np.float64]
PATHS = 2_000


class Cone(NamedTuple):
    """Growth of 1 after each day: 5 %, half and 95 % of the paths lie below ``low``, ``median`` and ``high``; and the
    growth of every path after the last day."""

    low: Floats
    median: Floats
    high: Floats
    last: Floats


def expected_cone(returns: Floats, days: int, *, seed: int, paths: int = PATHS, block: int = MEAN_BLOCK) -> Cone:
    """Return the cone of ``days`` days drawn from daily ``returns`` by the stationary bootstrap.

    Blocks of geometric length with mean ``block`` from random starts, wrapped around (Politis and Romano, 1994). The
    first days of a longer cone are those of a shorter one.
    """
    rng = np.random.default_rng(seed)
    place = rng.integers(0, returns.size, paths)
    growth = np.ones(paths)
    quantiles = np.empty((days, 3))
    for day in range(days):
        fresh, starts = rng.random(paths) < 1.0 / block, rng.integers(0, returns.size, paths)
        place = np.where(fresh, starts, (place + 1) % returns.size)
        growth = growth * (1.0 + returns[place])
        quantiles[day] = np.quantile(growth, [0.05, 0.5, 0.95])
    low, median, high = quantiles.T
    return Cone(low, median, high, growth)
