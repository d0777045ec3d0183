"""Step 4 of the contract: financing, marked equity, drawdown and ruin at the close."""

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel.bars import bar_at, day_of
from forge_core.engine.kernel.fills import slipped
from forge_core.engine.kernel.ledger import close_position
from forge_core.engine.kernel.levels import margin_call_price
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import float64_at


@compiled
def mark_close(state, params, bars, output, i):
    """Charge financing and mark equity at the close of bar ``i``; close the position at the last bar and at ruin."""
    equity = state.balance
    ended = False
    if state.side != 0:
        close = bar_at(bars, i).close
        state.exposed += 1
        if output.equity_curve != 0:
            _widen_excursions(state, bars, i)
        _charge_financing(state, params, bars, i, close)
        equity = state.balance + state.exposure * (close - state.entry)
        if equity <= 0.0 or i == params.end - 1:
            ended = True
            reason = exit_reasons.END_OF_DATA if i == params.end - 1 else exit_reasons.RUIN
            price = slipped(close, -state.side, params)
            exit_time = bar_at(bars, i).time + params.bar_microseconds
            close_position(state, params, output, price, 0.0, exit_time, i - state.entry_bar + 1, reason)
            equity = state.balance
    if equity <= 0.0 or (ended and i < params.end - 1):
        state.ruined = 1
    if equity >= state.peak:
        if i - 1 > state.peak_bar:
            state.longest = max(state.longest, bar_at(bars, i - 1).time - bar_at(bars, state.peak_bar).time)
        state.peak = equity
        state.peak_bar = i
    else:
        state.max_drawdown = max(state.max_drawdown, (state.peak - equity) / state.peak)
    state.day = day_of(bars, state.day, i)
    float64_at(output.day_equity, bars.days)[state.day] = equity
    if output.equity_curve != 0:
        float64_at(output.equity_curve, bars.size)[i] = equity


@compiled
def _widen_excursions(state, bars, i):
    """Extend the worst and the best price of the trade to the range of bar ``i``."""
    rise = bar_at(bars, i).high - state.entry
    fall = bar_at(bars, i).low - state.entry
    state.best = max(state.best, rise if state.side > 0 else -fall)
    state.worst = min(state.worst, fall if state.side > 0 else -rise)


@compiled
def _charge_financing(state, params, bars, i, close):
    """Charge borrow and funding of bar ``i``; they move the price of a margin call."""
    borrow = params.borrow_per_microsecond
    if state.side < 0 and borrow > 0.0:
        bar, time = params.bar_microseconds, bar_at(bars, i).time
        since = time if i == state.entry_bar else bar_at(bars, i - 1).time + bar
        charge = borrow * state.quantity * params.multiplier * abs(close) * (time + bar - since)
        state.balance -= charge
        state.financing += charge
    if bars.pays_funding:
        rate = bar_at(bars, i).funding
        if rate != 0.0:
            charge = state.exposure * close * rate
            state.balance -= charge
            state.financing += charge
    if params.watches_equity and (borrow > 0.0 or bars.pays_funding):
        state.liquidation = margin_call_price(state, params)
