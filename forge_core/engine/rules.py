"""Rule programs: a Play's rules as a few vectors of numbers, evaluated a word of 64 bars at a time.

A word of a group is evaluated when a bar of it can matter, and only as far as it can: once no bar of a word is left
that could fulfil an ``all``, the rest of the group is passed over. Results are one integer a group, so an evaluation
needs no memory that grows with the bars or the rules.
"""

import numpy as np

from forge_core.compiled import compiled
from forge_core.engine.pointers import float64_at, int64_at, uint64_at
from forge_core.engine.words import (
    VALUE_BYTES,
    WORD,
    above,
    above_number,
    at_least,
    at_least_number,
    at_most,
    at_most_number,
    below_number,
)

MAX_DEPTH = 8  # groups within groups
PLANES = 8  # binary digits of a count
MAX_RULES = 2**PLANES - 1  # of one group

ENTRY_LONG, ENTRY_SHORT, EXIT_LONG, EXIT_SHORT = range(4)  # the groups of a program, in order
GROUPS = 4

# Codes of instructions. An opening one has in `a` the number of the instruction that closes it.
(
    OPEN_ALL,
    OPEN_ANY,
    OPEN_COUNT,  # `b`: binary digits of the number of its rules
    CLOSE,  # true where all, any or at least `value` of the rules are
    ABOVE,  # a > b
    AT_LEAST,  # a >= b
    CROSS,  # a crosses above b
    ABOVE_VALUE,  # a > value
    AT_LEAST_VALUE,
    BELOW_VALUE,
    AT_MOST_VALUE,
    CROSS_ABOVE_VALUE,
    CROSS_BELOW_VALUE,
) = range(13)
INSTRUCTION = 3  # code, a, b

# What `bits` needs, in one vector of integers, for each argument of a call in the kernel's loops costs time
(
    INSTRUCTIONS,  # address of int64 (n, INSTRUCTION)
    VALUES,  # address of float64 (n,)
    BOUNDS,  # address of int64 (GROUPS + 1,): the instructions of group g are bounds[g] .. bounds[g + 1] - 1
    SIZE,  # bars of the columns
    READY,  # address of int64 (GROUPS,): the word of each group evaluated last, -1 before
    RESULTS,  # address of uint64 (GROUPS,): its bits
    STACK,  # address of uint64 (MAX_DEPTH, FRAME), scratch
) = range(7)
PLAN_SIZE = 7

# A group that is being evaluated: its opening instruction's code and digits, the number of the closing one, the bits
# found so far, and for a count one bit plane a binary digit
_KIND, _DIGITS, _CLOSE, _FOUND, _PLANES = range(5)
FRAME = _PLANES + PLANES

_NONE = np.uint64(0)
_ALL = ~np.uint64(0)
_ONE = np.uint64(1)


@compiled
def _compare_word(code, a, b, value):
    """Return the results of one rule on the 64 bars that begin at the addresses ``a`` and ``b``."""
    if code == ABOVE:
        return above(a, b)
    if code == ABOVE_VALUE:
        return above_number(a, value)
    if code == BELOW_VALUE:
        return below_number(a, value)
    if code == AT_LEAST:
        return at_least(a, b)
    if code == AT_LEAST_VALUE:
        return at_least_number(a, value)
    if code == AT_MOST_VALUE:
        return at_most_number(a, value)
    if code == CROSS:
        return above(a, b) & at_most(a - VALUE_BYTES, b - VALUE_BYTES)
    if code == CROSS_ABOVE_VALUE:
        return above_number(a, value) & at_most_number(a - VALUE_BYTES, value)
    return below_number(a, value) & at_least_number(a - VALUE_BYTES, value)


@compiled
def _compare_bars(code, a, b, value, begin, end):
    """Return the results of one rule on bars ``[begin, end)``, 64 at most; nothing crosses at bar 0."""
    x = float64_at(a, end)
    y = float64_at(b, end if code <= CROSS else 0)
    found = _NONE
    for k in range(begin, end):
        other = y[k] if code <= CROSS else value
        if code in (ABOVE, ABOVE_VALUE):
            true = x[k] > other
        elif code in (AT_LEAST, AT_LEAST_VALUE):
            true = x[k] >= other
        elif code == BELOW_VALUE:
            true = x[k] < other
        elif code == AT_MOST_VALUE:
            true = x[k] <= other
        elif k == 0:
            true = False
        elif code == CROSS_BELOW_VALUE:
            true = x[k] < other and x[k - 1] >= other
        else:
            true = x[k] > other and x[k - 1] <= (y[k - 1] if code == CROSS else value)
        if true:
            found |= _ONE << np.uint64(k - begin)
    return found


@compiled
def _at_least_needed(frame, needed):
    """Return where the count in the planes of ``frame`` is ``needed`` or more: digit by digit, the lowest first."""
    enough = _ALL
    for digit in range(np.int64(frame[_DIGITS])):
        plane = frame[_PLANES + digit]
        enough = plane & enough if (needed >> digit) & 1 else plane | enough
    return enough


@compiled
def _evaluate(plan, group, word):
    """Return the bits of ``group``, which has instructions, on ``word``."""
    plan_ = int64_at(plan, PLAN_SIZE)
    bounds = int64_at(plan_[BOUNDS], GROUPS + 1)
    first, last = bounds[group], bounds[group + 1]
    instructions = int64_at(plan_[INSTRUCTIONS], last * INSTRUCTION)
    values = float64_at(plan_[VALUES], last)
    stack = uint64_at(plan_[STACK], MAX_DEPTH * FRAME)
    begin = word * WORD
    end = min(begin + WORD, plan_[SIZE])
    whole = word > 0 and end - begin == WORD  # the first word has no bar before it
    offset = begin * VALUE_BYTES

    depth = -1
    frame = stack[:FRAME]
    k = first
    result = _NONE
    while k < last:
        code = instructions[k * INSTRUCTION]
        a = instructions[k * INSTRUCTION + 1]
        b = instructions[k * INSTRUCTION + 2]
        if code < CLOSE:
            depth += 1
            frame = stack[depth * FRAME : (depth + 1) * FRAME]
            frame[_KIND] = code
            frame[_DIGITS] = b
            frame[_CLOSE] = a
            frame[_FOUND] = _ALL if code == OPEN_ALL else _NONE
            if code == OPEN_COUNT:
                frame[_PLANES : _PLANES + b] = 0
            k += 1
            continue
        if code == CLOSE:
            result = _at_least_needed(frame, int(values[k])) if frame[_KIND] == OPEN_COUNT else frame[_FOUND]
            depth -= 1
            if depth < 0:
                break
            frame = stack[depth * FRAME : (depth + 1) * FRAME]
        elif whole:
            result = _compare_word(code, a + offset, b + offset, values[k])
        else:
            result = _compare_bars(code, a, b, values[k], begin, end)
        k += 1
        if frame[_KIND] == OPEN_ALL:
            frame[_FOUND] &= result
            if frame[_FOUND] == _NONE:
                k = np.int64(frame[_CLOSE])
        elif frame[_KIND] == OPEN_ANY:
            frame[_FOUND] |= result
            if frame[_FOUND] == _ALL:
                k = np.int64(frame[_CLOSE])
        else:
            for digit in range(_PLANES, _PLANES + np.int64(frame[_DIGITS])):
                carry = frame[digit] & result
                frame[digit] ^= result
                result = carry
    return result


@compiled
def bits(plan, group, word):
    """Return the results of ``group`` on bars ``64 word .. 64 word + 63``, bit by bit; 0 beyond the last bar.

    ``plan`` is the address of the vector described above. A group without instructions is never true.
    """
    plan_ = int64_at(plan, PLAN_SIZE)
    ready = int64_at(plan_[READY], GROUPS)
    results = uint64_at(plan_[RESULTS], GROUPS)
    if ready[group] != word:
        bounds = int64_at(plan_[BOUNDS], GROUPS + 1)
        results[group] = _evaluate(plan, group, word) if bounds[group] != bounds[group + 1] else _NONE
        ready[group] = word
    return results[group]
