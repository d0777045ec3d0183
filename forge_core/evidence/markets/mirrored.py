"""Markets without memory: the real bars with each bar's direction turned by a coin.

H0 of the luck test: the direction of a bar is a fair coin given everything before it. Volatility and its clustering,
the session's pattern, drift, volume, gaps, costs and funding are kept; what earlier bars say about the
direction of later ones is removed.

A bar is its gap from the last close, and high, low and close since its open (log prices; price differences where an
instrument may trade below zero). After the mean step was taken out, a coin turns (gap, high, low, close) into (-gap,
-low, -high, -close); then the mean step is put back and what the coins themselves added is taken out, so that every
mirrored market ends where the real one ended. Without that, mirrored markets drift more than the real one, and the
test is too shy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.evidence.markets.market import Market
from forge_core.market.futures.rolls import first_bars
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe

Floats = NDArray[np.float64]
Coins = tuple[NDArray[np.int64], NDArray[np.bool_]]  # timestamps (microseconds UTC, ascending), and heads or not

_PRICES = ("open", "high", "low", "close")


def mirrored_markets(markets: Mapping[str, Market], rng: np.random.Generator) -> dict[str, Market]:
    """Return every market mirrored, one coin a timestamp for all of them and their references.

    Correlations between symbols stay.

    Coarser bars are resampled from the mirrored execution bars (mirrored by themselves they would tell the real
    direction); those before the first execution bar are mirrored like it, and join it at the real price.
    """
    given, markets = markets, dict(markets)
    for name, market in given.items():
        markets |= {_reference_key(name, symbol): other for symbol, other in market.references.items()}
    coins = toss_coins([market.bars.index for market in markets.values()], rng)
    labels = sorted({label for market in markets.values() for label in market.higher}, key=Timeframe.parse)
    early = {
        label: toss_coins([market.lead_in(label).index for market in markets.values() if label in market.higher], rng)
        for label in labels
    }
    mirrored = {name: _mirrored(market, coins, early) for name, market in markets.items()}
    return {
        name: replace(
            mirrored[name],
            references={symbol: mirrored[_reference_key(name, symbol)] for symbol in market.references},
        )
        for name, market in given.items()
    }


def _reference_key(name: str, symbol: str) -> str:
    return f"{name} {symbol}"


def toss_coins(indexes: Sequence[pd.Index], rng: np.random.Generator) -> Coins:
    """Return a coin for every timestamp of ``indexes``."""
    stamps = np.unique(np.concatenate([microseconds(index) for index in indexes]))
    return stamps, rng.integers(0, 2, stamps.size).astype(np.bool_)


def _mirrored(market: Market, coins: Coins, early: Mapping[str, Coins]) -> Market:
    lead_in = {label: mirror_bars(market, market.lead_in(label), early[label], split=0) for label in market.higher}
    return market.with_bars(mirror_bars(market, market.bars, coins, split=market.first), lead_in)


def mirror_bars(market: Market, bars: pd.DataFrame, coins: Coins, *, split: int) -> pd.DataFrame:
    """Return ``bars`` of ``market`` with each one turned by its coin; lead-in (up to ``split``) and the rest by
    themselves."""
    if bars.empty:
        return bars
    stamps, tossed = coins
    heads = tossed[np.searchsorted(stamps, microseconds(bars.index))]
    rolls = np.zeros(len(bars), np.bool_)
    if market.roll_dates is not None:
        rolls[first_bars(bars, market.roll_dates)] = True
    positive = market.instrument.positive_prices and bool((bars["low"] > 0).all())
    prices = {name: bars[name].to_numpy(np.float64) for name in _PRICES}
    if positive:
        prices = {name: np.log(values) for name, values in prices.items()}
    turned = mirror_prices(prices, heads, rolls, split)
    if positive:
        turned = {name: np.exp(values) for name, values in turned.items()}
    return bars.assign(**turned)


def mirror_prices(
    prices: Mapping[str, Floats], heads: NDArray[np.bool_], rolls: NDArray[np.bool_], split: int
) -> dict[str, Floats]:
    """Return log prices (or prices, where they may be negative) with every bar turned whose coin is not ``heads``.

    ``rolls`` marks bars that open on a new contract: the gap before them is no move of the market and stays as it is.
    Bars before and from ``split`` on each keep a mean step of their own.
    """
    opens, size = prices["open"], len(prices["open"])
    gap = np.concatenate([[0.0], opens[1:] - prices["close"][:-1]])
    high, low, body = prices["high"] - opens, prices["low"] - opens, prices["close"] - opens
    still = rolls.copy()
    still[0] = True  # nothing comes before it
    fixed = np.where(still, gap, 0.0)
    for begin, end in ((0, split), (split, size)):
        if end > begin:
            part = slice(begin, end)
            gap[part], high[part], low[part], body[part] = _turn_part(
                gap[part], high[part], low[part], body[part], heads[part], ~still[part]
            )
    close = opens[0] + np.cumsum(gap + fixed + body)
    begins = close - body
    return {
        "open": begins,
        "high": np.maximum(begins + high, np.maximum(begins, close)),
        "low": np.minimum(begins + low, np.minimum(begins, close)),
        "close": close,
    }


def _turn_part(
    gap: Floats, high: Floats, low: Floats, body: Floats, heads: NDArray[np.bool_], moves: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Turn one part; only gaps that are moves of the market (``moves``) take part, the others come back as 0."""
    drift_gap = gap[moves].mean() if moves.any() else 0.0
    drift_body = body.mean()
    gap, body = np.where(moves, gap - drift_gap, 0.0), body - drift_body
    high, low = high - drift_body / 2, low - drift_body / 2  # half of a body's drift lies before its extreme
    gap, body = np.where(heads, gap, -gap), np.where(heads, body, -body)
    high, low = np.where(heads, high, -low), np.where(heads, low, -high)
    added = (gap + body).mean()  # by the coins
    drift_body -= added
    return gap + drift_gap * moves, high + drift_body / 2, low + drift_body / 2, body + drift_body
