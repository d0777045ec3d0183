"""Closing of a position: the trade's record, the accumulators, the balance."""

import numpy as np

from forge_core.engine.kernel.fills import commission
from forge_core.metrics.accumulators import accumulators_at
from forge_core.metrics.trade import trades_at
from forge_core.simd.compiled import compiled


@compiled
def close_position(state, params, output, price, fee, exit_time, bars_held, reason):
    """Close the position at fill ``price``: record the trade while rows are left, and add the result to the balance.

    The entry's commission and the financing were deducted from the balance before; ``fee`` is added to the exit's
    commission.
    """
    sums = accumulators_at(output.accumulators)
    side, quantity, entry, multiplier = state.side, state.quantity, state.entry, params.multiplier
    gross = side * quantity * multiplier * (price - entry)
    exit_commission = commission(price, quantity, params) + fee
    paid = state.commission + exit_commission
    financing = state.financing
    net = gross - paid - financing
    notional = quantity * multiplier * abs(entry)
    share = net / notional if notional > 0.0 else 0.0
    if sums.trades < output.rows:
        trade = trades_at(output.trades, output.rows)[sums.trades]
        trade.entry_time = state.entry_time
        trade.entry_price = entry
        trade.exit_time = exit_time
        trade.exit_price = price
        trade.side = side
        trade.quantity = quantity
        trade.exit_reason = reason
        trade.bars_held = bars_held
        trade.gross_pnl = gross
        trade.commission = paid
        trade.financing = financing
        trade.net_pnl = net
        trade.return_pct = 100.0 * share
        last = side * (price - entry)
        base = 100.0 / abs(entry) if entry != 0.0 else 0.0
        trade.mae = min(0.0, state.worst, last) * base
        trade.mfe = max(0.0, state.best, last) * base
        trade.switch = state.switch
    sums.trades += 1
    if net > 0.0:
        sums.wins += 1
        sums.gross_profit += net
    elif net < 0.0:
        sums.losses += 1
        sums.gross_loss += net
    sums.return_sum += share
    sums.points_sum += side * (price - entry)
    margin = params.initial_margin * quantity
    sums.margin_sum += net / margin if margin > 0.0 else np.nan
    sums.bars_held += bars_held
    sums.turnover += quantity * multiplier * abs(price)
    sums.commission += paid
    sums.financing += financing
    state.balance += gross - exit_commission
    state.side = 0
