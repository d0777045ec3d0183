"""Step 3 of the contract: levels touched inside the bar, and the trailing stop."""

import numpy as np

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel import params as p
from forge_core.engine.kernel.bars import bar_at
from forge_core.engine.kernel.fills import slipped
from forge_core.engine.kernel.ledger import close_position
from forge_core.engine.kernel.levels import trailing_level
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import float64_at, int64_at


@compiled
def fill_inside_bar(state, params, bars, finer, output, i):
    """Close the position if bar ``i`` touches a level; otherwise move the trailing stop."""
    side = state.side
    high, low = bar_at(bars, i).high, bar_at(bars, i).low
    if side > 0:
        adverse = max(state.stop, state.trailing, state.liquidation)
        hits_adverse = low <= adverse
        hits_target = high >= state.reach
    else:
        adverse = min(state.stop, state.trailing, state.liquidation)
        hits_adverse = high >= adverse
        hits_target = low <= state.reach
    if hits_adverse or hits_target:
        open_ = bar_at(bars, i).open
        if side * (open_ - adverse) <= 0.0:
            fires, price = True, open_
        elif side * (open_ - state.reach) >= 0.0:
            fires, price = False, open_
        elif hits_adverse and hits_target:
            state.ambiguous += 1
            fires, price = _settle_ambiguous(state, params, bars, finer, i, adverse)
        elif hits_adverse:
            fires, price = True, adverse
        else:
            fires, price = False, state.target
        fee = 0.0
        reason = exit_reasons.TAKE_PROFIT
        if fires:
            price, fee, reason = _adverse_fill(state, params, price, adverse)
        close_position(state, params, output, price, fee, bar_at(bars, i).time, i - state.entry_bar + 1, reason)
        state.last_exit = i
    elif params.trail_kind != p.NO_DISTANCE:
        best = high if side > 0 else low
        if side * (best - state.extreme) > 0.0:
            state.extreme = best
            state.trailing = trailing_level(side, best, state.trail, params)


@compiled
def _adverse_fill(state, params, price, adverse):
    """Return fill price, fee and reason of an exit at the ``adverse`` level, touched at ``price``."""
    if adverse == state.stop:
        reason = exit_reasons.STOP
    elif adverse == state.trailing:
        reason = exit_reasons.TRAILING_STOP
    elif params.watches_equity and params.maintenance_money == 0.0:
        reason = exit_reasons.RUIN
        state.ruined = 1
    else:
        reason = exit_reasons.LIQUIDATION
    if reason != exit_reasons.LIQUIDATION or params.watches_equity:
        price = slipped(price, -state.side, params)
    else:
        price = max(price, state.bankruptcy) if state.side > 0 else min(price, state.bankruptcy)
    fee = 0.0
    if reason == exit_reasons.LIQUIDATION:
        fee = state.quantity * params.multiplier * abs(price) * params.liquidation_fee
    return price, fee, reason


@compiled
def _settle_ambiguous(state, params, bars, finer, i, adverse):
    """Settle a bar that touches the adverse level and the price at which the target fills.

    Return whether the adverse level fills, and the price of the fill before slippage.
    """
    side, target, reach = state.side, state.target, state.reach
    if params.policy == p.OHLC_PATH:
        rises = bar_at(bars, i).close >= bar_at(bars, i).open
        return (True, adverse) if rises == (side > 0) else (False, target)
    if params.policy == p.REPLAY:
        begin = bar_at(bars, i).time
        time = int64_at(finer.time, finer.size)
        high, low = float64_at(finer.high, finer.size), float64_at(finer.low, finer.size)
        k = np.searchsorted(time, begin)
        while k < finer.size and time[k] < begin + params.bar_microseconds:
            first = bar_at(finer, k).open
            best = high[k] if side > 0 else low[k]
            worst = low[k] if side > 0 else high[k]
            if side * (first - adverse) <= 0.0:
                return True, first
            if side * (first - reach) >= 0.0:
                return False, first
            if side * (worst - adverse) <= 0.0:
                return True, adverse
            if side * (best - reach) >= 0.0:
                return False, target
            k += 1
    return True, adverse
