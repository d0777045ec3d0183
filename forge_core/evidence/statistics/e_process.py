"""Follow a strategy on new days: a likelihood-ratio e-process between "earns as promised" and "earns nothing".

``z_t = clip(r_t / s_{t-1}, -4, 4)`` with ``s`` an exponentially weighted volatility known the day before, ``d`` the
promised Sharpe ratio a day, and ``L_t = sum(d z_t - d^2 / 2)``. ``exp(L)`` is an e-process against a true ratio of 0,
``exp(-L)`` one against the promise: by Ville's inequality either passes 20 with a probability of at most about 5 %, at
whatever day one looks (Ramdas, Grunwald, Vovk and Shafer, Game-Theoretic Statistics and Safe Anytime-Valid Inference,
Statistical Science 38(4), 2023). No rule when to stop has to be kept, and it can be restarted from the days alone.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLD = 20.0
_DECAY = 0.98
_CLIP = 4.0

State = Literal["open", "earns as promised", "dead"]


@dataclass(frozen=True)
class ForwardTest:
    """``state`` and the trade date (from 0) it was reached on; ``log_e`` after each day; ``expected_days`` it takes to
    tell either way where the promise holds or the strategy is dead."""

    state: State
    decided_on: int | None
    log_e: NDArray[np.float64]
    expected_days: int


def expected_days(sharpe: float, annualization: int) -> int:
    """Return how many days telling takes on average, ``2 ln(20) / d^2`` (a Sharpe ratio of 1: six years)."""
    return math.ceil(2.0 * math.log(THRESHOLD) / (sharpe * sharpe / annualization))


def follow(returns: ArrayLike, *, sharpe: float, annualization: int, volatility: float) -> ForwardTest:
    """Follow daily ``returns`` of a strategy that promised ``sharpe`` a year.

    ``sharpe`` is that of the stitched walk-forward or of the holdout, never of train; ``volatility`` is that of its
    days before the first. Raises ValueError where either is not positive: there is nothing to test then.
    """
    if not (sharpe > 0.0 and volatility > 0.0):
        raise ValueError(f"sharpe is {sharpe:g} and volatility {volatility:g}: both must be positive")
    values = np.asarray(returns, np.float64)
    daily = sharpe / math.sqrt(annualization)
    log_e = np.empty(values.size)
    variance, total = volatility * volatility, 0.0
    for day, value in enumerate(values):
        z = min(max(value / math.sqrt(variance), -_CLIP), _CLIP)
        total += daily * z - daily * daily / 2.0
        log_e[day] = total
        square = min(value * value, _CLIP * _CLIP * variance)
        variance = _DECAY * variance + (1.0 - _DECAY) * square
    bound = math.log(THRESHOLD)
    hits = np.flatnonzero(np.abs(log_e) >= bound)
    state: State = "open"
    if hits.size:
        state = "earns as promised" if log_e[hits[0]] > 0.0 else "dead"
    return ForwardTest(state, int(hits[0]) if hits.size else None, log_e, expected_days(sharpe, annualization))
