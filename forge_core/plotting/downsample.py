"""Downsampling of curves for plots."""

import numpy as np
from numpy.typing import NDArray


def thin(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Return ascending positions of about ``points`` of ``values`` that preserve the shape of the curve.

    Selects the minimum and the maximum of each of ``points / 2`` equal chunks, and the first and the last value. All
    positions are returned if there are at most ``points``.
    """
    if values.size <= points:
        return np.arange(values.size)
    stretch = -(-values.size // max(points // 2, 1))
    table = np.concatenate([values, np.full(-values.size % stretch, values[-1])]).reshape(-1, stretch)
    begins = np.arange(table.shape[0]) * stretch
    chosen = np.concatenate([[0], begins + table.argmin(axis=1), begins + table.argmax(axis=1), [values.size - 1]])
    return np.unique(np.minimum(chosen, values.size - 1))
