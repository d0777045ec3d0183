"""Fast forward over quiet bars, 64 at a time: bars without a signal, fill or touched level.

Each function gives the state that the steps of docs/fill_contract.md give bar by bar, to the last bit. A function of
one price that rounds at each step is still monotone in that price: an event that does not occur at the extreme of some
bars occurs at none of them.
"""

import numpy as np

from forge_core.engine.kernel import params as p
from forge_core.engine.kernel.fills import trailing_level
from forge_core.engine.kernel.layout import P_BEST, P_FINANCING, P_WORST, POSITION_FLOATS
from forge_core.engine.signals.evaluator import ENTRY_LONG, ENTRY_SHORT, bits
from forge_core.feeds.feed import (
    BARS_SIZE,
    CLOSE,
    DAY_CLOSE,
    DAY_END,
    DAYS,
    EXTREMES,
    HIGH,
    LOW,
    OPEN,
    TIME,
    VOLUME,
    WORD_EXTREMES,
)
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import (
    ALL,
    LANES,
    LANES_SHIFT,
    NONE,
    VALUE_BYTES,
    highest,
    lowest,
    prefetch,
    trailing_zeros,
)
from forge_core.simd.memory import elements_at, float64_at, int32_at, int64_at

_NEARLY = 1.0 - 1e-12  # avoids a division where rounding cannot matter


@compiled
def _fetch_bar(bars, i):
    """Prefetch bar ``i``: its columns are far apart, and each would cost a cache miss."""
    columns = int64_at(bars, BARS_SIZE)
    offset = i * VALUE_BYTES
    prefetch(columns[OPEN] + offset)
    prefetch(columns[HIGH] + offset)
    prefetch(columns[LOW] + offset)
    prefetch(columns[CLOSE] + offset)
    prefetch(columns[TIME] + offset)
    prefetch(columns[VOLUME] + offset)


@compiled
def day_of(day_end, day, i):
    """Return the running number of bar ``i``'s trade date, which is ``day`` or a later one."""
    while day_end[day] < i:
        day += 1
    return day


@compiled
def _mark_days(marks, day_end, day_close, day, i, entry, exposure, balance):
    """Set the equity at the last closes of the trade dates from ``day`` on that end before bar ``i``."""
    while day_end[day] < i:
        marks[day] = balance + exposure * (day_close[day] - entry)
        day += 1


@compiled
def next_entry(plan, bars, i, limit):
    """Return the first bar from ``i`` on, below ``limit``, at which an entry rule is true, or ``limit``."""
    while i < limit:
        word = i >> LANES_SHIFT
        begin = word << LANES_SHIFT
        found = (bits(plan, ENTRY_LONG, word) | bits(plan, ENTRY_SHORT, word)) >> np.uint64(i - begin)
        if found != NONE:
            i = min(limit, i + trailing_zeros(found))
            _fetch_bar(bars, i + 1)
            return i
        i = begin + LANES
    return limit


@compiled
def _next_exit(plan, against, own_exit, i, limit):
    """Return the first bar from ``i`` on, below ``limit``, at which one of two groups is true, or ``limit``.

    ``limit`` is in the word of bar ``i`` or the bar after it.
    """
    word = i >> LANES_SHIFT
    found = (bits(plan, against, word) | bits(plan, own_exit, word)) >> np.uint64(i - (word << LANES_SHIFT))
    return min(limit, i + trailing_zeros(found))


@compiled
def _is_touched(bottom, top, lower, upper, side, entry, exposure, balance, extreme, trails):
    """Whether bars between ``bottom`` and ``top`` touch a level, move a trailing stop or ruin the account."""
    best, worst = (top, bottom) if side > 0 else (bottom, top)
    return (
        bottom <= lower
        or top >= upper
        or (trails and side * (best - extreme) > 0.0)
        or balance + exposure * (worst - entry) <= 0.0
    )


@compiled
def _equities(lowest_close, highest_close, side, entry, exposure, balance):
    """Return the highest and the lowest equity at closes between two prices."""
    at_lowest = balance + exposure * (lowest_close - entry)
    at_highest = balance + exposure * (highest_close - entry)
    return (at_highest, at_lowest) if side > 0 else (at_lowest, at_highest)


@compiled
def advance_position(
    plan, against, own_exit, bars, size, i, limit, side, entry, exposure, balance, floor, ceiling, extreme,
    trail_kind, trail, params, charge, peak, peak_bar, max_drawdown, longest, position, day, day_equity,
    equity_curve,
):  # fmt: skip
    """Advance a position over bars ``[i, limit)``, to the first at which a rule is true or a level may be touched.

    Return whether a rule of group ``against`` or ``own_exit`` stopped it, which is then true at the bar before the one
    returned next, and the state at that bar's open. On the bars passed no level is touched, financing is charged and
    equity is marked (steps 3 and 4 of the contract). ``bars`` is the address of the addresses of the columns of
    ``size`` bars; ``position``, ``day_equity``, ``equity_curve`` (of bar 0) and ``params`` are addresses. ``day`` is
    the trade date of the bar before. Without a curve (0) the trade's best and worst price are not kept.
    """
    columns = int64_at(bars, BARS_SIZE)
    time = int64_at(columns[TIME], size)
    high = float64_at(columns[HIGH], size)
    low = float64_at(columns[LOW], size)
    close = float64_at(columns[CLOSE], size)
    days = columns[DAYS]
    day_end = int32_at(columns[DAY_END], days)
    day_close = float64_at(columns[DAY_CLOSE], days)
    extremes = float64_at(columns[EXTREMES], ((size - 1 >> LANES_SHIFT) + 1) * WORD_EXTREMES)
    marks = float64_at(day_equity, days)
    curve = float64_at(equity_curve, size)
    held = float64_at(position, POSITION_FLOATS)
    params = float64_at(params, p.PARAMS_SIZE)
    trails = trail_kind != p.NO_DISTANCE
    skips = charge == 0.0 and equity_curve == 0  # bars are skipped by their extremes

    lower = floor
    upper = ceiling
    if trails:
        trailing = trailing_level(side, extreme, trail_kind, trail, params)
        if side > 0:
            lower = max(floor, trailing)
        else:
            upper = min(ceiling, trailing)
    shallow = max_drawdown * peak * _NEARLY  # a fall from the peak that is no deeper drawdown

    financing = held[P_FINANCING]
    signal = False
    while i < limit and not signal:
        word = i >> LANES_SHIFT
        begin = word << LANES_SHIFT
        end = min(limit, begin + LANES)
        rule_bar = _next_exit(plan, against, own_exit, i, end)
        signal = rule_bar < end
        if signal:
            end = rule_bar + 1
            _fetch_bar(bars, end)

        if skips:
            whole = begin + LANES <= size
            chosen = (ALL << np.uint64(i - begin)) & (ALL >> np.uint64(begin + LANES - end))
            of = word * WORD_EXTREMES
            touched = _is_touched(
                extremes[of], extremes[of + 1], lower, upper, side, entry, exposure, balance, extreme, trails
            )
            if touched and whole:
                touched = _is_touched(
                    lowest(elements_at(columns[LOW], begin, LANES, size, VALUE_BYTES), chosen),
                    highest(elements_at(columns[HIGH], begin, LANES, size, VALUE_BYTES), chosen),
                    lower, upper, side, entry, exposure, balance, extreme, trails,
                )  # fmt: skip
            if not touched:
                most, least = _equities(extremes[of + 2], extremes[of + 3], side, entry, exposure, balance)
                quiet = most < peak and peak - least <= shallow
                if not quiet and whole:
                    closes = elements_at(columns[CLOSE], begin, LANES, size, VALUE_BYTES)
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

        while i < end:
            k = np.uint64(i)  # unsigned: no test for a negative index
            best = high[k] if side > 0 else low[k]
            worst = low[k] if side > 0 else high[k]
            paid = charge * abs(close[k]) * (time[k] - time[k - np.uint64(1)]) if charge > 0.0 else 0.0
            if low[k] <= lower or high[k] >= upper or balance - paid + exposure * (worst - entry) <= 0.0:
                held[P_FINANCING] = financing
                if skips:
                    _mark_days(marks, day_end, day_close, day, i, entry, exposure, balance)
                return False, i, balance, extreme, peak, peak_bar, max_drawdown, longest
            if trails and side * (best - extreme) > 0.0:
                extreme = best
                trailing = trailing_level(side, extreme, trail_kind, trail, params)
                if side > 0:
                    lower = max(floor, trailing)
                else:
                    upper = min(ceiling, trailing)
            if charge > 0.0:
                balance -= paid
                financing += paid
            equity = balance + exposure * (close[k] - entry)
            if equity_curve != 0:
                held[P_BEST] = max(held[P_BEST], side * (best - entry))
                held[P_WORST] = min(held[P_WORST], side * (worst - entry))
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
            if not skips:
                day = day_of(day_end, day, i)
                marks[day] = equity
            i += 1
    held[P_FINANCING] = financing
    if skips:
        _mark_days(marks, day_end, day_close, day, i, entry, exposure, balance)
    return signal, i, balance, extreme, peak, peak_bar, max_drawdown, longest
