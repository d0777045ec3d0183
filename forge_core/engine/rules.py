"""Rule programs: a Play's rules as a few vectors of numbers, evaluated a word of 64 bars at a time.

A word of a group is evaluated when a bar of it can matter, and only as far as it can: once no bar of a word is left
that could fulfil an ``all``, the rest of the group is passed over. Results are one integer a group, so an evaluation
needs no memory that grows with the bars or the rules.
"""

import numpy as np

from forge_core.compiled import compiled
from forge_core.engine.pointers import float64_at, int64_at, uint64_at
from forge_core.engine.words import (
    ALL,
    CODE_BYTES,
    NONE,
    ONE,
    VALUE_BYTES,
    WORD,
    above,
    above_number,
    at_least,
    at_least_number,
    at_most,
    at_most_number,
    below_number,
    code_above,
    code_above_number,
    code_equal,
    code_equal_number,
    set_bits,
    trailing_zeros,
)

MAX_DEPTH = 8  # groups within groups
PLANES = 8  # binary digits of a count
MAX_RULES = 2**PLANES - 1  # of one group

ENTRY_LONG, ENTRY_SHORT, EXIT_LONG, EXIT_SHORT = range(4)  # the groups of a program, in order
GROUPS = 4

# What an instruction does. An opening one has in `a` the number of the instruction that closes it.
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
# An instruction: what it does, the addresses of one or two columns, those of their codes or the code of the number, and
# the first word for which these are good, and whether they decide alone, values with equal codes included
(OPERATION, A, B, A_CODES, B_CODES, FIRST_WORD, SURE) = range(7)
INSTRUCTION = 7
NO_WORD = 2**62  # the columns have no codes

# What `bits` needs, in one vector of integers, for each argument of a call in the kernel's loops costs time
(
    INSTRUCTIONS,  # address of int64 (n, INSTRUCTION), one row an instruction
    VALUES,  # address of float64 (n,)
    BOUNDS,  # address of int64 (GROUPS + 1,): the instructions of group g are bounds[g] .. bounds[g + 1] - 1
    SIZE,  # bars of the columns
    READY,  # address of int64 (GROUPS,): the word of each group evaluated last, -1 before
    RESULTS,  # address of uint64 (GROUPS,): its bits
    STACK,  # address of uint64 (MAX_DEPTH + 1, FRAME), scratch
) = range(7)
PLAN_SIZE = 7

# What is kept of a group while one within it is evaluated: its opening operation, the number of its closing
# instruction, the digits of its count, and the bits found so far. Then come the bit planes of its count.
_KIND, _CLOSING, _DIGITS, _FOUND, _PLANES = range(5)
FRAME = _PLANES + PLANES

_FEW = 8  # bars that are sooner compared one by one than together


@compiled
def _compare_word(operation, a, b, value):
    """Return the results of one rule on the 64 bars that begin at the addresses ``a`` and ``b``."""
    if operation == ABOVE:
        return above(a, b)
    if operation == ABOVE_VALUE:
        return above_number(a, value)
    if operation == BELOW_VALUE:
        return below_number(a, value)
    if operation == AT_LEAST:
        return at_least(a, b)
    if operation == AT_LEAST_VALUE:
        return at_least_number(a, value)
    if operation == AT_MOST_VALUE:
        return at_most_number(a, value)
    if operation == CROSS:
        return above(a, b) & at_most(a - VALUE_BYTES, b - VALUE_BYTES)
    if operation == CROSS_ABOVE_VALUE:
        return above_number(a, value) & at_most_number(a - VALUE_BYTES, value)
    return below_number(a, value) & at_least_number(a - VALUE_BYTES, value)


@compiled
def _above_codes(operation, a, b):
    """Return where codes at ``a`` are above those at ``b``, or above the code ``b`` of a number, and where equal."""
    if operation <= CROSS:
        return code_above(a, b), code_equal(a, b)
    return code_above_number(a, np.uint16(b)), code_equal_number(a, np.uint16(b))


@compiled
def _compare_codes(operation, a, b):
    """Return the results of one rule by codes that begin at ``a`` and ``b``, and where equal codes decide nothing.

    ``b`` is the code of the number in a rule against a number.
    """
    above_now, tied = _above_codes(operation, a, b)
    if operation in (BELOW_VALUE, AT_MOST_VALUE):
        return ~above_now, tied
    if operation not in (CROSS, CROSS_ABOVE_VALUE, CROSS_BELOW_VALUE):
        return above_now, tied
    above_before, tied_before = _above_codes(operation, a - CODE_BYTES, b - CODE_BYTES if operation == CROSS else b)
    crosses = ~above_now & above_before if operation == CROSS_BELOW_VALUE else above_now & ~above_before
    return crosses, tied | tied_before


@compiled
def _is_true(operation, a, b, value, k):
    """Return whether one rule is true at bar ``k``; nothing crosses at bar 0."""
    x = float64_at(a, k + 1)
    y = float64_at(b, k + 1)
    number = operation > CROSS
    other = value if number else y[k]
    if operation in (ABOVE, ABOVE_VALUE):
        return x[k] > other
    if operation in (AT_LEAST, AT_LEAST_VALUE):
        return x[k] >= other
    if operation == BELOW_VALUE:
        return x[k] < other
    if operation == AT_MOST_VALUE:
        return x[k] <= other
    if k == 0:
        return False
    before = value if number else y[k - 1]
    if operation == CROSS_BELOW_VALUE:
        return x[k] < other and x[k - 1] >= before
    return x[k] > other and x[k - 1] <= before


@compiled
def _compare_bars(operation, a, b, value, begin, chosen, result):
    """Return ``result`` with the bits of ``chosen`` set by one rule on these bars of the word that begins at a bar."""
    result &= ~chosen
    while chosen != NONE:
        j = trailing_zeros(chosen)
        chosen &= chosen - ONE
        if _is_true(operation, a, b, value, begin + j):
            result |= ONE << np.uint64(j)
    return result


@compiled
def _at_least_needed(planes, digits, needed):
    """Return where the count in ``digits`` bit planes is ``needed`` or more: digit by digit, the lowest first."""
    enough = ALL
    for digit in range(digits):
        enough = planes[digit] & enough if (needed >> digit) & 1 else planes[digit] | enough
    return enough


@compiled
def _evaluate(plan, group, word):
    """Return the bits of ``group``, which has instructions, on ``word``."""
    plan_ = int64_at(plan, PLAN_SIZE)
    bounds = int64_at(plan_[BOUNDS], GROUPS + 1)
    instructions = plan_[INSTRUCTIONS]
    values = float64_at(plan_[VALUES], bounds[GROUPS])
    stack = plan_[STACK]
    begin = word * WORD
    end = min(begin + WORD, plan_[SIZE])
    edge = np.uint64(begin + WORD - end)  # bars that the last word lacks
    whole = word > 0 and edge == NONE  # the first word has no bar before it
    value_bytes = begin * VALUE_BYTES
    code_bytes = begin * CODE_BYTES

    # The group that is being evaluated, and where its planes are; the enclosing ones are on the stack before it
    kind = closing = digits = np.int64(0)
    found = NONE
    depth = 0
    planes = uint64_at(stack, PLANES)
    k = bounds[group]
    while True:
        row = int64_at(instructions + k * (INSTRUCTION * VALUE_BYTES), INSTRUCTION)
        operation = row[OPERATION]
        if operation < CLOSE:
            if depth > 0 and ((kind == OPEN_ALL and found == NONE) or (kind == OPEN_ANY and found == ALL)):
                k = closing  # settled, and nothing but groups follows
                continue
            frame = int64_at(stack + depth * (FRAME * VALUE_BYTES), _PLANES)
            frame[_KIND] = kind
            frame[_CLOSING] = closing
            frame[_DIGITS] = digits
            frame[_FOUND] = np.int64(found)
            depth += 1
            kind = operation
            closing = row[A]
            digits = row[B]
            found = ALL if kind == OPEN_ALL else NONE
            planes = uint64_at(stack + (depth * FRAME + _PLANES) * VALUE_BYTES, PLANES)
            if kind == OPEN_COUNT:
                planes[:digits] = 0
            k += 1
            continue
        if operation == CLOSE:
            result = _at_least_needed(planes, digits, int(values[k])) if kind == OPEN_COUNT else found
            depth -= 1
            if depth == 0:
                return result
            frame = int64_at(stack + depth * (FRAME * VALUE_BYTES), _PLANES)
            kind = frame[_KIND]
            closing = frame[_CLOSING]
            digits = frame[_DIGITS]
            found = np.uint64(frame[_FOUND])
            planes = uint64_at(stack + (depth * FRAME + _PLANES) * VALUE_BYTES, PLANES)
        elif not whole:
            result = _compare_bars(operation, row[A], row[B], values[k], begin, ALL >> edge, NONE)
        elif word < row[FIRST_WORD]:
            result = _compare_word(operation, row[A] + value_bytes, row[B] + value_bytes, values[k])
        else:
            b = row[B_CODES] + code_bytes if operation <= CROSS else row[B_CODES]
            result, tied = _compare_codes(operation, row[A_CODES] + code_bytes, b)
            if tied != NONE and row[SURE] == 0:
                if set_bits(tied) <= _FEW:
                    result = _compare_bars(operation, row[A], row[B], values[k], begin, tied, result)
                else:
                    result = _compare_word(operation, row[A] + value_bytes, row[B] + value_bytes, values[k])
        k += 1
        if kind == OPEN_ALL:
            found &= result
        elif kind == OPEN_ANY:
            found |= result
        else:
            for digit in range(digits):
                carry = planes[digit] & result
                planes[digit] ^= result
                result = carry


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
        results[group] = _evaluate(plan, group, word) if bounds[group] != bounds[group + 1] else NONE
        ready[group] = word
    return results[group]
