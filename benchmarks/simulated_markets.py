"""Markets of known truth: the bars of ``benchmarks.simulated`` as searches see them, beyond one symbol and its days."""

import numpy as np
import pandas as pd

from benchmarks.simulated import clustered_volatility, common_shocks, martingale_bars
from forge_core.evidence.markets.market import Market
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe

LEAD_IN, TRAIN, HOLDOUT = 300, 1_000, 500  # days

_SPOT = Instrument(symbol="SIM", kind="spot", tick=0.0001, lot=0.0001)
_PERPETUAL = Instrument(symbol="SIM", kind="perpetual", tick=0.0001, lot=0.0001)
_FUTURE = Instrument(symbol="SIM", kind="future", tick=0.01, multiplier=10.0, initial_margin=100.0)
_ROLL_DAYS = 63
_ROLL_GAP = 0.02
_PRICES = ["open", "high", "low", "close"]


def daily(bars: pd.DataFrame, symbol: str = "SIM") -> dict[str, Market]:
    """Return one symbol's daily bars, the first 300 of them lead-in, as a market."""
    return {symbol: Market(_SPOT.model_copy(update={"symbol": symbol}), "1d", bars, {}, bars.index[LEAD_IN])}


def quarters_of_hours(rng: np.random.Generator, lead_in: int = 30, days: int = 180) -> dict[str, Market]:
    """Return 15-minute bars of a martingale whose volatility has clusters and a pattern of the day, and 1h and 4h."""
    a_day = 96
    hour = 1.0 + 0.6 * np.sin(np.arange(a_day) / a_day * 2.0 * np.pi)
    by_day = 2.0 * clustered_volatility(lead_in + days, rng) / np.sqrt((hour**2).sum())
    bars = martingale_bars(np.outer(by_day, hour).ravel(), rng, "15min")
    return {"SIM": _with_higher(_SPOT, "15m", bars, ["1h", "4h"], lead_in * a_day)}


def rolling_future(rng: np.random.Generator) -> dict[str, Market]:
    """Return 4-hour bars of a future, a martingale but for gaps of 2 % when it rolls every 63 days, and its days."""
    bars = martingale_bars(_four_hours(rng), rng, "4h")
    rolls = pd.DatetimeIndex(bars.index[_ROLL_DAYS * 6 :: _ROLL_DAYS * 6])
    factor = np.ones(len(bars))
    factor[np.searchsorted(bars.index, rolls)] = np.exp(rng.normal(0.0, _ROLL_GAP, len(rolls)))
    bars[_PRICES] = bars[_PRICES].mul(np.cumprod(factor), axis=0)
    return {"SIM": _with_higher(_FUTURE, "4h", bars, ["1d"], LEAD_IN * 6, roll_dates=rolls)}


def funded_perpetual(rng: np.random.Generator) -> dict[str, Market]:
    """Return 4-hour bars of a perpetual that rises by what it pays in funding, so that neither side earns.

    The rate, 1 bp every eight hours on average, has a long memory: a price that rises by it seems to trend.
    """
    volatility = _four_hours(rng)
    size = len(volatility)
    noise = rng.normal(0.0, 4e-5, size)
    rates = np.empty(size)
    rates[0] = 1e-4
    for i in range(1, size):
        rates[i] = 1e-4 + 0.95 * (rates[i - 1] - 1e-4) + noise[i]
    paid = np.arange(size) % 2 == 0  # every eight hours
    rises = np.where(np.roll(paid, -1), np.roll(rates, -1), 0.0)  # the bar before the payment rises by it
    bars = martingale_bars(volatility, rng, "4h", rises=rises)
    funding = pd.Series(rates[paid], index=bars.index[paid])
    return {"SIM": _with_higher(_PERPETUAL, "4h", bars, ["1d"], LEAD_IN * 6, funding=funding)}


def correlated_symbols(rng: np.random.Generator) -> dict[str, Market]:
    """Return daily bars of three martingales that move together, each with clusters of its own."""
    length = LEAD_IN + TRAIN + HOLDOUT
    common = common_shocks(length, rng)
    found: dict[str, Market] = {}
    for symbol in ("SIM1", "SIM2", "SIM3"):
        found |= daily(martingale_bars(clustered_volatility(length, rng), rng, "1D", common=common), symbol)
    return found


def _four_hours(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(clustered_volatility(LEAD_IN + TRAIN + HOLDOUT, rng), 6) / np.sqrt(6.0)


def _with_higher(
    instrument: Instrument,
    timeframe: str,
    bars: pd.DataFrame,
    coarser: list[str],
    lead_in: int,
    *,
    roll_dates: pd.DatetimeIndex | None = None,
    funding: "pd.Series[float] | None" = None,
) -> Market:
    higher = {label: resample_bars(bars, Timeframe.parse(label), session=instrument.session) for label in coarser}
    return Market(instrument, timeframe, bars, higher, bars.index[lead_in], roll_dates, roll_dates is not None, funding)
