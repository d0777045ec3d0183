"""Hourly bars of a random walk."""

import numpy as np
import pandas as pd


def walk(bars: int = 2_000) -> pd.DataFrame:
    """A walk of 0.5 % an hour from 100, with volume enough for any order."""
    rng = np.random.default_rng(7)
    index = pd.date_range("2024-01-01", periods=bars, freq="1h", tz="UTC", name="timestamp")
    close = 100.0 * np.exp(np.cumsum(0.005 * rng.standard_normal(bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    wick = 0.2 * rng.random((2, bars))
    high, low = np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1]
    return pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": 1e9}, index=index)
