"""The backtest kernel: one pass over the bars, written from docs/fill_contract.md step by step.

It holds the position in local variables, asks for a block of rule results only when that group can matter, and jumps
over the bars of a flat stretch. Nothing it allocates grows with the bars.
"""

import numpy as np

from forge_core.compiled import compiled
from forge_core.engine import reasons as rs
from forge_core.engine import settings as st
from forge_core.engine.orders import (
    P_BEST,
    P_COMMISSION,
    P_FINANCING,
    P_WORST,
    book_trade,
    commission,
    distance,
    position_size,
    slipped,
    unit_margin,
)
from forge_core.engine.pointers import borrowed, float64_at, int32_at, int64_at, uint8_at
from forge_core.engine.rules import (
    BLOCK,
    ENTRY_LONG,
    ENTRY_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    evaluate_block,
)
from forge_core.metrics import tally as tl

TIME, OPEN, HIGH, LOW, CLOSE, DAY_INDEX, ROLLS, FUNDING = range(8)  # entries of `bars`
NO_ORDER, CLOSE_ORDER = 0, 2  # +1 and -1 enter long and short
DAY_MICROSECONDS = 86_400e6


@compiled
def _load_block(group, block, codes, a, b, values, bounds, size, ready, masks, stack):
    """Evaluate rule group ``group`` on ``block``: ``masks[group * BLOCK + j]`` is 1 where it is true."""
    begin = block * BLOCK
    end = min(begin + BLOCK, size)
    mask = masks[group * BLOCK : (group + 1) * BLOCK]
    if bounds[group] != bounds[group + 1]:
        evaluate_block(codes, a, b, values, bounds[group], bounds[group + 1], size, begin, end, stack, mask)
    ready[group] = block


@compiled
def _next_entry(i, limit, codes, a, b, values, bounds, size, ready, masks, stack):
    """Return the first bar from ``i`` on, below ``limit``, at which an entry rule is true, or ``limit``."""
    while i < limit:
        block = i // BLOCK
        if ready[ENTRY_LONG] != block:
            _load_block(ENTRY_LONG, block, codes, a, b, values, bounds, size, ready, masks, stack)
        if ready[ENTRY_SHORT] != block:
            _load_block(ENTRY_SHORT, block, codes, a, b, values, bounds, size, ready, masks, stack)
        begin = block * BLOCK
        long_mask = masks[ENTRY_LONG * BLOCK : (ENTRY_LONG + 1) * BLOCK]
        short_mask = masks[ENTRY_SHORT * BLOCK : (ENTRY_SHORT + 1) * BLOCK]
        for j in range(i - begin, min(BLOCK, limit - begin)):
            if long_mask[j] | short_mask[j]:
                return begin + j
        i = begin + BLOCK
    return limit


@compiled
def _liquidation_price(side, entry, margin_price, maintenance):
    """Return the price at which isolated margin no longer covers maintenance, or an infinity that never fires."""
    if maintenance <= 0.0:
        return -side * np.inf
    if side > 0:
        return (entry - margin_price) / (1.0 - maintenance)
    return (entry + margin_price) / (1.0 + maintenance)


@compiled
def _settle_ambiguous(i, side, adverse, target, open_, close, time, bar, policy, finer, finer_size):
    """Decide a bar that touches both levels: return (whether the adverse one fills, its price before slippage)."""
    if policy == st.OHLC_PATH:
        rises = close[i] >= open_[i]
        return (True, adverse) if rises == (side > 0) else (False, target)
    if policy == st.REPLAY:
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
            if side * (first - target) >= 0.0:
                return False, first
            if side * (worst - adverse) <= 0.0:
                return True, adverse
            if side * (best - target) >= 0.0:
                return False, target
            k += 1
    return True, adverse


@compiled
def _hold(
    i, limit, side, entry, exposure, balance, floor, ceiling, extreme, trail_kind, trail, charge,
    peak, peak_bar, max_drawdown, longest, time, high, low, close, day_index, masks, against, own_exit,
    position, day_equity, equity_curve, start, keeps_trades,
):  # fmt: skip
    """Carry a position from bar ``i`` to the first bar below ``limit`` at which something may happen.

    Return that bar and the state at its open. On the bars before it steps 3 and 4 of the contract come to this: no
    level is touched, no rule is true, financing is charged, equity is marked. ``against`` and ``own_exit`` lead from a
    bar to its place in ``masks``. A function of its own, so that the loop's values stay in registers.
    """
    moved = True
    lower = floor
    upper = ceiling
    while i < limit:
        k = np.uint64(i)  # unsigned: no test for a negative index
        if moved and trail_kind != st.NO_DISTANCE:
            trailing = extreme - side * (trail * abs(extreme) if trail_kind == st.PERCENT else trail)
            if side > 0:
                lower = max(floor, trailing)
            else:
                upper = min(ceiling, trailing)
        best = high[k] if side > 0 else low[k]
        worst = low[k] if side > 0 else high[k]
        paid = charge * abs(close[k]) * (time[k] - time[k - np.uint64(1)]) if charge > 0.0 else 0.0
        if (
            low[k] <= lower
            or high[k] >= upper
            or masks[np.uint64(against + i)] | masks[np.uint64(own_exit + i)]
            or balance - paid + exposure * (worst - entry) <= 0.0
        ):
            break
        moved = best > extreme if side > 0 else best < extreme  # compared directly: this chain bounds the loop
        if moved:
            extreme = best
        if charge > 0.0:
            balance -= paid
            position[P_FINANCING] += paid
        if keeps_trades:
            position[P_BEST] = max(position[P_BEST], side * (best - entry))
            position[P_WORST] = min(position[P_WORST], side * (worst - entry))
        equity = balance + exposure * (close[k] - entry)
        if keeps_trades:
            equity_curve[i - start] = equity
        if equity >= peak:
            if i - 1 > peak_bar:
                longest = max(longest, time[i - 1] - time[peak_bar])
            peak = equity
            peak_bar = i
        elif peak - equity > max_drawdown * peak:
            max_drawdown = (peak - equity) / peak
        day_equity[np.uint64(day_index[k])] = equity
        i += 1
    return i, balance, extreme, peak, peak_bar, max_drawdown, longest


@compiled
def run_backtest(
    cfg, codes, a, b, values, bounds, atr, bars, size, finer, finer_size,
    masks, stack, ready, position, tally, day_equity, equity_curve, trade_floats, trade_integers,
):  # fmt: skip
    """Run one backtest and leave its results in the output arrays.

    ``cfg`` is the settings vector; ``codes .. atr`` the compiled Play; ``bars`` the addresses of the ``size`` bars'
    columns (``TIME .. FUNDING``, 0 for rolls or funding that do not exist) and ``finer`` those of the finer bars.
    Scratch: ``masks`` (zeroed uint8, ``4 * BLOCK``), ``stack`` (uint8, ``MAX_DEPTH, BLOCK``), ``ready`` (int64, 4),
    ``position`` (``POSITION_FLOATS``). Filled are ``tally`` (``TALLY_SIZE``), ``day_equity`` (equity at each trade
    date's last close), ``equity_curve`` (at each close from ``start`` on, unless it is empty) and as many trades as
    ``trade_floats`` and ``trade_integers`` have rows.
    """
    cfg, codes, a, b, values = borrowed(cfg), borrowed(codes), borrowed(a), borrowed(b), borrowed(values)
    bounds, atr, masks, stack = borrowed(bounds), borrowed(atr), borrowed(masks), borrowed(stack)
    ready, position = borrowed(ready), borrowed(position)
    tally, day_equity, equity_curve = borrowed(tally), borrowed(day_equity), borrowed(equity_curve)
    trade_floats, trade_integers = borrowed(trade_floats), borrowed(trade_integers)
    time = int64_at(bars[TIME], size)
    open_ = float64_at(bars[OPEN], size)
    high = float64_at(bars[HIGH], size)
    low = float64_at(bars[LOW], size)
    close = float64_at(bars[CLOSE], size)
    day_index = int32_at(bars[DAY_INDEX], size)
    rolls = uint8_at(bars[ROLLS], size if bars[ROLLS] != 0 else 0)
    funding = float64_at(bars[FUNDING], size if bars[FUNDING] != 0 else 0)
    start = int(cfg[st.START])
    first_signal = int(cfg[st.FIRST_SIGNAL])
    multiplier = cfg[st.MULTIPLIER]
    bar = int(cfg[st.BAR_MICROSECONDS])
    cooldown = int(cfg[st.COOLDOWN])
    policy = int(cfg[st.POLICY])
    trail_kind = int(cfg[st.TRAIL_KIND])
    trail_value = cfg[st.TRAIL_VALUE]
    roll_at_open = rolls.size > 0 and cfg[st.ROLL_MODE] == st.PREV_OPEN
    roll_at_close = rolls.size > 0 and cfg[st.ROLL_MODE] == st.PREV_CLOSE
    rollover = cfg[st.ROLLOVER] != 0.0
    borrow = cfg[st.BORROW_PER_MICROSECOND]
    calm = rolls.size == 0 and funding.size == 0  # nothing happens to a held position from outside
    keeps_curve = equity_curve.size > 0
    keeps_trades = trade_floats.shape[0] > 0

    ready[:] = -1
    tally[:] = 0.0
    balance = cfg[st.CASH]

    side = 0  # of the position held; 0 is flat
    quantity = entry = exposure = 0.0  # exposure = side x quantity x multiplier
    stop = target = extreme = trail = liquidation = bankruptcy = 0.0
    entry_bar = held_from = 0
    entry_time = np.int64(0)
    switch = 0
    pending = 0  # side to open again after a roll
    left_at = 0.0  # the price at which the old contract was left
    order = NO_ORDER
    order_reason = rs.EXIT
    last_exit = -(10**9)
    peak = balance
    peak_bar = start
    max_drawdown = 0.0
    longest = np.int64(0)
    exposed = 0
    ambiguous = 0
    ruined = False
    i = start
    while i < size:
        rolled = False
        ended = False
        # 1. Roll
        if roll_at_open and i + 1 < size and rolls[i + 1]:
            rolled = True
            if side != 0:
                price = slipped(open_[i], -side, cfg)
                balance += book_trade(
                    tally, trade_floats, trade_integers, position, side, quantity, entry, price, 0.0,
                    entry_time, time[i], i - entry_bar, rs.ROLL, 1, cfg,
                )  # fmt: skip
                left_at = open_[i]
                pending = side if rollover and order != CLOSE_ORDER and order != -side else 0
                side = 0
                last_exit = i
            elif pending != 0 and (order == CLOSE_ORDER or order == -pending):
                pending = 0
            order = NO_ORDER
        elif roll_at_close and rolls[i] and side != 0:
            price = slipped(close[i - 1], -side, cfg)
            balance += book_trade(
                tally, trade_floats, trade_integers, position, side, quantity, entry, price, 0.0,
                entry_time, time[i - 1] + bar, i - entry_bar, rs.ROLL, 1, cfg,
            )  # fmt: skip
            left_at = close[i - 1]
            pending = side if rollover else 0
            side = 0
            last_exit = i - 1

        # 2. Open
        if not rolled:
            equity = balance + exposure * (open_[i] - entry) if side != 0 else balance
            if equity <= 0.0 and (side == 0 or cfg[st.MAINTENANCE] == 0.0):
                if side != 0:
                    price = slipped(open_[i], -side, cfg)
                    balance += book_trade(
                        tally, trade_floats, trade_integers, position, side, quantity, entry, price, 0.0,
                        entry_time, time[i], i - entry_bar, rs.RUIN, switch, cfg,
                    )  # fmt: skip
                    side = 0
                ruined = True
                break
            opens = 0
            if order != NO_ORDER:
                if side != 0:
                    if side * (open_[i] - liquidation) <= 0.0:
                        price = max(open_[i], bankruptcy) if side > 0 else min(open_[i], bankruptcy)
                        fee = quantity * multiplier * abs(price) * cfg[st.LIQUIDATION_FEE]
                        order_reason = rs.LIQUIDATION
                    else:
                        price = slipped(open_[i], -side, cfg)
                        fee = 0.0
                    balance += book_trade(
                        tally, trade_floats, trade_integers, position, side, quantity, entry, price, fee,
                        entry_time, time[i], i - entry_bar, order_reason, switch, cfg,
                    )  # fmt: skip
                    last_exit = i
                    side = 0
                pending = 0
                if order != CLOSE_ORDER:
                    opens = order
                order = NO_ORDER
            elif pending != 0:
                opens = pending
            if opens != 0:
                price = slipped(open_[i], opens, cfg)
                fresh = pending == 0
                if fresh:
                    stop_distance = distance(int(cfg[st.STOP_KIND]), cfg[st.STOP_VALUE], price, atr[0], size, i)
                    target_distance = distance(int(cfg[st.TARGET_KIND]), cfg[st.TARGET_VALUE], price, atr[1], size, i)
                    trail = distance(trail_kind, trail_value, price, atr[2], size, i)
                    has_levels = (
                        (cfg[st.STOP_KIND] == st.NO_DISTANCE or stop_distance > 0.0)
                        and (cfg[st.TARGET_KIND] == st.NO_DISTANCE or target_distance > 0.0)
                        and (trail_kind == st.NO_DISTANCE or trail > 0.0)
                    )
                    quantity = position_size(balance, price, stop_distance, cfg) if has_levels else 0.0
                    stop = price - opens * stop_distance if cfg[st.STOP_KIND] != st.NO_DISTANCE else -opens * np.inf
                    target = (
                        price + opens * target_distance if cfg[st.TARGET_KIND] != st.NO_DISTANCE else opens * np.inf
                    )
                    extreme = price
                    held_from = i
                else:
                    shift = open_[i] - left_at
                    stop += shift
                    target += shift
                    extreme += shift
                pending = 0
                if quantity > 0.0:
                    side = opens
                    entry = price
                    entry_bar = i
                    entry_time = time[i]
                    switch = 0 if fresh else 1
                    exposure = side * quantity * multiplier
                    margin_price = unit_margin(entry, cfg) / multiplier
                    liquidation = _liquidation_price(side, entry, margin_price, cfg[st.MAINTENANCE])
                    bankruptcy = entry - side * margin_price
                    position[P_COMMISSION] = commission(entry, quantity, cfg)
                    position[P_FINANCING] = 0.0
                    position[P_WORST] = 0.0
                    position[P_BEST] = 0.0
                    balance -= position[P_COMMISSION]
                    tally[tl.TURNOVER] += quantity * multiplier * abs(entry)

            # 3. Inside the bar
            if side != 0:
                trailing = -side * np.inf
                if trail_kind == st.PERCENT:
                    trailing = extreme - side * (trail_value * abs(extreme))
                elif trail_kind != st.NO_DISTANCE:
                    trailing = extreme - side * trail
                if side > 0:
                    adverse = max(stop, trailing, liquidation)
                    hits_adverse = low[i] <= adverse
                    hits_target = high[i] >= target
                else:
                    adverse = min(stop, trailing, liquidation)
                    hits_adverse = high[i] >= adverse
                    hits_target = low[i] <= target
                if hits_adverse or hits_target:
                    if side * (open_[i] - adverse) <= 0.0:
                        fires, price = True, open_[i]
                    elif side * (open_[i] - target) >= 0.0:
                        fires, price = False, open_[i]
                    elif hits_adverse and hits_target:
                        ambiguous += 1
                        fires, price = _settle_ambiguous(
                            i, side, adverse, target, open_, close, time, bar, policy, finer, finer_size
                        )
                    elif hits_adverse:
                        fires, price = True, adverse
                    else:
                        fires, price = False, target
                    fee = 0.0
                    reason = rs.TAKE_PROFIT
                    if fires:
                        if adverse == stop:
                            reason = rs.STOP
                        elif adverse == trailing:
                            reason = rs.TRAILING_STOP
                        else:
                            reason = rs.LIQUIDATION
                        if reason == rs.LIQUIDATION:
                            price = max(price, bankruptcy) if side > 0 else min(price, bankruptcy)
                            fee = quantity * multiplier * abs(price) * cfg[st.LIQUIDATION_FEE]
                        else:
                            price = slipped(price, -side, cfg)
                    balance += book_trade(
                        tally, trade_floats, trade_integers, position, side, quantity, entry, price, fee,
                        entry_time, time[i], i - entry_bar + 1, reason, switch, cfg,
                    )  # fmt: skip
                    side = 0
                    last_exit = i
                elif side > 0:
                    extreme = max(extreme, high[i])
                else:
                    extreme = min(extreme, low[i])

        # 4. Close
        equity = balance
        if side != 0:
            exposed += 1
            if keeps_trades:
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
            equity = balance + exposure * (close[i] - entry)
            if equity <= 0.0 or i == size - 1:
                ended = True
                reason = rs.END_OF_DATA if i == size - 1 else rs.RUIN
                price = slipped(close[i], -side, cfg)
                balance += book_trade(
                    tally, trade_floats, trade_integers, position, side, quantity, entry, price, 0.0,
                    entry_time, time[i] + bar, i - entry_bar + 1, reason, switch, cfg,
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
        elif peak - equity > max_drawdown * peak:
            max_drawdown = (peak - equity) / peak
        day_equity[day_index[i]] = equity
        if keeps_curve:
            equity_curve[i - start] = equity
        if ruined:
            i += 1
            break
        if i >= first_signal and i < size - 1:
            holding = side if side != 0 else pending
            block = i // BLOCK
            j = i - block * BLOCK
            if holding == 0:
                if ready[ENTRY_LONG] != block:
                    _load_block(ENTRY_LONG, block, codes, a, b, values, bounds, size, ready, masks, stack)
                if ready[ENTRY_SHORT] != block:
                    _load_block(ENTRY_SHORT, block, codes, a, b, values, bounds, size, ready, masks, stack)
                enters_long = masks[ENTRY_LONG * BLOCK + j] != 0
                enters_short = masks[ENTRY_SHORT * BLOCK + j] != 0
                if enters_long != enters_short and i - last_exit >= cooldown:
                    allowed = cfg[st.LONG_ALLOWED] if enters_long else cfg[st.SHORT_ALLOWED]
                    exit_group = EXIT_LONG if enters_long else EXIT_SHORT
                    if ready[exit_group] != block:
                        _load_block(exit_group, block, codes, a, b, values, bounds, size, ready, masks, stack)
                    if allowed != 0.0 and masks[exit_group * BLOCK + j] == 0:
                        order = 1 if enters_long else -1
            else:
                against = ENTRY_SHORT if holding > 0 else ENTRY_LONG
                same = ENTRY_LONG if holding > 0 else ENTRY_SHORT
                exit_group = EXIT_LONG if holding > 0 else EXIT_SHORT
                if ready[against] != block:
                    _load_block(against, block, codes, a, b, values, bounds, size, ready, masks, stack)
                if ready[exit_group] != block:
                    _load_block(exit_group, block, codes, a, b, values, bounds, size, ready, masks, stack)
                reverses = masks[against * BLOCK + j] != 0
                if reverses:
                    against_exit = EXIT_SHORT if holding > 0 else EXIT_LONG
                    if ready[same] != block:
                        _load_block(same, block, codes, a, b, values, bounds, size, ready, masks, stack)
                    if ready[against_exit] != block:
                        _load_block(against_exit, block, codes, a, b, values, bounds, size, ready, masks, stack)
                    reverses = masks[same * BLOCK + j] == 0 and masks[against_exit * BLOCK + j] == 0
                if reverses:
                    allowed = cfg[st.SHORT_ALLOWED] if holding > 0 else cfg[st.LONG_ALLOWED]
                    order = -holding if allowed != 0.0 and cooldown == 0 else CLOSE_ORDER
                    order_reason = rs.REVERSAL
                elif masks[exit_group * BLOCK + j] != 0:
                    order = CLOSE_ORDER
                    order_reason = rs.EXIT
                elif i - held_from + 1 >= cfg[st.MAX_BARS]:
                    order = CLOSE_ORDER
                    order_reason = rs.MAX_BARS
        i += 1

        # A flat stretch changes nothing until the next entry signal: jump there
        if side == 0 and pending == 0 and order == NO_ORDER and i < size - 1:
            resume = _next_entry(max(i, first_signal), size - 1, codes, a, b, values, bounds, size, ready, masks, stack)
            if resume > i:
                for day in range(day_index[i], day_index[resume - 1] + 1):
                    day_equity[day] = balance
                if keeps_curve:
                    equity_curve[i - start : resume - start] = balance
                if balance >= peak:
                    peak_bar = resume - 1
                i = resume

        # A held stretch only moves equity until a level or a rule of this side is met, time is up or money may run out
        elif side != 0 and order == NO_ORDER and calm and i > first_signal:
            against = ENTRY_SHORT if side > 0 else ENTRY_LONG
            own_exit = EXIT_LONG if side > 0 else EXIT_SHORT
            floor = max(stop, liquidation) if side > 0 else target
            ceiling = target if side > 0 else min(stop, liquidation)
            charge = borrow * quantity * multiplier if side < 0 else 0.0
            limit = size - 1
            if cfg[st.MAX_BARS] < limit:
                limit = min(limit, held_from + int(cfg[st.MAX_BARS]) - 1)
            while i < limit:
                block = i // BLOCK
                if ready[against] != block:
                    _load_block(against, block, codes, a, b, values, bounds, size, ready, masks, stack)
                if ready[own_exit] != block:
                    _load_block(own_exit, block, codes, a, b, values, bounds, size, ready, masks, stack)
                block_end = min(limit, (block + 1) * BLOCK)
                quiet_end, balance, extreme, peak, peak_bar, max_drawdown, longest = _hold(
                    i, block_end, side, entry, exposure, balance, floor, ceiling, extreme, trail_kind,
                    trail_value if trail_kind == st.PERCENT else trail, charge, peak, peak_bar, max_drawdown, longest,
                    time, high, low, close, day_index, masks, against * BLOCK - block * BLOCK,
                    own_exit * BLOCK - block * BLOCK, position, day_equity, equity_curve, start, keeps_trades,
                )  # fmt: skip
                exposed += quiet_end - i
                i = quiet_end
                if i < block_end:
                    break

    # After ruin equity stays where it is; a drawdown that never ended lasts to the last close
    if ruined:
        for k in range(i, size):
            day_equity[day_index[k]] = balance
            if keeps_curve:
                equity_curve[k - start] = balance
        if peak - balance > max_drawdown * peak:
            max_drawdown = (peak - balance) / peak
    if size - 1 > peak_bar:
        longest = max(longest, time[size - 1] - time[peak_bar])
    tally[tl.EXPOSED] = exposed
    tally[tl.BARS] = size - start
    tally[tl.AMBIGUOUS] = ambiguous
    tally[tl.INITIAL] = cfg[st.CASH]
    tally[tl.FINAL] = balance
    tally[tl.MAX_DRAWDOWN] = max_drawdown
    tally[tl.LONGEST_DRAWDOWN] = longest / DAY_MICROSECONDS
    tally[tl.RUINED] = ruined
