"""Masks of bars at which an indicator is 0/0 but TA-Lib writes a number.

An RSI of 0 or a Williams %R of 0 in a market that does not move would read as oversold or overbought. ``UNDEFINED``
lists every indicator of this kind; ``blank`` sets such values to NaN, so that rules on them are false.
"""

from collections.abc import Callable, Mapping

import numpy as np
import talib
from numpy.typing import NDArray

from forge_core.features.definition import Bars, Floats, Params

Mask = NDArray[np.bool_]
UndefinedAt = Callable[[Bars, Params], tuple[Mask, ...]]

_CYCLE_BARS = 64  # lookback of the Hilbert transform


def blank(columns: tuple[Floats, ...], undefined: UndefinedAt, bars: Bars, params: Params) -> None:
    """Set the undefined values of an indicator's ``columns`` to NaN, in place."""
    masks = undefined(bars, params)
    for number, column in enumerate(columns):
        column[masks[min(number, len(masks) - 1)]] = np.nan


def _flat(high: Floats, low: Floats, bars: int) -> Mask:
    """Return where the highest high and the lowest low of the last ``bars`` bars are equal."""
    return high == low if bars == 1 else talib.MAX(high, bars) == talib.MIN(low, bars)


def _unmoved(values: Floats, steps: int) -> Mask:
    """Return where ``values`` did not change over the last ``steps`` steps."""
    return _flat(values, values, steps + 1)


def _zero(values: Floats, bars: int) -> Mask:
    """Return where the non-negative ``values`` are all zero over the last ``bars`` bars."""
    return values == 0.0 if bars == 1 else talib.MAX(values, bars) == 0.0


def _constant(values: Floats) -> Mask:
    """Return where all ``values`` since the first bar are equal."""
    mask: Mask = np.logical_and.accumulate(values == values[:1])
    return mask


def _spread(mask: Mask, bars: int) -> Mask:
    """Return where ``mask`` is set at any of the last ``bars`` bars, the window of an average of a masked column."""
    return mask if bars == 1 else talib.MAX(mask.astype(np.float64), bars) == 1.0


def _later(mask: Mask, bars: int) -> Mask:
    """Shift ``mask`` by ``bars``: bar ``i`` gets the entry of bar ``i - bars``."""
    shifted = np.zeros_like(mask)
    shifted[bars:] = mask[: max(mask.size - bars, 0)]
    return shifted


def _close_never_moved(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (_constant(bars["close"]),)


def _no_price_ever_moved(bars: Bars, params: Params) -> tuple[Mask, ...]:
    high, low, close = bars["high"], bars["low"], bars["close"]
    return (_constant(high) & _constant(low) & (high == low) & _constant(close),)


def _no_bar_ever_had_a_range(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (np.logical_and.accumulate(bars["high"] == bars["low"]),)


def close_unmoved(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (_unmoved(bars["close"], params["timeperiod"]),)


def _no_range(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (_flat(bars["high"], bars["low"], params["timeperiod"]),)


def _no_true_range(bars: Bars, period: int) -> Mask:
    return _zero(talib.TRANGE(bars["high"], bars["low"], bars["close"]), period)


def _cycle(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (_unmoved(bars["close"], _CYCLE_BARS - 1) | _constant(bars["close"]),)


def _typical_unmoved(bars: Bars, params: Params) -> tuple[Mask, ...]:
    typical = talib.TYPPRICE(bars["high"], bars["low"], bars["close"])
    return (_unmoved(typical, params["timeperiod"] - 1),)


def _money_flow(bars: Bars, params: Params) -> tuple[Mask, ...]:
    typical = talib.TYPPRICE(bars["high"], bars["low"], bars["close"])
    flow = np.zeros_like(typical)
    flow[1:] = np.abs(np.diff(typical)) * bars["volume"][1:]
    return (_zero(flow, params["timeperiod"]),)


def _no_body(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (_zero(np.abs(bars["close"] - bars["open"]), params["timeperiod"]),)


def _stochastic(bars: Bars, params: Params) -> tuple[Mask, ...]:
    slow_k = _spread(_flat(bars["high"], bars["low"], params["fastk_period"]), params["slowk_period"])
    return slow_k, _spread(slow_k, params["slowd_period"])


def _fast_stochastic(bars: Bars, params: Params) -> tuple[Mask, ...]:
    fast_k = _flat(bars["high"], bars["low"], params["fastk_period"])
    return fast_k, _spread(fast_k, params["fastd_period"])


def _stochastic_of_rsi(bars: Bars, params: Params) -> tuple[Mask, ...]:
    """Return where the RSI is constant: in a flat market, or at 100 or 0 in a market that moves in one direction."""
    period = params["fastk_period"]
    strength = talib.RSI(bars["close"], params["timeperiod"])
    fast_k = _unmoved(strength, period - 1) | _unmoved(bars["close"], period - 1)
    return fast_k, _spread(fast_k, params["fastd_period"])


def _correlation(bars: Bars, params: Params) -> tuple[Mask, ...]:
    steps = params["timeperiod"] - 1
    return (_unmoved(bars["high"], steps) | _unmoved(bars["low"], steps),)


def _no_volume(end: int) -> UndefinedAt:
    """Return the mask of ``timeperiod`` bars without volume, the last of them ``end`` bars ago."""

    def undefined(bars: Bars, params: Params) -> tuple[Mask, ...]:
        return (_later(_zero(bars["volume"], params["timeperiod"]), end),)

    return undefined


def _no_volume_ever(bars: Bars, params: Params) -> tuple[Mask, ...]:
    return (np.logical_and.accumulate(bars["volume"] == 0.0),)


UNDEFINED: Mapping[str, UndefinedAt] = {
    # Nothing moved since the first bar: recursive averages such as Wilder's include every earlier move
    "rsi": _close_never_moved,
    "cmo": _close_never_moved,
    "tsi": _close_never_moved,
    "rvi": _close_never_moved,
    "smi": _no_price_ever_moved,
    "plus_di": _no_price_ever_moved,
    "minus_di": _no_price_ever_moved,
    "dx": _no_price_ever_moved,
    "adx": _no_price_ever_moved,
    "adxr": _no_price_ever_moved,
    "massi": _no_bar_ever_had_a_range,
    "cvi": lambda bars, params: (_later(_no_bar_ever_had_a_range(bars, params)[0], params["rocperiod"]),),
    # Nothing moved within the window
    "cmou": close_unmoved,
    "rsi_sma": close_unmoved,
    "er": close_unmoved,
    "vhf": lambda bars, params: (_unmoved(bars["close"], params["timeperiod"] - 1),),
    "willr": _no_range,
    "cci": _typical_unmoved,
    "bop": lambda bars, params: (bars["high"] == bars["low"],),
    "imi": _no_body,
    "ultosc": lambda bars, params: (_no_true_range(bars, params["timeperiod1"]),),
    "vortex": lambda bars, params: (_no_true_range(bars, params["timeperiod"]),),
    "stoch": _stochastic,
    "stochf": _fast_stochastic,
    "stochrsi": _stochastic_of_rsi,
    "kdj": _stochastic,
    "correl": _correlation,
    "beta": lambda bars, params: (_unmoved(bars["high"], params["timeperiod"]),),
    "ht_dcperiod": _cycle,
    "ht_dcphase": _cycle,
    "ht_sine": _cycle,
    "ht_trendmode": _cycle,
    # No volume; running sums would leave rounding residue
    "mfi": _money_flow,
    "vwma": _no_volume(0),
    "cmf": _no_volume(0),
    "rvol": _no_volume(1),
    "pvo": _no_volume_ever,
    "vwap": _no_volume_ever,
    "marketfi": lambda bars, params: (bars["volume"] == 0.0,),
}
"""By indicator: the bars at which each output is undefined (the last mask applies to all outputs after it)."""
