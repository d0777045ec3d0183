"""Step 2 of the contract: orders and pending positions fill at the open."""

import numpy as np

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel import params as p
from forge_core.engine.kernel.bars import bar_at
from forge_core.engine.kernel.fills import commission, position_size, slipped, unit_margin
from forge_core.engine.kernel.ledger import close_position
from forge_core.engine.kernel.levels import distance, liquidation_price, margin_call_price, to_tick, trailing_level
from forge_core.engine.kernel.state import CLOSE_ORDER, NO_ORDER
from forge_core.metrics.accumulators import accumulators_at
from forge_core.simd.compiled import compiled


@compiled
def fill_at_open(state, params, program, bars, output, i):
    """Fill the queued order, or open a position that is pending after a roll, at the open of bar ``i``."""
    opens = state.pending
    if state.order != NO_ORDER:
        if state.side != 0:
            _close_at_open(state, params, bars, output, i)
        state.pending = 0
        state.carried = 0
        opens = state.order if state.order != CLOSE_ORDER else 0
        state.order = NO_ORDER
    if opens != 0:
        _open_position(state, params, program, bars, output, i, opens)


@compiled
def _close_at_open(state, params, bars, output, i):
    """Close the position at the open of bar ``i``; beyond the liquidation price it is liquidated there."""
    side, open_ = state.side, bar_at(bars, i).open
    if params.maintenance > 0.0 and side * (open_ - state.liquidation) <= 0.0:
        price = max(open_, state.bankruptcy) if side > 0 else min(open_, state.bankruptcy)
        fee = state.quantity * params.multiplier * abs(price) * params.liquidation_fee
        state.order_reason = exit_reasons.LIQUIDATION
    else:
        price = slipped(open_, -side, params)
        fee = 0.0
    close_position(state, params, output, price, fee, bar_at(bars, i).time, i - state.entry_bar, state.order_reason)
    state.last_exit = i


@compiled
def _open_position(state, params, program, bars, output, i, side):
    """Open a position of ``side`` at the open of bar ``i``, or reject the order."""
    price = slipped(bar_at(bars, i).open, side, params)
    is_new = state.pending == 0 or state.carried != 0  # and not reopened after a roll
    has_levels, stop_distance = True, 0.0
    if is_new:
        has_levels, stop_distance = _set_levels(state, params, program, bars, i, side, price)
    else:
        shift = bar_at(bars, i).open - state.left_at
        state.stop += shift
        state.target += shift
        state.extreme += shift
    state.reach = state.target
    if params.stop_kind != p.NO_DISTANCE:
        state.stop = to_tick(state.stop, -side, params)
    if params.target_kind != p.NO_DISTANCE:
        state.target = to_tick(state.target, side, params)
        state.reach = to_tick(state.target + side * params.target_beyond, side, params)
    state.trailing = -side * np.inf
    if params.trail_kind != p.NO_DISTANCE:
        state.trailing = trailing_level(side, state.extreme, state.trail, params)
    if is_new:
        if params.tick_denominator != 0.0 and params.stop_kind != p.NO_DISTANCE:
            stop_distance = side * (price - state.stop)
        state.quantity = _new_quantity(state, params, bars, i, price, stop_distance) if has_levels else 0.0
        if state.quantity == 0.0:
            state.rejected += 1
    state.pending = 0
    state.carried = 0
    if state.quantity > 0.0:
        state.side = side
        state.entry = price
        state.entry_bar = i
        state.entry_time = bar_at(bars, i).time
        state.switch = 0 if is_new else 1
        state.exposure = side * state.quantity * params.multiplier
        margin_price = unit_margin(price, params) / params.multiplier
        state.liquidation = liquidation_price(side, price, margin_price, params.maintenance)
        state.bankruptcy = price - side * margin_price
        state.commission = commission(price, state.quantity, params)
        state.financing = 0.0
        state.worst = 0.0
        state.best = 0.0
        state.balance -= state.commission
        if params.watches_equity:
            state.liquidation = margin_call_price(state, params)
        accumulators_at(output.accumulators).turnover += state.quantity * params.multiplier * abs(price)


@compiled
def _set_levels(state, params, program, bars, i, side, price):
    """Set the levels of a position entered at ``price``; return whether all distances are above 0, and the stop's."""
    stop = distance(params.stop_kind, params.stop_value, price, program.stop_atr, bars.size, i)
    target = distance(params.target_kind, params.target_value, price, program.target_atr, bars.size, i)
    trail = distance(params.trail_kind, params.trail_value, price, program.trail_atr, bars.size, i)
    has_levels = (
        (params.stop_kind == p.NO_DISTANCE or stop > 0.0)
        and (params.target_kind == p.NO_DISTANCE or target > 0.0)
        and (params.trail_kind == p.NO_DISTANCE or trail > 0.0)
    )
    state.stop = price - side * stop if params.stop_kind != p.NO_DISTANCE else -side * np.inf
    state.target = price + side * target if params.target_kind != p.NO_DISTANCE else side * np.inf
    state.extreme = price
    state.trail = params.trail_value if params.trail_kind == p.PERCENT else trail
    state.held_from = i
    return has_levels, stop


@compiled
def _new_quantity(state, params, bars, i, price, stop_distance):
    """Return the quantity of a new position, 0 if there is none; count it if the bar's volume cuts it."""
    capacity = np.inf
    if params.volume_share < np.inf:
        capacity = params.volume_share * bar_at(bars, i).volume
    quantity, cut = position_size(state.balance, price, stop_distance, capacity, params)
    state.capped += cut
    return quantity
