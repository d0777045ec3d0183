"""Arithmetic of one fill: slippage, commission, margin, size.

Compiled functions called by the kernel; each implements docs/fill_contract.md.
"""

import numpy as np

from forge_core.engine.kernel import params as p
from forge_core.simd.compiled import compiled

LOT_TOLERANCE = 1e-9  # of a lot; absorbs binary rounding


@compiled
def slipped(price, side, params):
    """Return the fill price of a buy (``side`` +1) or a sell (-1) at ``price`` with slippage against it."""
    return price + side * (abs(price) * params.slippage_fraction + params.slippage_price)


@compiled
def commission(price, quantity, params):
    """Return the commission of one side, money."""
    return quantity * (abs(price) * params.multiplier * params.commission_fraction + params.commission_unit)


@compiled
def unit_margin(price, params):
    """Return the margin of one unit bought or sold at ``price``, money."""
    if params.initial_margin > 0.0:
        return params.initial_margin
    return abs(price) * params.multiplier / params.max_leverage


@compiled
def position_size(equity, price, stop_distance, capacity, params):
    """Return the quantity to trade at ``price`` with ``equity`` money and whether ``capacity`` cut it.

    The quantity is rounded down to the lot; 0: no trade.
    """
    value = abs(price) * params.multiplier
    cost = commission(price, 1.0, params)
    needed = unit_margin(price, params) + cost
    if value <= 0.0 or needed <= 0.0 or equity <= 0.0:
        return 0.0, False
    kind = params.size_kind
    if kind == p.SIZE_FRACTION:
        quantity = params.size_value * equity / (value + cost)
    elif kind == p.SIZE_NOTIONAL:
        quantity = params.size_value / value
    elif kind == p.SIZE_CONTRACTS:
        quantity = params.size_value
    else:
        quantity = params.size_value * equity / (stop_distance * params.multiplier)
    affordable = equity / needed
    if quantity > affordable:
        if kind == p.SIZE_CONTRACTS:
            return 0.0, False
        quantity = affordable
    lots = np.floor(quantity / params.lot + LOT_TOLERANCE)
    most = np.floor(capacity / params.lot + LOT_TOLERANCE) if capacity < quantity else lots
    return min(lots, most) * params.lot, most < lots
