"""Bars whose truth is known: nothing can be earned in some, one rule earns in others."""

from importlib import import_module

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.market.bars.model import normalize_bars

Floats = NDArray[np.float64]
_STEPS = 40  # of a bar
_CORRELATION = 0.7
_VOLUME = 1e6  # so much that no order is cut
_PRICES = ("open", "high", "low", "close")
_BASIS_POINT = 1e-4


def fair_bars(length: int, rng: np.random.Generator, *, drift: float = 0.0, edge: float = 0.0) -> pd.DataFrame:
    """Return martingale days with clustered volatility.

    ``drift``: basis points that every day rises; ``edge``: those that days after RSI(14) < 40 rise, while all others
    fall by a third of it: holding loses, the rule earns.
    """
    days = _bars_within(clustered_volatility(length, rng), rng)
    rises = np.full(length, drift * _BASIS_POINT)
    if edge:
        _plant(days, rises, edge * _BASIS_POINT)
    return _joined(days, rises, rng, "1D")


def clustered_volatility(length: int, rng: np.random.Generator) -> Floats:
    """Return a volatility a day, 1 % on average, whose logarithm is an autoregression of persistence 0.97."""
    level = np.empty(length)
    level[0] = 0.0
    shocks = rng.normal(0.0, 0.12, length)
    for i in range(1, length):
        level[i] = 0.97 * level[i - 1] + shocks[i]
    return 0.01 * np.exp(level - level.var() / 2.0)


def martingale_bars(
    volatility: Floats,
    rng: np.random.Generator,
    freq: str,
    *,
    common: Floats | None = None,
    rises: Floats | None = None,
) -> pd.DataFrame:
    """Return bars of a martingale whose bars have ``volatility`` each.

    ``common``: shocks, shape (bars, 40), that are shared by other symbols (correlation 0.7); ``rises``: what each bar
    rises by, a fraction. No order is cut for lack of volume.
    """
    size = len(volatility)
    bars = _joined(_bars_within(volatility, rng, common), np.zeros(size) if rises is None else rises, rng, freq)
    return bars.assign(volume=_VOLUME * bars["volume"])


def common_shocks(length: int, rng: np.random.Generator) -> Floats:
    """Return shocks for ``martingale_bars`` of several symbols."""
    return rng.standard_normal((length, _STEPS))


def _joined(bars: Floats, rises: Floats, rng: np.random.Generator, freq: str) -> pd.DataFrame:
    """Join bars (log prices since each open, see ``_bars_within``) that rise by ``rises`` on top."""
    ramp = np.arange(1, _STEPS + 1) / _STEPS
    bars = bars + (rises[:, None] * ramp)[:, :, None]
    opens = np.concatenate([[0.0], np.cumsum(bars[:-1, -1, 0])])
    logs = {
        "open": opens,
        "high": opens + np.maximum(bars[:, :, 1].max(axis=1), 0.0),
        "low": opens + np.minimum(bars[:, :, 2].min(axis=1), 0.0),
        "close": opens + bars[:, -1, 0],
    }
    return _bars(logs, rng, freq)


def index_bars(length: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return real days of the S&P 500 in any order without their drift: closes are a fair game, opens are stale."""
    bars = normalize_bars(import_module("arch.data.sp500").load(), source="SP500")
    logs = np.log(bars[[*_PRICES]].to_numpy(np.float64))
    days = logs[1:] - logs[:-1, -1:]  # since the last close
    days = days[rng.permutation(len(days))[:length]]
    days = days - days[:, -1].mean()
    days[:, 1], days[:, 2] = days.max(axis=1), days.min(axis=1)
    before = np.concatenate([[0.0], np.cumsum(days[:-1, -1])])
    return _bars(dict(zip(_PRICES, (days + before[:, None]).T, strict=True)), rng)


def _plant(days: Floats, rises: Floats, edge: float) -> None:
    """Add ``edge`` to the days that follow a close with RSI(14) below 40 (Wilder's smoothing), -edge / 3 to others."""
    gain = loss = 0.0
    rsi = 50.0
    for i in range(len(days)):
        rises[i] += edge if i > 50 and rsi < 40.0 else -edge / 3.0
        step = float(np.expm1(days[i, -1, 0] + rises[i]))
        gain += (max(step, 0.0) - gain) / 14
        loss += (max(-step, 0.0) - loss) / 14
        rsi = 100.0 * gain / (gain + loss)


def _bars_within(volatility: Floats, rng: np.random.Generator, common: Floats | None = None) -> Floats:
    """Return log prices since each bar's open, shape (bars, steps, 3): at a step's end, its highest and its lowest.

    The extremes are those of Brownian motion between the steps (Glasserman, Monte Carlo Methods in Financial
    Engineering, 6.4), so that no stop is jumped over.
    """
    sigma = (volatility / np.sqrt(_STEPS))[:, None]
    shape = (len(volatility), _STEPS)
    if common is None:
        steps = rng.normal(-sigma * sigma / 2.0, sigma, shape)
    else:
        own = rng.standard_normal(shape)
        steps = sigma * (_CORRELATION**0.5 * common + (1.0 - _CORRELATION) ** 0.5 * own) - sigma * sigma / 2.0
    ends = np.cumsum(steps, axis=1)
    begins = np.hstack([np.zeros((len(ends), 1)), ends[:, :-1]])
    reach = [np.sqrt((ends - begins) ** 2 - 2.0 * sigma * sigma * np.log(rng.random(shape))) for _ in range(2)]
    return np.stack([ends, (begins + ends + reach[0]) / 2.0, (begins + ends - reach[1]) / 2.0], axis=2)


def _bars(logs: dict[str, Floats], rng: np.random.Generator, freq: str = "1D") -> pd.DataFrame:
    size = len(logs["close"])
    index = pd.date_range("2000-01-01", periods=size, freq=freq, tz="UTC", unit="us", name="timestamp")
    frame = pd.DataFrame({name: 100.0 * np.exp(values) for name, values in logs.items()}, index=index)
    return frame.assign(volume=rng.uniform(1, 9, size))
