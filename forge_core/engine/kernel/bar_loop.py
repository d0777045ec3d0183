"""The backtest kernel: one pass over the bars, in the steps of docs/fill_contract.md.

Each step is a module. Rule results are read where they can matter, and quiet bars are skipped, flat or in a position
(``engine.kernel.fast_forward``). Allocations do not grow with the number of bars.
"""

import numpy as np

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel import params as p
from forge_core.engine.kernel.bars import bar_at, bars_at, day_of
from forge_core.engine.kernel.entries import fill_at_open
from forge_core.engine.kernel.fast_forward import advance_position, next_entry
from forge_core.engine.kernel.fills import slipped
from forge_core.engine.kernel.intrabar import fill_inside_bar
from forge_core.engine.kernel.ledger import close_position
from forge_core.engine.kernel.levels import margin_call_price, trailing_level
from forge_core.engine.kernel.marking import mark_close
from forge_core.engine.kernel.orders import queue_order
from forge_core.engine.kernel.params import params_at
from forge_core.engine.kernel.rolls import roll_at_close, roll_at_open
from forge_core.engine.kernel.state import NO_ORDER, output_at, state_at
from forge_core.engine.signals.evaluator import program_at
from forge_core.metrics.accumulators import ACCUMULATORS, accumulators_at
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import float64_at, int32_at, int64_at

_DAY_MICROSECONDS = 86_400e6
_ACCUMULATORS = len(ACCUMULATORS.names or ())


@compiled
def run_backtest(params, program, bars, finer, state, output):
    """Run one backtest and fill its outputs; every argument is the address of a record.

    ``params`` (``kernel.params``); ``program``, the linked Play (``signals.evaluator``); ``bars`` and ``finer``, the
    bars and finer ones (``feeds.feed``); ``state``, scratch; ``output`` (``kernel.state``): the accumulators, equity
    at the last close of each trade date, and, where they are asked for, equity at each close and the first trades.
    """
    params, program, bars, finer = params_at(params), program_at(program), bars_at(bars), bars_at(finer)
    state, output = state_at(state), output_at(output)
    rolls_at_open = bars.events != 0 and params.roll_mode == p.PREV_OPEN
    rolls_at_close = bars.events != 0 and params.roll_mode == p.PREV_CLOSE
    start, size = params.start, params.end
    _start(state, params, bars, output)
    i = start
    while i < size:
        if rolls_at_close and state.side != 0 and bar_at(bars, i).rolls:
            roll_at_close(state, params, bars, output, i)
        if _is_ruined_at_open(state, params, bars, output, i):
            break
        if rolls_at_open and i + 1 < size and bar_at(bars, i + 1).rolls:
            roll_at_open(state, params, bars, output, i)
        else:
            fill_at_open(state, params, program, bars, output, i)
            if state.side != 0:
                fill_inside_bar(state, params, bars, finer, output, i)
        mark_close(state, params, bars, output, i)
        if state.ruined:
            i += 1
            break
        # Signals at the close; then fast forward to the next close at which a rule for this state is true
        while i < size - 1:
            if i >= params.first_signal:
                queue_order(state, params, program, i)
            if state.order != NO_ORDER or state.pending != 0 or i >= size - 2:
                break
            if state.side == 0:  # nothing changes until the next entry rule is true
                resume = next_entry(program, bars, max(i + 1, params.first_signal), size - 1)
                last = min(resume, size - 2)
                if output.equity_curve != 0:
                    float64_at(output.equity_curve, bars.size)[i + 1 : last + 1] = state.balance
                if state.balance >= state.peak:
                    state.peak_bar = last
                i = last
                if resume == size - 1:
                    break
            elif i >= params.first_signal:
                limit = min(size - 1, state.held_from + params.max_bars)
                signal, reached = advance_position(state, params, program, bars, output, i + 1, limit)
                _follow(state, params)
                state.exposed += reached - i - 1
                i = reached - 1
                if not signal and reached < limit:
                    break
            else:
                break
        i += 1
    _finish(state, params, bars, output, i)


@compiled
def _start(state, params, bars, output):
    """Set the state and the outputs at the start: flat, no order, all trade dates unmarked."""
    int64_at(output.accumulators, _ACCUMULATORS)[:] = 0
    state.side = 0
    state.switch = 0
    state.quantity = 0.0
    state.order = NO_ORDER
    state.order_reason = exit_reasons.EXIT
    state.pending = 0
    state.carried = 0
    state.left_at = 0.0
    state.last_exit = -(10**9)
    state.balance = params.cash
    state.peak = params.cash
    state.peak_bar = params.start
    state.max_drawdown = 0.0
    state.longest = 0
    state.exposed = 0
    state.ambiguous = 0
    state.rejected = 0
    state.capped = 0
    state.ruined = 0
    day_index = int32_at(bars.day_index, bars.size)
    state.day = day_index[params.start]
    float64_at(output.day_equity, bars.days)[state.day : day_index[params.end - 1] + 1] = np.nan


@compiled
def _is_ruined_at_open(state, params, bars, output, i):
    """Return whether equity at the open of bar ``i`` is at or below zero, and close the position there."""
    equity = state.balance
    if state.side != 0:
        equity += state.exposure * (bar_at(bars, i).open - state.entry)
    if equity > 0.0 or (state.side != 0 and params.maintenance != 0.0):
        return False
    if state.side != 0:
        price = slipped(bar_at(bars, i).open, -state.side, params)
        reason = exit_reasons.RUIN
        close_position(state, params, output, price, 0.0, bar_at(bars, i).time, i - state.entry_bar, reason)
    state.ruined = 1
    return True


@compiled
def _follow(state, params):
    """Set the levels that follow from the extreme and from the balance after quiet bars."""
    if params.trail_kind != p.NO_DISTANCE:
        state.trailing = trailing_level(state.side, state.extreme, state.trail, params)
    if params.watches_equity and state.side < 0 and params.borrow_per_microsecond > 0.0:
        state.liquidation = margin_call_price(state, params)


@compiled
def _finish(state, params, bars, output, i):
    """Complete the outputs after the last bar, or from bar ``i`` on after ruin.

    After ruin equity is constant; an open drawdown lasts to the last close.
    """
    size = params.end
    marks = float64_at(output.day_equity, bars.days)
    day_index = int32_at(bars.day_index, bars.size)
    if state.ruined:
        if i < size:
            marks[day_of(bars, state.day, i)] = state.balance
        if output.equity_curve != 0:
            float64_at(output.equity_curve, bars.size)[i:size] = state.balance
        state.max_drawdown = max(state.max_drawdown, (state.peak - state.balance) / state.peak)
    before = params.cash
    for day in range(day_index[params.start], day_index[size - 1] + 1):  # trade dates skipped while flat
        if np.isnan(marks[day]):
            marks[day] = before
        before = marks[day]
    if size - 1 > state.peak_bar:
        state.longest = max(state.longest, bar_at(bars, size - 1).time - bar_at(bars, state.peak_bar).time)
    sums = accumulators_at(output.accumulators)
    sums.exposed = state.exposed
    sums.bars = size - params.start
    sums.ambiguous = state.ambiguous
    sums.initial = params.cash
    sums.final = state.balance
    sums.max_drawdown = state.max_drawdown
    sums.longest_drawdown = state.longest / _DAY_MICROSECONDS
    sums.ruined = state.ruined
    sums.rejected = state.rejected
    sums.volume_capped = state.capped
