"""The arithmetic of one fill: slippage, commission, distances, size and the books of a closed trade.

Small compiled functions that the kernel calls; each follows docs/fill_contract.md to the letter.
"""

import numpy as np

from forge_core.engine.kernel import params as st
from forge_core.metrics import accumulators as tl
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import float64_at, int64_at

LOT_TOLERANCE = 1e-9  # of a lot: what binary fractions lose is not rounded away
TICK_TOLERANCE = 1e-6  # of a tick

# columns of the float and integer records of a trade
(ENTRY_PRICE, EXIT_PRICE, QUANTITY, GROSS, COMMISSION, FINANCING, NET, RETURN, MAE, MFE) = range(10)
TRADE_FLOATS = 10
(ENTRY_TIME, EXIT_TIME, SIDE, REASON, BARS_HELD, SWITCH) = range(6)
TRADE_INTEGERS = 6

# the cold part of an open position, kept out of the kernel's registers
(P_COMMISSION, P_FINANCING, P_WORST, P_BEST) = range(4)
POSITION_FLOATS = 4


@compiled
def slipped(price, side, cfg):
    """Return the fill price of a buy (``side`` +1) or a sell (-1) at ``price`` with slippage against it."""
    return price + side * (abs(price) * cfg[st.SLIPPAGE_FRACTION] + cfg[st.SLIPPAGE_PRICE])


@compiled
def commission(price, quantity, cfg):
    """Return the commission of one side, money."""
    return quantity * (abs(price) * cfg[st.MULTIPLIER] * cfg[st.COMMISSION_FRACTION] + cfg[st.COMMISSION_UNIT])


@compiled
def distance(kind, value, price, atr_address, size, i):
    """Return a level's distance in price units for a fill at the open of bar ``i``; NaN while its ATR is undefined."""
    if kind == st.PERCENT:
        return value * abs(price)
    if kind == st.ATR:
        return value * float64_at(atr_address, size)[i - 1] if i > 0 else np.nan
    return value


@compiled
def to_tick(price, direction, cfg):
    """Round a level to whole ticks, up (``direction`` +1) or down (-1), unless levels are exact.

    A whole number of ticks is multiplied and divided once, which gives the float that bars have for that price.
    """
    numerator, denominator = cfg[st.TICK_NUMERATOR], cfg[st.TICK_DENOMINATOR]
    if denominator == 0.0:
        return price
    ticks = price * (denominator / numerator) if numerator != 1.0 else price * denominator
    ticks = np.ceil(ticks - TICK_TOLERANCE) if direction > 0 else np.floor(ticks + TICK_TOLERANCE)
    return ticks * numerator / denominator


@compiled
def trailing_level(side, extreme, kind, trail, cfg):
    """Return the trailing stop for an ``extreme``; ``trail`` is a share of it (percent) or a distance in price."""
    distance_ = trail * abs(extreme) if kind == st.PERCENT else trail
    return to_tick(extreme - side * distance_, -side, cfg)


@compiled
def unit_margin(price, cfg):
    """Return the margin of one unit bought or sold at ``price``, money."""
    if cfg[st.INITIAL_MARGIN] > 0.0:
        return cfg[st.INITIAL_MARGIN]
    return abs(price) * cfg[st.MULTIPLIER] / cfg[st.MAX_LEVERAGE]


@compiled
def position_size(equity, price, stop_distance, capacity, cfg):
    """Return the quantity to trade at ``price`` with ``equity`` money and whether ``capacity`` cut it.

    The quantity is rounded down to the lot; 0: no trade.
    """
    value = abs(price) * cfg[st.MULTIPLIER]
    cost = commission(price, 1.0, cfg)
    needed = unit_margin(price, cfg) + cost
    if value <= 0.0 or needed <= 0.0 or equity <= 0.0:
        return 0.0, False
    kind = cfg[st.SIZE_KIND]
    if kind == st.SIZE_FRACTION:
        quantity = cfg[st.SIZE_VALUE] * equity / (value + cost)
    elif kind == st.SIZE_NOTIONAL:
        quantity = cfg[st.SIZE_VALUE] / value
    elif kind == st.SIZE_CONTRACTS:
        quantity = cfg[st.SIZE_VALUE]
    else:
        quantity = cfg[st.SIZE_VALUE] * equity / (stop_distance * cfg[st.MULTIPLIER])
    affordable = equity / needed
    if quantity > affordable:
        if kind == st.SIZE_CONTRACTS:
            return 0.0, False
        quantity = affordable
    lots = np.floor(quantity / cfg[st.LOT] + LOT_TOLERANCE)
    most = np.floor(capacity / cfg[st.LOT] + LOT_TOLERANCE) if capacity < quantity else lots
    return min(lots, most) * cfg[st.LOT], most < lots


@compiled
def book_trade(
    tally,
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
    cfg,
):
    """Book the exit of a position at fill ``price``; return what the balance gains by it, money.

    The entry's commission and the financing in ``position`` have left the balance before; ``fee`` is paid on top of
    the exit's commission. ``floats`` and ``integers`` take the trade's record if they have one of ``rows`` left. All
    arrays come by their addresses, which are cheaper to pass.
    """
    cfg = float64_at(cfg, st.SETTINGS_SIZE)
    tally = float64_at(tally, tl.TALLY_SIZE)
    position = float64_at(position, POSITION_FLOATS)
    multiplier = cfg[st.MULTIPLIER]
    gross = side * quantity * multiplier * (price - entry)
    exit_commission = commission(price, quantity, cfg) + fee
    paid = position[P_COMMISSION] + exit_commission
    net = gross - paid - position[P_FINANCING]
    notional = quantity * multiplier * abs(entry)
    share = net / notional if notional > 0.0 else 0.0
    k = int(tally[tl.TRADES])
    if k < rows:
        row = float64_at(floats, rows * TRADE_FLOATS)[k * TRADE_FLOATS : (k + 1) * TRADE_FLOATS]
        row[ENTRY_PRICE] = entry
        row[EXIT_PRICE] = price
        row[QUANTITY] = quantity
        row[GROSS] = gross
        row[COMMISSION] = paid
        row[FINANCING] = position[P_FINANCING]
        row[NET] = net
        row[RETURN] = 100.0 * share
        last = side * (price - entry)
        base = 100.0 / abs(entry) if entry != 0.0 else 0.0
        row[MAE] = min(0.0, position[P_WORST], last) * base
        row[MFE] = max(0.0, position[P_BEST], last) * base
        marks = int64_at(integers, rows * TRADE_INTEGERS)[k * TRADE_INTEGERS : (k + 1) * TRADE_INTEGERS]
        marks[ENTRY_TIME] = entry_time
        marks[EXIT_TIME] = exit_time
        marks[SIDE] = side
        marks[REASON] = reason
        marks[BARS_HELD] = held
        marks[SWITCH] = switch
    tally[tl.TRADES] += 1.0
    if net > 0.0:
        tally[tl.WINS] += 1.0
        tally[tl.GROSS_PROFIT] += net
    elif net < 0.0:
        tally[tl.LOSSES] += 1.0
        tally[tl.GROSS_LOSS] += net
    tally[tl.RETURN_SUM] += share
    tally[tl.POINTS_SUM] += side * (price - entry)
    tally[tl.MARGIN_SUM] += net / (cfg[st.INITIAL_MARGIN] * quantity) if cfg[st.INITIAL_MARGIN] > 0.0 else np.nan
    tally[tl.BARS_HELD] += held
    tally[tl.TURNOVER] += quantity * multiplier * abs(price)
    tally[tl.COMMISSION] += paid
    tally[tl.FINANCING] += position[P_FINANCING]
    return gross - exit_commission
