"""Fast forward over quiet bars, 64 at a time: bars without a signal, fill or touched level.

Each function gives the state that the steps of docs/fill_contract.md give bar by bar, to the last bit. A function of
one price that rounds at each step is still monotone in that price: an event that does not occur at the extreme of some
bars occurs at none of them.
"""

import numpy as np

from forge_core.engine.kernel import params as p
from forge_core.engine.kernel.bars import day_of, fetch_bar
from forge_core.engine.kernel.levels import trailing_level
from forge_core.engine.signals.evaluator import bits
from forge_core.feeds.feed import WORD_EXTREMES
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import (
    ALL,
    LANES,
    LANES_SHIFT,
    NONE,
    VALUE_BYTES,
    highest,
    lowest,
    trailing_zeros,
)
from forge_core.simd.memory import elements_at, float64_at, int32_at, int64_at, uint64_at

_NEARLY = 1.0 - 1e-12  # avoids a division where rounding cannot matter
_SPAN = 16  # bars tried together where 64 are not quiet
_ROUNDING = 1e-9  # more than the rounding of 64 charges


@compiled
def next_entry(program, bars, i, limit):
    """Return the first bar from ``i`` on, below ``limit``, at which an entry rule is true, or ``limit``."""
    while i < limit:
        word = i >> LANES_SHIFT
        begin = word << LANES_SHIFT
        found = bits(program.entry_long, program, word) | bits(program.entry_short, program, word)
        found >>= np.uint64(i - begin)
        if found != NONE:
            i = min(limit, i + trailing_zeros(found))
            fetch_bar(bars, i + 1)
            return i
        i = begin + LANES
    return limit


@compiled
def advance_position(state, params, program, bars, output, i, limit):
    """Advance the position over bars ``[i, limit)``, to the first at which a rule is true or a level may be touched.

    Return whether an exit rule or an entry rule of the other side stopped it, which is then true at the bar before the
    one returned next, and the bar from which the steps continue. On the bars passed no level is touched, no contract
    rolls and no funding is paid; borrow is charged and equity is marked (steps 3 and 4 of the contract). Without an
    equity curve the trade's best and worst price are not kept.
    """
    time = int64_at(bars.time, bars.size)
    high, low = float64_at(bars.high, bars.size), float64_at(bars.low, bars.size)
    close = float64_at(bars.close, bars.size)
    extremes = float64_at(bars.extremes, ((bars.size - 1 >> LANES_SHIFT) + 1) * WORD_EXTREMES)
    marks = float64_at(output.day_equity, bars.days)
    curve = float64_at(output.equity_curve, bars.size)
    side, entry, exposure = state.side, state.entry, state.exposure
    against = program.entry_short if side > 0 else program.entry_long
    own_exit = program.exit_long if side > 0 else program.exit_short
    charge = params.borrow_per_microsecond * state.quantity * params.multiplier if side < 0 else 0.0
    trails = params.trail_kind != p.NO_DISTANCE
    is_monotone = params.trail_kind != p.PERCENT or state.trail <= 1.0  # the trailing stop in the extreme
    skips = output.equity_curve == 0  # bars are passed by their extremes

    balance, financing, extreme, day = state.balance, state.financing, state.extreme, state.day
    peak, peak_bar, max_drawdown, longest = state.peak, state.peak_bar, state.max_drawdown, state.longest
    floor = max(state.stop, state.liquidation) if side > 0 else state.reach
    ceiling = state.reach if side > 0 else min(state.stop, state.liquidation)
    lower, upper = _levels(state, params, floor, ceiling, extreme, trails)
    shallow = max_drawdown * peak * _NEARLY  # a fall from the peak that is no deeper drawdown
    signal = False
    touched = False
    while i < limit and not signal and not touched:
        word = i >> LANES_SHIFT
        begin = word << LANES_SHIFT
        end = min(limit, begin + LANES)
        found = (bits(against, program, word) | bits(own_exit, program, word)) >> np.uint64(i - begin)
        rule_bar = i + trailing_zeros(found)
        signal = rule_bar < end
        if signal:
            end = rule_bar + 1
        if bars.events != 0:
            event = uint64_at(bars.events, (bars.size - 1 >> LANES_SHIFT) + 1)[word] >> np.uint64(i - begin)
            if event != NONE and i + trailing_zeros(event) < end:
                end = limit = i + trailing_zeros(event)
                signal = False
                if i == end:
                    break
        if signal:
            fetch_bar(bars, end)

        if skips:
            whole = begin + LANES <= bars.size
            of = word * WORD_EXTREMES
            bottom, top = extremes[of], extremes[of + 1]
            safe = _is_safe(bottom, top, lower, upper, side, entry, exposure, balance)
            if safe and trails:
                safe = not side * ((top if side > 0 else bottom) - extreme) > 0.0
            chosen = (ALL << np.uint64(i - begin)) & (ALL >> np.uint64(begin + LANES - end))
            if not safe and whole:
                bottom = lowest(elements_at(bars.low, begin, LANES, bars.size, VALUE_BYTES), chosen)
                top = highest(elements_at(bars.high, begin, LANES, bars.size, VALUE_BYTES), chosen)
                best = _best(state, bottom, top, extreme)
                lower_, upper_ = _levels(state, params, floor, ceiling, best, trails)
                safe = _is_safe(bottom, top, lower_, upper_, side, entry, exposure, balance)
                if not safe and end - i > _SPAN:
                    end = i + _SPAN
                    signal = False
                    chosen = (ALL << np.uint64(i - begin)) & (ALL >> np.uint64(begin + LANES - end))
                    bottom = lowest(elements_at(bars.low, begin, LANES, bars.size, VALUE_BYTES), chosen)
                    top = highest(elements_at(bars.high, begin, LANES, bars.size, VALUE_BYTES), chosen)
                    best = _best(state, bottom, top, extreme)
                    lower_, upper_ = _levels(state, params, floor, ceiling, best, trails)
                    safe = _is_safe(bottom, top, lower_, upper_, side, entry, exposure, balance)
                safe = safe and (is_monotone or best == extreme)
                if safe:
                    extreme, lower, upper = best, lower_, upper_
            if safe and charge > 0.0:
                # an upper bound of the charges of these bars: at the account's worst it is not ruined
                most = charge * max(abs(bottom), abs(top)) * (time[end - 1] - time[i - 1])
                least = balance - most * (1.0 + _ROUNDING) - abs(balance) * _ROUNDING
                safe = _is_safe(bottom, top, lower, upper, side, entry, exposure, least)
            if safe and charge == 0.0:
                most, least = _equities(extremes[of + 2], extremes[of + 3], side, entry, exposure, balance)
                quiet = most < peak and peak - least <= shallow
                if not quiet and whole:
                    closes = elements_at(bars.close, begin, LANES, bars.size, VALUE_BYTES)
                    most, least = _equities(
                        lowest(closes, chosen), highest(closes, chosen), side, entry, exposure, balance
                    )
                    quiet = most < peak
                    if quiet:
                        max_drawdown = max(max_drawdown, (peak - least) / peak)
                        shallow = max_drawdown * peak * _NEARLY
                if quiet:
                    i = end
                    continue
            if safe:
                while i < end:
                    k = np.uint64(i)  # unsigned: no test for a negative index
                    if charge > 0.0:
                        paid = charge * abs(close[k]) * (time[k] - time[k - np.uint64(1)])
                        balance -= paid
                        financing += paid
                    equity = balance + exposure * (close[k] - entry)
                    if equity >= peak:
                        if i - 1 > peak_bar:
                            longest = max(longest, time[i - 1] - time[peak_bar])
                        peak = equity
                        peak_bar = i
                        shallow = max_drawdown * peak * _NEARLY
                    elif peak - equity > shallow:
                        max_drawdown = max(max_drawdown, (peak - equity) / peak)
                        shallow = max_drawdown * peak * _NEARLY
                    if charge > 0.0:
                        day = day_of(bars, day, i)
                        marks[day] = equity
                    i += 1
                continue

        while i < end:
            k = np.uint64(i)
            best = high[k] if side > 0 else low[k]
            worst = low[k] if side > 0 else high[k]
            paid = charge * abs(close[k]) * (time[k] - time[k - np.uint64(1)]) if charge > 0.0 else 0.0
            if low[k] <= lower or high[k] >= upper or balance - paid + exposure * (worst - entry) <= 0.0:
                touched = True
                signal = False
                break
            if trails and side * (best - extreme) > 0.0:
                extreme = best
                lower, upper = _levels(state, params, floor, ceiling, extreme, trails)
            if charge > 0.0:
                balance -= paid
                financing += paid
            equity = balance + exposure * (close[k] - entry)
            if output.equity_curve != 0:
                state.best = max(state.best, side * (best - entry))
                state.worst = min(state.worst, side * (worst - entry))
                curve[k] = equity
            if equity >= peak:
                if i - 1 > peak_bar:
                    longest = max(longest, time[i - 1] - time[peak_bar])
                peak = equity
                peak_bar = i
                shallow = max_drawdown * peak * _NEARLY
            elif peak - equity > shallow:
                max_drawdown = max(max_drawdown, (peak - equity) / peak)
                shallow = max_drawdown * peak * _NEARLY
            if charge > 0.0 or output.equity_curve != 0:
                day = day_of(bars, day, i)
                marks[day] = equity
            i += 1
    if charge == 0.0 and output.equity_curve == 0:
        _mark_days(marks, bars, day, i, entry, exposure, balance)
    state.balance, state.financing, state.extreme = balance, financing, extreme
    state.peak, state.peak_bar, state.max_drawdown, state.longest = peak, peak_bar, max_drawdown, longest
    return signal, i


@compiled
def _levels(state, params, floor, ceiling, extreme, trails):
    """Return the prices at or beyond which a bar touches a level, for the trailing stop of an ``extreme``."""
    if not trails:
        return floor, ceiling
    trailing = trailing_level(state.side, extreme, state.trail, params)
    if state.side > 0:
        return max(floor, trailing), ceiling
    return floor, min(ceiling, trailing)


@compiled
def _best(state, bottom, top, extreme):
    """Return the best price of bars between ``bottom`` and ``top`` and of the bars before."""
    return max(top, extreme) if state.side > 0 else min(bottom, extreme)


@compiled
def _is_safe(bottom, top, lower, upper, side, entry, exposure, balance):
    """Whether bars between ``bottom`` and ``top`` neither touch a level nor ruin the account."""
    worst = bottom if side > 0 else top
    return not (bottom <= lower or top >= upper or balance + exposure * (worst - entry) <= 0.0)


@compiled
def _equities(lowest_close, highest_close, side, entry, exposure, balance):
    """Return the highest and the lowest equity at closes between two prices."""
    at_lowest = balance + exposure * (lowest_close - entry)
    at_highest = balance + exposure * (highest_close - entry)
    return (at_highest, at_lowest) if side > 0 else (at_lowest, at_highest)


@compiled
def _mark_days(marks, bars, day, i, entry, exposure, balance):
    """Set the equity at the last closes of the trade dates from ``day`` on that end before bar ``i``."""
    day_end = int32_at(bars.day_end, bars.days)
    day_close = float64_at(bars.day_close, bars.days)
    while day_end[day] < i:
        marks[day] = balance + exposure * (day_close[day] - entry)
        day += 1
