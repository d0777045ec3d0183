"""Bars to test with: random walks made here, and the real files beside the repository where there are any."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forge_core.market.reference.timeframes import Timeframe

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
needs_real_bars = pytest.mark.skipif(not REAL.is_dir(), reason="the real bars beside the repository are absent")


def walk(rows: int, timeframe: str = "15m", start: str = "2024-01-01", seed: int = 0) -> pd.DataFrame:
    """Return ``rows`` sound bars of a random walk, one every ``timeframe`` from ``start`` (UTC)."""
    index = pd.date_range(start, periods=rows, freq=Timeframe.parse(timeframe).timedelta, tz="UTC", unit="us")
    return walk_at(index, seed)


def walk_at(index: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    """Return sound bars of a random walk at the times of ``index``; a longer walk begins with the shorter one."""
    noise = np.random.default_rng(seed).normal(size=(len(index), 5))
    close = 100.0 * np.exp(np.cumsum(0.01 * noise[:, 0]))
    opened = close * np.exp(0.004 * noise[:, 1])
    high = np.maximum(opened, close) * (1.0 + 0.003 * np.abs(noise[:, 2]))
    low = np.minimum(opened, close) * (1.0 - 0.003 * np.abs(noise[:, 3]))
    volume = np.rint(500.0 * np.abs(noise[:, 4]))
    return pd.DataFrame(
        {"open": opened, "high": high, "low": low, "close": close, "volume": volume}, index=index.rename("timestamp")
    )


def same_bars(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Assert that two tables of bars are the same in every value, time and type."""
    pd.testing.assert_frame_equal(got, expected, check_freq=False, check_exact=True)
