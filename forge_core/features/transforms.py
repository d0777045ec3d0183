"""Transforms of a column, computed on the bars of its own timeframe, in one pass and without look-ahead.

A step is written ``zscore:100`` (name and window) or ``distance``; steps of one reference are joined by ``|``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forge_core.errors import PlayError, unknown
from forge_core.features.scale import Scale
from forge_core.simd.compiled import compiled

Floats = NDArray[np.float64]

MAX_WINDOW = 5_000
STREAK = "streak"


@dataclass(frozen=True)
class Transform:
    """One transform: its smallest window (0: it takes none), and the windows and constants that a search tries."""

    name: str
    least: int
    windows: tuple[int, ...]
    thresholds: tuple[float, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps that a search tries."""
        return tuple(f"{self.name}:{window}" for window in self.windows) or (self.name,)


TRANSFORMS = {
    each.name: each
    for each in (
        Transform("distance", 0, (), (-10.0, -5.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)),
        Transform("zscore", 2, (20, 100), (-3.0, -2.5, -2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0, 2.5, 3.0)),
        Transform("percentile_rank", 2, (20, 100), (5.0, 10.0, 20.0, 30.0, 50.0, 70.0, 80.0, 90.0, 95.0)),
        Transform("slope", 2, (5, 20), (0.0,)),
        Transform("lag", 1, (1, 5), ()),
    )
}


def steps_of(transform: str) -> Iterator[tuple[str, int]]:
    """Yield name and window (0: none) of each step, the streak included; raises PlayError for an invalid one."""
    for step in transform.split("|") if transform else ():
        name, colon, text = step.partition(":")
        if step == STREAK:
            yield STREAK, 0
            continue
        if name not in TRANSFORMS:
            raise PlayError(unknown("transform", name, TRANSFORMS))
        least = TRANSFORMS[name].least
        if (least > 0) != bool(colon):
            raise PlayError(f"transform {step!r}: {name} takes {'a window' if least else 'no window'}")
        if colon and (not text.isascii() or not text.isdigit() or str(int(text)) != text):
            raise PlayError(f"transform {step!r}: the window is {text!r}; it must be a whole number")
        window = int(text) if colon else 0
        if least and not least <= window <= MAX_WINDOW:
            raise PlayError(f"{name}: the window is {window}; it must be a whole number from {least} to {MAX_WINDOW}")
        yield name, window


def transformed_scale(scale: Scale, transform: str) -> Scale:
    """Return the scale of a column of ``scale`` after ``transform``; raises PlayError where it has none."""
    for name, _ in steps_of(transform):
        if name == "distance":
            if scale.kind != "price":
                raise PlayError(f"distance is measured from the close: it takes a price, not a column that is {scale}")
            scale = Scale("percent")
        elif name == "zscore":
            scale = Scale("zscore")
        elif name == "percentile_rank":
            scale = Scale("bounded", 0.0, 100.0)
        elif name == "slope":
            scale = Scale("percent") if scale.kind == "price" else Scale("centred")
    return scale


def transform_bars(transform: str) -> int:
    """Return how many bars later than the column its transform has its first value."""
    return sum(window if name == "lag" else max(window - 1, 0) for name, window in steps_of(transform))


def apply_transform(values: Floats, close: Floats, scale: Scale, transform: str) -> Floats:
    """Return a column of ``scale`` after ``transform``; ``close`` is that of the same bars. NaN where undefined."""
    for step in transform.split("|"):
        for name, window in steps_of(step):
            values = values.view()
            values.flags.writeable = False  # one type, one compilation
            values = _APPLY[name](values, window)
            if name == "distance" or (name == "slope" and scale.kind == "price"):
                values = _percent(values - close if name == "distance" else values, close)
        scale = transformed_scale(scale, step)
    return values


def _percent(values: Floats, close: Floats) -> Floats:
    """Return ``values`` in percent of the size of the close, NaN where that is zero."""
    size = np.abs(close)
    return 100.0 * np.divide(values, size, out=np.full(values.size, np.nan), where=size > 0.0)


def _lag(values: Floats, window: int) -> Floats:
    window = min(window, values.size)
    return np.concatenate((np.full(window, np.nan), values[: values.size - window]))


@compiled
def streak(values: Floats) -> Floats:
    """Return the signed run length of consecutive rises (positive) or falls (negative) of ``values``, float64.

    0 where a value equals its predecessor, NaN where either of the two is NaN.
    """
    run = np.empty(values.size, np.float64)
    if values.size:
        run[0] = np.nan
    for i in range(1, values.size):
        step = values[i] - values[i - 1]
        if np.isnan(step):
            run[i] = np.nan
        elif step > 0:
            run[i] = run[i - 1] + 1.0 if run[i - 1] > 0 else 1.0
        elif step < 0:
            run[i] = run[i - 1] - 1.0 if run[i - 1] < 0 else -1.0
        else:
            run[i] = 0.0
    return run


@compiled
def _zscore(values: Floats, window: int) -> Floats:
    """Return the deviation of each value from the mean of its window, in standard deviations of the window.

    Mean and sum of squares are updated by one value per bar. They are computed from the window every ``window`` bars,
    so that rounding does not accumulate, and where the sum of squares has become small against its rounding. NaN where
    the window has a NaN, or values that are all equal.
    """
    result = np.full(values.size, np.nan)
    valid = 0  # values since the last NaN
    equal = 0  # equal values in a row
    mean = squares = largest = 0.0
    for i in range(values.size):
        x = values[i]
        if np.isnan(x):
            valid = 0
            continue
        equal = equal + 1 if valid > 0 and x == values[i - 1] else 1
        valid += 1
        if valid < window:
            continue
        fresh = (valid - window) % window == 0
        if not fresh:
            old, before = values[i - window], mean
            mean += (x - old) / window
            squares += (x - old) * (x - mean + old - before)
            fresh = squares < 1e-7 * largest
        if fresh:
            mean = 0.0
            for k in range(i - window + 1, i + 1):
                mean += values[k]
            mean /= window
            squares = 0.0
            for k in range(i - window + 1, i + 1):
                squares += (values[k] - mean) ** 2
            largest = 0.0
        largest = max(largest, squares)
        if equal < window and squares > 0.0:
            result[i] = (x - mean) / np.sqrt(squares / window)
    return result


@compiled
def _percentile_rank(values: Floats, window: int) -> Floats:
    """Return the share of the other values of the window below each value, equal ones counted half, percent."""
    result = np.full(values.size, np.nan)
    valid = 0
    for i in range(values.size):
        x = values[i]
        valid = 0 if np.isnan(x) else valid + 1
        if valid >= window:
            halves = 0
            for k in range(i - window + 1, i):
                halves += 2 * (values[k] < x) + (values[k] == x)
            result[i] = 50.0 * halves / (window - 1)
    return result


@compiled
def _slope(values: Floats, window: int) -> Floats:
    """Return the slope of the least-squares line through the window, per bar.

    Sums are updated by one value per bar relative to the window's first value, and computed from the window every
    ``window`` bars. NaN where the window has a NaN.
    """
    result = np.full(values.size, np.nan)
    valid = equal = 0
    origin = total = weighted = 0.0  # sums of (value - origin), and of its products with 0 .. window - 1
    middle = (window - 1) / 2.0
    spread = window * (window * window - 1.0) / 12.0
    for i in range(values.size):
        x = values[i]
        if np.isnan(x):
            valid = 0
            continue
        equal = equal + 1 if valid > 0 and x == values[i - 1] else 1
        valid += 1
        if valid < window:
            continue
        if (valid - window) % window == 0:
            origin = values[i - window + 1]
            total = weighted = 0.0
            for k in range(window):
                value = values[i - window + 1 + k] - origin
                total += value
                weighted += k * value
        else:
            old = values[i - window] - origin
            weighted += old - total + (window - 1) * (x - origin)
            total += x - origin - old
        result[i] = 0.0 if equal >= window else (weighted - middle * total) / spread
    return result


_APPLY: dict[str, Callable[[Floats, int], Any]] = {
    "distance": lambda values, window: values,
    "zscore": lambda values, window: _zscore(values, window),
    "percentile_rank": lambda values, window: _percentile_rank(values, window),
    "slope": lambda values, window: _slope(values, window),
    "lag": _lag,
    STREAK: lambda values, window: streak(values),
}
