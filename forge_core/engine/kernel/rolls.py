"""Step 1 of the contract: contract rolls of dated futures."""

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel.bars import bar_at
from forge_core.engine.kernel.fills import slipped
from forge_core.engine.kernel.ledger import close_position
from forge_core.engine.kernel.state import CLOSE_ORDER, NO_ORDER
from forge_core.simd.compiled import compiled


@compiled
def roll_at_close(state, params, bars, output, i):
    """Leave the old contract at the close of the bar before bar ``i``, which rolls."""
    exit_time = bar_at(bars, i - 1).time + params.bar_microseconds
    _leave_contract(state, params, output, bar_at(bars, i - 1).close, exit_time, i - state.entry_bar)
    state.last_exit = i - 1


@compiled
def roll_at_open(state, params, bars, output, i):
    """Leave the old contract at the open of bar ``i``, the bar before the one that rolls; defer a queued entry."""
    order = state.order
    if state.side != 0:
        side = state.side
        _leave_contract(state, params, output, bar_at(bars, i).open, bar_at(bars, i).time, i - state.entry_bar)
        if order == CLOSE_ORDER or order == -side:
            state.pending = 0
        state.last_exit = i
    elif state.pending != 0 and (order == CLOSE_ORDER or order == -state.pending):
        state.pending = 0
        state.carried = 0
    if order == 1 or order == -1:  # it fills at the new contract's first open
        state.carried = params.rollover
        state.pending = order if params.rollover else 0
        if not params.rollover:
            state.rejected += 1
    state.order = NO_ORDER


@compiled
def _leave_contract(state, params, output, price, exit_time, bars_held):
    """Close the position at a ``price`` of the old contract; it is pending if it is rolled over."""
    side = state.side
    state.switch = 1
    close_position(state, params, output, slipped(price, -side, params), 0.0, exit_time, bars_held, exit_reasons.ROLL)
    state.left_at = price
    state.pending = side if params.rollover else 0
