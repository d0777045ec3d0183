"""The backtest kernel: one pass over the bars, in the steps of docs/fill_contract.md.

The position is kept in local variables. Rule results are read where they can matter, and quiet bars are skipped,
flat or in a position (``engine.kernel.fast_forward``). Allocations do not grow with the number of bars.
"""

import numpy as np

from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel import params as p
from forge_core.engine.kernel.fast_forward import advance_position, day_of, next_entry
from forge_core.engine.kernel.fills import (
    book_trade,
    commission,
    distance,
    position_size,
    slipped,
    to_tick,
    trailing_level,
    unit_margin,
)
from forge_core.engine.kernel.layout import P_BEST, P_COMMISSION, P_FINANCING, P_WORST
from forge_core.engine.signals.evaluator import ENTRY_LONG, ENTRY_SHORT, EXIT_LONG, EXIT_SHORT, bits
from forge_core.feeds.feed import CLOSE, DAY_END, DAY_INDEX, DAYS, FUNDING, HIGH, LOW, OPEN, ROLLS, TIME, VOLUME
from forge_core.metrics import accumulators as acc
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import LANES_SHIFT, ONE, VALUE_BYTES
from forge_core.simd.memory import address_of, float64_at, int32_at, int64_at, uint8_at, unowned_view

NO_ORDER, CLOSE_ORDER = 0, 2  # +1 and -1 enter long and short
DAY_MICROSECONDS = 86_400e6


@compiled
def _liquidation_price(side, entry, margin_price, maintenance):
    """Return the price at which isolated margin no longer covers maintenance, or an infinity that is never reached."""
    if maintenance <= 0.0:
        return -side * np.inf
    if side > 0:
        return (entry - margin_price) / (1.0 - maintenance)
    return (entry + margin_price) / (1.0 + maintenance)


@compiled
def _margin_call_price(side, entry, exposure, balance, maintenance, params):
    """Return the price, rounded to the tick like a stop, at which equity equals ``maintenance``, money."""
    return to_tick(entry + (maintenance - balance) / exposure, -side, params)


@compiled
def _settle_ambiguous(i, side, adverse, target, reach, open_, close, time, bar, policy, finer, finer_size):
    """Settle a bar that touches the adverse level and ``reach``, the price at which ``target`` fills.

    Return whether the adverse level fills, and the price of the fill before slippage.
    """
    if policy == p.OHLC_PATH:
        rises = close[i] >= open_[i]
        return (True, adverse) if rises == (side > 0) else (False, target)
    if policy == p.REPLAY:
        finer_time = int64_at(finer[TIME], finer_size)
        finer_open = float64_at(finer[OPEN], finer_size)
        finer_high = float64_at(finer[HIGH], finer_size)
        finer_low = float64_at(finer[LOW], finer_size)
        k = np.searchsorted(finer_time, time[i])
        while k < finer_size and finer_time[k] < time[i] + bar:
            first = finer_open[k]
            best = finer_high[k] if side > 0 else finer_low[k]
            worst = finer_low[k] if side > 0 else finer_high[k]
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


@compiled
def run_backtest(
    params, plan, atr, bars, size, finer, finer_size,
    position, accumulators, day_equity, equity_curve, trade_floats, trade_integers,
):  # fmt: skip
    """Run one backtest and fill the output arrays.

    Inputs: ``params``, the parameter vector; ``plan`` and ``atr``, the linked Play (``engine.signals.program``);
    ``bars``, the addresses of the columns of ``size`` bars (``feeds.feed``; 0: no rolls, no funding); ``finer``, those
    of the finer bars; ``position`` (``POSITION_FLOATS``), scratch.

    Outputs: ``accumulators`` (``ACCUMULATORS_SIZE``); ``day_equity``, equity at the last close of each trade date;
    ``equity_curve``, equity at each close from ``start`` on, or empty; ``trade_floats`` and ``trade_integers``, the
    first trades, one per row.
    """
    params_at, plan_at, bars_at = address_of(params), address_of(plan), address_of(bars)
    accumulators_at, position_at, marks_at = address_of(accumulators), address_of(position), address_of(day_equity)
    floats_at, integers_at, rows = address_of(trade_floats), address_of(trade_integers), trade_floats.shape[0]
    params, atr, bars, finer = unowned_view(params), unowned_view(atr), unowned_view(bars), unowned_view(finer)
    position, accumulators, day_equity = unowned_view(position), unowned_view(accumulators), unowned_view(day_equity)
    time = int64_at(bars[TIME], size)
    open_ = float64_at(bars[OPEN], size)
    high = float64_at(bars[HIGH], size)
    low = float64_at(bars[LOW], size)
    close = float64_at(bars[CLOSE], size)
    day_index = int32_at(bars[DAY_INDEX], size)
    day_end = int32_at(bars[DAY_END], bars[DAYS])
    rolls = uint8_at(bars[ROLLS], size if bars[ROLLS] != 0 else 0)
    funding = float64_at(bars[FUNDING], size if bars[FUNDING] != 0 else 0)
    start = int(params[p.START])
    first_signal = int(params[p.FIRST_SIGNAL])
    multiplier = params[p.MULTIPLIER]
    bar = int(params[p.BAR_MICROSECONDS])
    cooldown = int(params[p.COOLDOWN])
    policy = int(params[p.POLICY])
    trail_kind = int(params[p.TRAIL_KIND])
    trail_value = params[p.TRAIL_VALUE]
    roll_at_open = rolls.size > 0 and params[p.ROLL_MODE] == p.PREV_OPEN
    roll_at_close = rolls.size > 0 and params[p.ROLL_MODE] == p.PREV_CLOSE
    rollover = params[p.ROLLOVER] != 0.0
    borrow = params[p.BORROW_PER_MICROSECOND]
    watches_equity = params[p.WATCHES_EQUITY] != 0.0
    is_financed = borrow > 0.0 or funding.size > 0
    calm = rolls.size == 0 and funding.size == 0  # no rolls and no funding
    keeps_curve = equity_curve.size > 0
    curve_at = address_of(equity_curve) - start * VALUE_BYTES if keeps_curve else 0  # address of bar 0
    curve = float64_at(curve_at, size)

    accumulators[:] = 0.0
    balance = params[p.CASH]

    side = 0  # of the position held; 0 is flat
    quantity = entry = exposure = 0.0  # exposure = side x quantity x multiplier
    stop = target = extreme = trail = liquidation = bankruptcy = 0.0
    reach = 0.0  # the price at which the target fills
    trailing = 0.0  # the trailing stop
    entry_bar = held_from = 0
    entry_time = np.int64(0)
    switch = 0
    pending = 0  # side to open again after a roll
    carried = False  # whether ``pending`` is an entry order deferred by a roll
    left_at = 0.0  # exit price of the old contract
    order = NO_ORDER
    order_reason = exit_reasons.EXIT
    last_exit = -(10**9)
    peak = balance
    peak_bar = start
    max_drawdown = 0.0
    longest = np.int64(0)
    exposed = 0
    ambiguous = 0
    rejected = 0
    capped = 0
    ruined = False
    day = np.int64(day_index[start])
    first_day, last_day = day, np.int64(day_index[size - 1])
    day_equity[first_day : last_day + 1] = np.nan  # marks trade dates that are skipped
    i = start
    while i < size:
        ended = False
        # 1. Roll
        if roll_at_close and rolls[i] and side != 0:
            price = slipped(close[i - 1], -side, params)
            balance += book_trade(
                accumulators_at, floats_at, integers_at, rows, position_at, side, quantity, entry, price, 0.0,
                entry_time, time[i - 1] + bar, i - entry_bar, exit_reasons.ROLL, 1, params_at,
            )  # fmt: skip
            left_at = close[i - 1]
            pending = side if rollover else 0
            side = 0
            last_exit = i - 1

        equity = balance + exposure * (open_[i] - entry) if side != 0 else balance
        if equity <= 0.0 and (side == 0 or params[p.MAINTENANCE] == 0.0):
            if side != 0:
                price = slipped(open_[i], -side, params)
                balance += book_trade(
                    accumulators_at, floats_at, integers_at, rows, position_at, side, quantity, entry, price, 0.0,
                    entry_time, time[i], i - entry_bar, exit_reasons.RUIN, switch, params_at,
                )  # fmt: skip
                side = 0
            ruined = True
            break

        if roll_at_open and i + 1 < size and rolls[i + 1]:
            if side != 0:
                price = slipped(open_[i], -side, params)
                balance += book_trade(
                    accumulators_at, floats_at, integers_at, rows, position_at, side, quantity, entry, price, 0.0,
                    entry_time, time[i], i - entry_bar, exit_reasons.ROLL, 1, params_at,
                )  # fmt: skip
                left_at = open_[i]
                pending = side if rollover and order != CLOSE_ORDER and order != -side else 0
                side = 0
                last_exit = i
            elif pending != 0 and (order == CLOSE_ORDER or order == -pending):
                pending = 0
                carried = False
            if order == 1 or order == -1:  # it fills at the new contract's first open
                carried = rollover
                pending = order if rollover else 0
                if not rollover:
                    rejected += 1
            order = NO_ORDER
        else:
            # 2. Open
            opens = 0
            if order != NO_ORDER:
                if side != 0:
                    if params[p.MAINTENANCE] > 0.0 and side * (open_[i] - liquidation) <= 0.0:
                        price = max(open_[i], bankruptcy) if side > 0 else min(open_[i], bankruptcy)
                        fee = quantity * multiplier * abs(price) * params[p.LIQUIDATION_FEE]
                        order_reason = exit_reasons.LIQUIDATION
                    else:
                        price = slipped(open_[i], -side, params)
                        fee = 0.0
                    balance += book_trade(
                        accumulators_at, floats_at, integers_at, rows, position_at, side, quantity, entry, price, fee,
                        entry_time, time[i], i - entry_bar, order_reason, switch, params_at,
                    )  # fmt: skip
                    last_exit = i
                    side = 0
                pending = 0
                carried = False
                if order != CLOSE_ORDER:
                    opens = order
                order = NO_ORDER
            elif pending != 0:
                opens = pending
            if opens != 0:
                price = slipped(open_[i], opens, params)
                fresh = pending == 0 or carried
                if fresh:
                    stop_distance = distance(int(params[p.STOP_KIND]), params[p.STOP_VALUE], price, atr[0], size, i)
                    target_distance = distance(
                        int(params[p.TARGET_KIND]), params[p.TARGET_VALUE], price, atr[1], size, i
                    )
                    trail = distance(trail_kind, trail_value, price, atr[2], size, i)
                    has_levels = (
                        (params[p.STOP_KIND] == p.NO_DISTANCE or stop_distance > 0.0)
                        and (params[p.TARGET_KIND] == p.NO_DISTANCE or target_distance > 0.0)
                        and (trail_kind == p.NO_DISTANCE or trail > 0.0)
                    )
                    stop = price - opens * stop_distance if params[p.STOP_KIND] != p.NO_DISTANCE else -opens * np.inf
                    target = (
                        price + opens * target_distance if params[p.TARGET_KIND] != p.NO_DISTANCE else opens * np.inf
                    )
                    extreme = price
                    held_from = i
                else:
                    shift = open_[i] - left_at
                    stop += shift
                    target += shift
                    extreme += shift
                reach = target
                if params[p.STOP_KIND] != p.NO_DISTANCE:
                    stop = to_tick(stop, -opens, params)
                if params[p.TARGET_KIND] != p.NO_DISTANCE:
                    target = to_tick(target, opens, params)
                    reach = to_tick(target + opens * params[p.TARGET_BEYOND], opens, params)
                trailing = -opens * np.inf
                if trail_kind != p.NO_DISTANCE:
                    trailing = trailing_level(
                        opens, extreme, trail_kind, trail_value if trail_kind == p.PERCENT else trail, params
                    )
                if fresh:
                    if params[p.TICK_DENOMINATOR] != 0.0 and params[p.STOP_KIND] != p.NO_DISTANCE:
                        stop_distance = opens * (price - stop)
                    quantity = 0.0
                    if has_levels:
                        capacity = np.inf
                        if params[p.VOLUME_SHARE] < np.inf:
                            capacity = params[p.VOLUME_SHARE] * float64_at(bars[VOLUME], size)[i]
                        quantity, cut = position_size(balance, price, stop_distance, capacity, params)
                        capped += cut
                    if quantity == 0.0:
                        rejected += 1
                pending = 0
                carried = False
                if quantity > 0.0:
                    side = opens
                    entry = price
                    entry_bar = i
                    entry_time = time[i]
                    switch = 0 if fresh else 1
                    exposure = side * quantity * multiplier
                    margin_price = unit_margin(entry, params) / multiplier
                    liquidation = _liquidation_price(side, entry, margin_price, params[p.MAINTENANCE])
                    bankruptcy = entry - side * margin_price
                    position[P_COMMISSION] = commission(entry, quantity, params)
                    position[P_FINANCING] = 0.0
                    position[P_WORST] = 0.0
                    position[P_BEST] = 0.0
                    balance -= position[P_COMMISSION]
                    if watches_equity:
                        liquidation = _margin_call_price(
                            side, entry, exposure, balance, quantity * params[p.MAINTENANCE_MONEY], params
                        )
                    accumulators[acc.TURNOVER] += quantity * multiplier * abs(entry)

            # 3. Inside the bar
            if side != 0:
                if side > 0:
                    adverse = max(stop, trailing, liquidation)
                    hits_adverse = low[i] <= adverse
                    hits_target = high[i] >= reach
                else:
                    adverse = min(stop, trailing, liquidation)
                    hits_adverse = high[i] >= adverse
                    hits_target = low[i] <= reach
                if hits_adverse or hits_target:
                    if side * (open_[i] - adverse) <= 0.0:
                        fires, price = True, open_[i]
                    elif side * (open_[i] - reach) >= 0.0:
                        fires, price = False, open_[i]
                    elif hits_adverse and hits_target:
                        ambiguous += 1
                        fires, price = _settle_ambiguous(
                            i, side, adverse, target, reach, open_, close, time, bar, policy, finer, finer_size
                        )
                    elif hits_adverse:
                        fires, price = True, adverse
                    else:
                        fires, price = False, target
                    fee = 0.0
                    reason = exit_reasons.TAKE_PROFIT
                    if fires:
                        if adverse == stop:
                            reason = exit_reasons.STOP
                        elif adverse == trailing:
                            reason = exit_reasons.TRAILING_STOP
                        elif watches_equity and params[p.MAINTENANCE_MONEY] == 0.0:
                            reason = exit_reasons.RUIN
                            ruined = True
                        else:
                            reason = exit_reasons.LIQUIDATION
                        if reason != exit_reasons.LIQUIDATION or watches_equity:
                            price = slipped(price, -side, params)
                        else:
                            price = max(price, bankruptcy) if side > 0 else min(price, bankruptcy)
                        if reason == exit_reasons.LIQUIDATION:
                            fee = quantity * multiplier * abs(price) * params[p.LIQUIDATION_FEE]
                    balance += book_trade(
                        accumulators_at, floats_at, integers_at, rows, position_at, side, quantity, entry, price, fee,
                        entry_time, time[i], i - entry_bar + 1, reason, switch, params_at,
                    )  # fmt: skip
                    side = 0
                    last_exit = i
                else:
                    best = high[i] if side > 0 else low[i]
                    if trail_kind != p.NO_DISTANCE and side * (best - extreme) > 0.0:
                        extreme = best
                        trailing = trailing_level(
                            side, extreme, trail_kind, trail_value if trail_kind == p.PERCENT else trail, params
                        )

        # 4. Close
        equity = balance
        if side != 0:
            exposed += 1
            if keeps_curve:
                best = (high[i] - entry) if side > 0 else (entry - low[i])
                worst = (low[i] - entry) if side > 0 else (entry - high[i])
                position[P_BEST] = max(position[P_BEST], best)
                position[P_WORST] = min(position[P_WORST], worst)
            if side < 0 and borrow > 0.0:
                since = time[i] if i == entry_bar else time[i - 1] + bar
                charge = borrow * quantity * multiplier * abs(close[i]) * (time[i] + bar - since)
                balance -= charge
                position[P_FINANCING] += charge
            if funding.size > 0 and funding[i] != 0.0:
                charge = exposure * close[i] * funding[i]
                balance -= charge
                position[P_FINANCING] += charge
            if watches_equity and is_financed:
                liquidation = _margin_call_price(
                    side, entry, exposure, balance, quantity * params[p.MAINTENANCE_MONEY], params
                )
            equity = balance + exposure * (close[i] - entry)
            if equity <= 0.0 or i == size - 1:
                ended = True
                reason = exit_reasons.END_OF_DATA if i == size - 1 else exit_reasons.RUIN
                price = slipped(close[i], -side, params)
                balance += book_trade(
                    accumulators_at, floats_at, integers_at, rows, position_at, side, quantity, entry, price, 0.0,
                    entry_time, time[i] + bar, i - entry_bar + 1, reason, switch, params_at,
                )  # fmt: skip
                side = 0
                equity = balance
        if equity <= 0.0 or (ended and i < size - 1):
            ruined = True
        if equity >= peak:
            if i - 1 > peak_bar:
                longest = max(longest, time[i - 1] - time[peak_bar])
            peak = equity
            peak_bar = i
        else:
            max_drawdown = max(max_drawdown, (peak - equity) / peak)
        day = day_of(day_end, day, i)
        day_equity[day] = equity
        if keeps_curve:
            curve[i] = equity
        if ruined:
            i += 1
            break
        # 5. Signals at the close; then fast forward to the next close at which a rule for this state is true
        while i < size - 1:
            word = i >> LANES_SHIFT
            bit = np.uint64(i - (word << LANES_SHIFT))
            holding = side if side != 0 else pending
            if i < first_signal:
                pass
            elif holding == 0:
                enters_long = (bits(plan_at, ENTRY_LONG, word) >> bit) & ONE
                enters_short = (bits(plan_at, ENTRY_SHORT, word) >> bit) & ONE
                if enters_long != enters_short and i - last_exit >= cooldown:
                    allowed = params[p.LONG_ALLOWED] if enters_long else params[p.SHORT_ALLOWED]
                    own_exit = EXIT_LONG if enters_long else EXIT_SHORT
                    if allowed != 0.0 and not (bits(plan_at, own_exit, word) >> bit) & ONE:
                        order = 1 if enters_long else -1
            else:
                against = ENTRY_SHORT if holding > 0 else ENTRY_LONG
                same = ENTRY_LONG if holding > 0 else ENTRY_SHORT
                own_exit = EXIT_LONG if holding > 0 else EXIT_SHORT
                against_exit = EXIT_SHORT if holding > 0 else EXIT_LONG
                if (
                    (bits(plan_at, against, word) >> bit) & ONE
                    and not (bits(plan_at, same, word) >> bit) & ONE
                    and not (bits(plan_at, against_exit, word) >> bit) & ONE
                ):
                    allowed = params[p.SHORT_ALLOWED] if holding > 0 else params[p.LONG_ALLOWED]
                    order = -holding if allowed != 0.0 and cooldown == 0 else CLOSE_ORDER
                    order_reason = exit_reasons.REVERSAL
                elif (bits(plan_at, own_exit, word) >> bit) & ONE:
                    order = CLOSE_ORDER
                    order_reason = exit_reasons.EXIT
                elif i - held_from + 1 >= params[p.MAX_BARS] and not carried:
                    order = CLOSE_ORDER
                    order_reason = exit_reasons.MAX_BARS
            if order != NO_ORDER or pending != 0 or i >= size - 2:
                break

            if side == 0:  # nothing changes until the next entry rule is true
                resume = next_entry(plan_at, bars_at, max(i + 1, first_signal), size - 1)
                last = min(resume, size - 2)
                if keeps_curve:
                    curve[i + 1 : last + 1] = balance
                if balance >= peak:
                    peak_bar = last
                i = last
                if resume == size - 1:
                    break
            elif calm and i >= first_signal:
                against = ENTRY_SHORT if side > 0 else ENTRY_LONG
                own_exit = EXIT_LONG if side > 0 else EXIT_SHORT
                floor = max(stop, liquidation) if side > 0 else reach
                ceiling = reach if side > 0 else min(stop, liquidation)
                charge = borrow * quantity * multiplier if side < 0 else 0.0
                limit = size - 1
                if params[p.MAX_BARS] < limit:
                    limit = min(limit, held_from + int(params[p.MAX_BARS]))
                reached = i + 1
                signal, i, balance, extreme, peak, peak_bar, max_drawdown, longest = advance_position(
                    plan_at, against, own_exit, bars_at, size, reached, limit, side, entry, exposure, balance,
                    floor, ceiling, extreme, trail_kind, trail_value if trail_kind == p.PERCENT else trail,
                    params_at, charge, peak, peak_bar, max_drawdown, longest, position_at, day,
                    marks_at, curve_at,
                )  # fmt: skip
                if trail_kind != p.NO_DISTANCE:
                    trailing = trailing_level(
                        side, extreme, trail_kind, trail_value if trail_kind == p.PERCENT else trail, params
                    )
                if watches_equity and charge > 0.0:
                    liquidation = _margin_call_price(
                        side, entry, exposure, balance, quantity * params[p.MAINTENANCE_MONEY], params
                    )
                exposed += i - reached
                i -= 1
                if not signal and i + 1 < limit:
                    break
            else:
                break
        i += 1

    # After ruin equity is constant; an open drawdown lasts to the last close
    if ruined:
        if i < size:
            day_equity[day_of(day_end, day, i)] = balance
        if keeps_curve:
            curve[i:size] = balance
        max_drawdown = max(max_drawdown, (peak - balance) / peak)
    before = params[p.CASH]
    for flat_day in range(first_day, last_day + 1):  # trade dates skipped while flat
        if np.isnan(day_equity[flat_day]):
            day_equity[flat_day] = before
        before = day_equity[flat_day]
    if size - 1 > peak_bar:
        longest = max(longest, time[size - 1] - time[peak_bar])
    accumulators[acc.EXPOSED] = exposed
    accumulators[acc.BARS] = size - start
    accumulators[acc.AMBIGUOUS] = ambiguous
    accumulators[acc.INITIAL] = params[p.CASH]
    accumulators[acc.FINAL] = balance
    accumulators[acc.MAX_DRAWDOWN] = max_drawdown
    accumulators[acc.LONGEST_DRAWDOWN] = longest / DAY_MICROSECONDS
    accumulators[acc.RUINED] = ruined
    accumulators[acc.REJECTED] = rejected
    accumulators[acc.VOLUME_CAPPED] = capped
