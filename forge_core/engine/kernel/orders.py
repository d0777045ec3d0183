"""Step 5 of the contract: the rules at a close queue an order for the next open."""

import numpy as np

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel.state import CLOSE_ORDER
from forge_core.engine.signals.evaluator import bits
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import LANES_SHIFT, ONE


@compiled
def queue_order(state, params, program, i):
    """Queue the order that the rules true at the close of bar ``i`` call for, if any."""
    held = state.side if state.side != 0 else state.pending
    word = i >> LANES_SHIFT
    bit = np.uint64(i - (word << LANES_SHIFT))
    if held == 0:
        enters_long = (bits(program.entry_long, program, word) >> bit) & ONE
        enters_short = (bits(program.entry_short, program, word) >> bit) & ONE
        if enters_long != enters_short and i - state.last_exit >= params.cooldown:
            allowed = params.long_allowed if enters_long else params.short_allowed
            own_exit = program.exit_long if enters_long else program.exit_short
            if allowed and not (bits(own_exit, program, word) >> bit) & ONE:
                state.order = 1 if enters_long else -1
        return
    if held > 0:
        same, against = program.entry_long, program.entry_short
        own_exit, against_exit = program.exit_long, program.exit_short
        allowed = params.short_allowed
    else:
        same, against = program.entry_short, program.entry_long
        own_exit, against_exit = program.exit_short, program.exit_long
        allowed = params.long_allowed
    if (
        (bits(against, program, word) >> bit) & ONE
        and not (bits(same, program, word) >> bit) & ONE
        and not (bits(against_exit, program, word) >> bit) & ONE
    ):
        state.order = -held if allowed and params.cooldown == 0 else CLOSE_ORDER
        state.order_reason = exit_reasons.REVERSAL
    elif (bits(own_exit, program, word) >> bit) & ONE:
        state.order = CLOSE_ORDER
        state.order_reason = exit_reasons.EXIT
    elif i - state.held_from + 1 >= params.max_bars and not state.carried:
        state.order = CLOSE_ORDER
        state.order_reason = exit_reasons.MAX_BARS
