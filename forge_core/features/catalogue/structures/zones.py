"""Zones: prices at which recent swing lows (support) and swing highs (resistance) cluster."""

import numpy as np
import talib
from numpy.typing import NDArray

from forge_core.features.catalogue.structures.pivots import Flags, confirmed_swings
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.scale import Scale
from forge_core.simd.compiled import compiled

ATR_PERIOD = 14

Integers = NDArray[np.int64]


@compiled
def zone_levels(
    prices: Floats, confirmed: Flags, atr: Floats, delay: int, lookback: int, tolerance: float
) -> tuple[Floats, Floats]:
    """Return the level and the number of touches of the strongest zone of one side.

    ``confirmed[i]`` is True where bar ``i - delay`` is a swing, at ``prices[i - delay]``. Swings of the last
    ``lookback`` bars count. The neighbours of a swing are those within ``tolerance`` times the ATR of its price; the
    swing with the most neighbours, the latest of equals, gives the zone, and its level is their mean. The zone is
    recomputed when a swing is confirmed or expires and is constant in between, so that price can cross it.
    """
    n = prices.size
    level, touches = np.full(n, np.nan), np.full(n, np.nan)
    swings = np.empty(n, np.int64)  # the bars of all swings so far; those from ``first`` to ``last`` count
    by_price = np.empty(n, np.int64)  # the bars that count, ordered by price
    first, last, changed = 0, 0, False
    centre, most = np.nan, np.nan
    for i in range(delay, n):
        if confirmed[i]:
            swings[last] = i - delay
            _insert(by_price, last - first, prices, i - delay)
            last, changed = last + 1, True
        while first < last and swings[first] <= i - lookback:
            _remove(by_price, last - first, swings[first])
            first, changed = first + 1, True
        if np.isnan(atr[i]):
            continue
        if changed:
            centre, most = _strongest(prices, by_price[: last - first], tolerance * atr[i])
            changed = False
        level[i], touches[i] = centre, most
    return level, touches


@compiled
def _insert(by_price: Integers, size: int, prices: Floats, bar: int) -> None:
    place = size
    while place > 0 and prices[by_price[place - 1]] > prices[bar]:
        by_price[place] = by_price[place - 1]
        place -= 1
    by_price[place] = bar


@compiled
def _remove(by_price: Integers, size: int, bar: int) -> None:
    place = 0
    while by_price[place] != bar:
        place += 1
    by_price[place : size - 1] = by_price[place + 1 : size]


@compiled
def _strongest(prices: Floats, by_price: Integers, width: float) -> tuple[float, float]:
    """Return mean price and number of the swings around the one with the most neighbours, NaN if there are none."""
    low, high = 0, 0  # by_price[low:high] are the neighbours of the current swing, itself included
    begin, end, centre = 0, 0, -1
    for bar in by_price:
        while prices[bar] - prices[by_price[low]] > width:
            low += 1
        while high < by_price.size and prices[by_price[high]] - prices[bar] <= width:
            high += 1
        if high - low > end - begin or (high - low == end - begin and bar > centre):
            begin, end, centre = low, high, bar
    if centre < 0:
        return np.nan, np.nan
    return prices[by_price[begin:end]].mean(), float(end - begin)


def _zones(bars: Bars, params: Params) -> tuple[Floats, ...]:
    strength, lookback, tolerance = (params[name] for name in ("strength", "lookback", "tolerance"))
    is_high, is_low = confirmed_swings(bars["high"], bars["low"], strength, strength)
    atr = talib.ATR(bars["high"], bars["low"], bars["close"], ATR_PERIOD)
    support, support_touches = zone_levels(bars["low"], is_low, atr, strength, lookback, tolerance)
    resistance, resistance_touches = zone_levels(bars["high"], is_high, atr, strength, lookback, tolerance)
    return support, resistance, support_touches, resistance_touches


_PRICE = Scale("price")
_COUNT = Scale("unbounded", 0.0)
_TOUCHES = (1.5, 2.5, 3.5)

ZONES = FeatureDefinition(
    name="zones",
    kind="structure",
    description="Support and resistance: prices where recent swing lows and swing highs cluster, with their numbers.",
    parameters=(
        Parameter("lookback", 100, True, 3, 5_000, (20, 34, 55, 89, 144, 200)),
        Parameter("strength", 3, True, 1, 500, (2, 3, 5)),
        Parameter("tolerance", 0.5, False, 0.0, 100.0, (0.25, 0.5, 1.0)),
    ),
    outputs=(
        Output("support", _PRICE),
        Output("resistance", _PRICE),
        Output("support_touches", _COUNT, _TOUCHES),
        Output("resistance_touches", _COUNT, _TOUCHES),
    ),
    default_output="support",
    function=_zones,
    bars_needed=lambda params: max(int(2 * params["strength"]), ATR_PERIOD),
    ascending=(("strength", "lookback"),),
    search=True,
)
