"""Simulated markets whose truth is known: one where a single rule earns, and ones where nothing can."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from forge_core.market.bars.model import normalize_bars
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

LEAD_IN = 300  # bars before each dataset
_STEPS = 40  # of a simulated day
_PRICES = ("open", "high", "low", "close")


def planted_bars(length: int, seed: int, *, edge: float = 0.006, volatility: float = 0.01) -> pd.DataFrame:
    """Return daily SIM bars that drift up by ``edge`` on the day after the RSI of 14 closes was below 40, and down by
    a third of that on all others: who holds loses, who knows the rule earns."""
    rng = np.random.default_rng(seed)
    days = _fair_days(np.full(length, volatility), rng)
    drifts = np.zeros(length)
    price, gain, loss, rsi = 100.0, 0.0, 0.0, 50.0
    for i in range(length):
        drifts[i] = edge if i > 50 and rsi < 40.0 else -edge / 3.0
        close = price * np.exp(days[i, -1, 0] + drifts[i])
        gain += (max(close - price, 0.0) - gain) / 14  # Wilder's smoothing
        loss += (max(price - close, 0.0) - loss) / 14
        rsi = 100.0 * gain / (gain + loss)
        price = close
    ramp = np.arange(1, _STEPS + 1) / _STEPS
    return _frame(days + (drifts[:, None] * ramp)[:, :, None], rng)


def null_bars(length: int, seed: int) -> pd.DataFrame:
    """Return daily SIM bars of a fair game: days as restless as those of the NASDAQ, in any order, without drift.

    Only the volatility of a day (of 20 days around it) is the real one's. Its own bars, shuffled, would not be fair:
    an index opens near its last close, whatever its shares do, and who sets a stop close to that open gains.
    """
    rng = np.random.default_rng(seed)
    closes = normalize_bars(import_module("arch.data.nasdaq").load(), source="NASDAQ")["close"]
    volatility = np.log(closes).diff().rolling(20).std().dropna().to_numpy()
    return _frame(_fair_days(volatility[rng.integers(0, len(volatility), length)], rng), rng)


def shuffled_index_bars(length: int, seed: int) -> pd.DataFrame:
    """Return real days of the S&P 500 in any order, their drift taken out: closes are a fair game, opens are stale."""
    rng = np.random.default_rng(seed)
    logs = np.log(normalize_bars(import_module("arch.data.sp500").load(), source="SP500")[[*_PRICES]])
    days = logs.sub(logs["close"].shift(), axis=0).dropna().to_numpy()  # since the last close
    days = days[rng.permutation(len(days))[:length]]
    days = days - days[:, -1].mean()
    days[:, 1] = days.max(axis=1)
    days[:, 2] = days.min(axis=1)
    before = np.concatenate([[0.0], np.cumsum(days[:-1, -1])])
    return _bars(dict(zip(_PRICES, (days + before[:, None]).T, strict=True)), rng)


def _fair_days(volatility: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return log prices since each day's open, shape (days, steps, 3): at a step's end, its highest and its lowest.

    The price is a martingale, and the extremes are those of Brownian motion between the steps (its maximum given both
    ends: Glasserman, Monte Carlo Methods in Financial Engineering, 6.4), so that no stop is jumped over.
    """
    sigma = (volatility / np.sqrt(_STEPS))[:, None]
    shape = (len(volatility), _STEPS)
    ends = np.cumsum(rng.normal(-sigma * sigma / 2.0, sigma, shape), axis=1)
    begins = np.hstack([np.zeros((len(ends), 1)), ends[:, :-1]])

    def reach() -> np.ndarray:
        return np.sqrt((ends - begins) ** 2 - 2.0 * sigma * sigma * np.log(rng.random(shape)))

    return np.stack([ends, (begins + ends + reach()) / 2.0, (begins + ends - reach()) / 2.0], axis=2)


def _frame(days: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Return the bars of ``days``, each beginning at the close of the one before."""
    opens = np.concatenate([[0.0], np.cumsum(days[:-1, -1, 0])])
    logs = {
        "open": opens,
        "high": opens + np.maximum(days[:, :, 1].max(axis=1), 0.0),
        "low": opens + np.minimum(days[:, :, 2].min(axis=1), 0.0),
        "close": opens + days[:, -1, 0],
    }
    return _bars(logs, rng)


def _bars(logs: Mapping[str, np.ndarray], rng: np.random.Generator) -> pd.DataFrame:
    """Return daily bars of these log prices, which begin at 0."""
    days = len(logs["close"])
    index = pd.date_range("2000-01-01", periods=days, freq="1D", tz="UTC", unit="us", name="timestamp")
    frame = pd.DataFrame({name: 100.0 * np.exp(values) for name, values in logs.items()}, index=index)
    return frame.assign(volume=1e6 * rng.uniform(1, 9, days))


def declare(root: Path, markets: Mapping[str, pd.DataFrame], *, split: float = 0.6) -> Home:
    """Write a project of ``markets`` (symbol to bars), each with a dataset to train on and one to hold out, and store
    the bars in its home."""
    instruments = {symbol: {"kind": "spot", "tick": 0.0001, "lot": 0.0001} for symbol in markets}
    datasets = {}
    for symbol, bars in markets.items():
        middle = bars.index[LEAD_IN + int((len(bars) - LEAD_IN) * split)]
        for name, start, end in (
            (f"{symbol}_TRAIN", bars.index[LEAD_IN], middle),
            (f"{symbol}_HOLDOUT", middle, bars.index[-1] + pd.Timedelta(days=1)),
        ):
            period = {"start": start.strftime("%Y-%m-%d"), "end": end.strftime("%Y-%m-%d")}
            datasets[name] = {"symbol": symbol, **period, "timeframes": ["1d"], "regime": "full_cycle"}
    folder = root / "datasets"
    folder.mkdir(parents=True)
    (folder / "instruments.yaml").write_text(yaml.safe_dump({"instruments": instruments}))
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"datasets": datasets}))
    home = Home(root / "home")
    with BarStore(home.store) as store:
        for symbol, bars in markets.items():
            store.upsert(symbol, "1d", bars, source="simulated")
    return home
