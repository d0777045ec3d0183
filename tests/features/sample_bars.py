"""Bars for the feature tests, and parameter choices to try them with."""

import numpy as np
from numpy.typing import NDArray

from forge_core.features.definition import FeatureDefinition, Params

Bars = dict[str, NDArray[np.float64]]


def walk(seed: int = 1, size: int = 420) -> Bars:
    """A geometric random walk with overnight gaps: no two prices alike."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, size)))
    gap = np.where(random.random(size) < 0.1, random.normal(0.0, 0.02, size), 0.0)
    open_ = np.concatenate([close[:1], close[:-1]]) * np.exp(gap)
    return {
        "open": open_,
        "high": np.maximum(open_, close) * (1.0 + np.abs(random.normal(0.0, 0.003, size))),
        "low": np.minimum(open_, close) * (1.0 - np.abs(random.normal(0.0, 0.003, size))),
        "close": close,
        "volume": random.lognormal(3.0, 1.0, size),
    }


def ticks(seed: int = 2, size: int = 420) -> Bars:
    """Prices on a coarse tick, many of them equal, with a stretch in which nothing moves and nothing trades."""
    random = np.random.default_rng(seed)
    close = 100.0 + 0.25 * np.cumsum(random.integers(-2, 3, size))
    open_ = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(open_, close) + 0.25 * random.integers(0, 3, size)
    low = np.minimum(open_, close) - 0.25 * random.integers(0, 3, size)
    volume = random.integers(0, 50, size).astype(np.float64)
    still = slice(size // 2, size // 2 + 60)
    for column in (open_, high, low, close):
        column[still] = close[size // 2]
    volume[still] = 0.0
    return {"open": open_, "high": high, "low": low, "close": close, "volume": volume}


def hostile(seed: int = 3, size: int = 420) -> Bars:
    """Prices that fall through zero and stand still, volumes with a huge spike before a long silence."""
    bars = walk(seed, size)
    volume = bars.pop("volume")
    bars = {name: column - 99.0 for name, column in bars.items()}
    for column in bars.values():
        column[150:260] = 0.0
        column[300:320] = column[299]
    volume[140] = 1e9
    volume[150:260] = 0.0
    return {**bars, "volume": volume}


def choices(definition: FeatureDefinition) -> list[Params]:
    """The default parameters and one other choice (of the grids, or every period a little longer)."""
    combinations = definition.combinations()
    if len(combinations) > 1:
        return [{}, combinations[len(combinations) // 2]]
    longer = {
        parameter.name: parameter.default + 3
        for parameter in definition.parameters
        if parameter.integer and not parameter.name.endswith("matype")
    }
    return [{}, longer] if longer else [{}]


def same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two columns are equal, NaN counting as equal to NaN."""
    return bool(np.array_equal(one, other, equal_nan=True))
