"""Prices at which an open position is left: stop, target, trailing stop, liquidation and margin call.

Each is monotone in the price it is computed from, although it rounds at each step.
"""

import numpy as np

from forge_core.engine.kernel import params as p
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import float64_at

TICK_TOLERANCE = 1e-6  # of a tick


@compiled
def distance(kind, value, price, atr_address, size, i):
    """Return a level's distance in price units for a fill at the open of bar ``i``; NaN while its ATR is undefined."""
    if kind == p.PERCENT:
        return value * abs(price)
    if kind == p.ATR:
        return value * float64_at(atr_address, size)[i - 1] if i > 0 else np.nan
    return value


@compiled
def to_tick(price, direction, params):
    """Round a level to whole ticks, up (``direction`` +1) or down (-1), unless levels are exact.

    A whole number of ticks is multiplied and divided once, which gives the float that bars have for that price.
    """
    if params.tick_denominator == 0.0:
        return price
    ticks = price * params.ticks_per_unit
    ticks = np.ceil(ticks - TICK_TOLERANCE) if direction > 0 else np.floor(ticks + TICK_TOLERANCE)
    return ticks * params.tick_numerator / params.tick_denominator


@compiled
def trailing_level(side, extreme, trail, params):
    """Return the trailing stop for an ``extreme``; ``trail`` is a share of it (percent) or a distance in price."""
    distance_ = trail * abs(extreme) if params.trail_kind == p.PERCENT else trail
    return to_tick(extreme - side * distance_, -side, params)


@compiled
def liquidation_price(side, entry, margin_price, maintenance):
    """Return the price at which isolated margin no longer covers maintenance, or an infinity that is never reached."""
    if maintenance <= 0.0:
        return -side * np.inf
    if side > 0:
        return (entry - margin_price) / (1.0 - maintenance)
    return (entry + margin_price) / (1.0 + maintenance)


@compiled
def margin_call_price(state, params):
    """Return the price, rounded to the tick like a stop, at which equity equals maintenance margin."""
    maintenance = state.quantity * params.maintenance_money
    return to_tick(state.entry + (maintenance - state.balance) / state.exposure, -state.side, params)
