"""Arithmetic of one fill: slippage, commission, distances, size, and the record of a closed trade.

Compiled functions called by the kernel; each implements docs/fill_contract.md.
"""

import numpy as np

from forge_core.engine.kernel import layout
from forge_core.engine.kernel import params as p
from forge_core.metrics import accumulators as acc
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import float64_at, int64_at

LOT_TOLERANCE = 1e-9  # of a lot; absorbs binary rounding
TICK_TOLERANCE = 1e-6  # of a tick


@compiled
def slipped(price, side, params):
    """Return the fill price of a buy (``side`` +1) or a sell (-1) at ``price`` with slippage against it."""
    return price + side * (abs(price) * params[p.SLIPPAGE_FRACTION] + params[p.SLIPPAGE_PRICE])


@compiled
def commission(price, quantity, params):
    """Return the commission of one side, money."""
    return quantity * (abs(price) * params[p.MULTIPLIER] * params[p.COMMISSION_FRACTION] + params[p.COMMISSION_UNIT])


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
    numerator, denominator = params[p.TICK_NUMERATOR], params[p.TICK_DENOMINATOR]
    if denominator == 0.0:
        return price
    ticks = price * (denominator / numerator) if numerator != 1.0 else price * denominator
    ticks = np.ceil(ticks - TICK_TOLERANCE) if direction > 0 else np.floor(ticks + TICK_TOLERANCE)
    return ticks * numerator / denominator


@compiled
def trailing_level(side, extreme, kind, trail, params):
    """Return the trailing stop for an ``extreme``; ``trail`` is a share of it (percent) or a distance in price."""
    distance_ = trail * abs(extreme) if kind == p.PERCENT else trail
    return to_tick(extreme - side * distance_, -side, params)


@compiled
def unit_margin(price, params):
    """Return the margin of one unit bought or sold at ``price``, money."""
    if params[p.INITIAL_MARGIN] > 0.0:
        return params[p.INITIAL_MARGIN]
    return abs(price) * params[p.MULTIPLIER] / params[p.MAX_LEVERAGE]


@compiled
def position_size(equity, price, stop_distance, capacity, params):
    """Return the quantity to trade at ``price`` with ``equity`` money and whether ``capacity`` cut it.

    The quantity is rounded down to the lot; 0: no trade.
    """
    value = abs(price) * params[p.MULTIPLIER]
    cost = commission(price, 1.0, params)
    needed = unit_margin(price, params) + cost
    if value <= 0.0 or needed <= 0.0 or equity <= 0.0:
        return 0.0, False
    kind = params[p.SIZE_KIND]
    if kind == p.SIZE_FRACTION:
        quantity = params[p.SIZE_VALUE] * equity / (value + cost)
    elif kind == p.SIZE_NOTIONAL:
        quantity = params[p.SIZE_VALUE] / value
    elif kind == p.SIZE_CONTRACTS:
        quantity = params[p.SIZE_VALUE]
    else:
        quantity = params[p.SIZE_VALUE] * equity / (stop_distance * params[p.MULTIPLIER])
    affordable = equity / needed
    if quantity > affordable:
        if kind == p.SIZE_CONTRACTS:
            return 0.0, False
        quantity = affordable
    lots = np.floor(quantity / params[p.LOT] + LOT_TOLERANCE)
    most = np.floor(capacity / params[p.LOT] + LOT_TOLERANCE) if capacity < quantity else lots
    return min(lots, most) * params[p.LOT], most < lots


@compiled
def book_trade(
    accumulators,
    floats,
    integers,
    rows,
    position,
    side,
    quantity,
    entry,
    price,
    fee,
    entry_time,
    exit_time,
    held,
    reason,
    switch,
    params,
):
    """Record the exit of a position at fill ``price``; return the change of the balance, money.

    The entry's commission and the financing in ``position`` were deducted from the balance before; ``fee`` is added to
    the exit's commission. The trade is recorded in ``floats`` and ``integers`` while they have one of ``rows`` left.
    All arrays are passed by address, which is cheaper.
    """
    params = float64_at(params, p.PARAMS_SIZE)
    accumulators = float64_at(accumulators, acc.ACCUMULATORS_SIZE)
    position = float64_at(position, layout.POSITION_FLOATS)
    multiplier = params[p.MULTIPLIER]
    gross = side * quantity * multiplier * (price - entry)
    exit_commission = commission(price, quantity, params) + fee
    paid = position[layout.P_COMMISSION] + exit_commission
    net = gross - paid - position[layout.P_FINANCING]
    notional = quantity * multiplier * abs(entry)
    share = net / notional if notional > 0.0 else 0.0
    k = int(accumulators[acc.TRADES])
    if k < rows:
        begin = k * layout.TRADE_FLOATS
        row = float64_at(floats, rows * layout.TRADE_FLOATS)[begin : begin + layout.TRADE_FLOATS]
        row[layout.ENTRY_PRICE] = entry
        row[layout.EXIT_PRICE] = price
        row[layout.QUANTITY] = quantity
        row[layout.GROSS] = gross
        row[layout.COMMISSION] = paid
        row[layout.FINANCING] = position[layout.P_FINANCING]
        row[layout.NET] = net
        row[layout.RETURN] = 100.0 * share
        last = side * (price - entry)
        base = 100.0 / abs(entry) if entry != 0.0 else 0.0
        row[layout.MAE] = min(0.0, position[layout.P_WORST], last) * base
        row[layout.MFE] = max(0.0, position[layout.P_BEST], last) * base
        begin = k * layout.TRADE_INTEGERS
        numbers = int64_at(integers, rows * layout.TRADE_INTEGERS)[begin : begin + layout.TRADE_INTEGERS]
        numbers[layout.ENTRY_TIME] = entry_time
        numbers[layout.EXIT_TIME] = exit_time
        numbers[layout.SIDE] = side
        numbers[layout.REASON] = reason
        numbers[layout.BARS_HELD] = held
        numbers[layout.SWITCH] = switch
    accumulators[acc.TRADES] += 1.0
    if net > 0.0:
        accumulators[acc.WINS] += 1.0
        accumulators[acc.GROSS_PROFIT] += net
    elif net < 0.0:
        accumulators[acc.LOSSES] += 1.0
        accumulators[acc.GROSS_LOSS] += net
    accumulators[acc.RETURN_SUM] += share
    accumulators[acc.POINTS_SUM] += side * (price - entry)
    margin = params[p.INITIAL_MARGIN] * quantity
    accumulators[acc.MARGIN_SUM] += net / margin if margin > 0.0 else np.nan
    accumulators[acc.BARS_HELD] += held
    accumulators[acc.TURNOVER] += quantity * multiplier * abs(price)
    accumulators[acc.COMMISSION] += paid
    accumulators[acc.FINANCING] += position[layout.P_FINANCING]
    return gross - exit_commission
