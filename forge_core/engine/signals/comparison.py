"""Comparison of whole columns: one rule on all bars as a bitmap, one bit per bar.

Columns are compared by their quantized codes, in blocks of 512 bars; by their values where codes are equal, and in the
words up to the last NaN.
"""

import numpy as np

from forge_core.engine.signals.bytecode import (
    ABOVE,
    ABOVE_NUMBER,
    AT_LEAST,
    AT_LEAST_NUMBER,
    AT_MOST_NUMBER,
    BELOW_NUMBER,
    CROSSING,
)
from forge_core.features.column import COLUMN
from forge_core.features.quantized import HIGHEST, code_of
from forge_core.simd.bitset512 import BLOCK, BLOCK_SHIFT, CODE_BYTES, above, above_number, equal, equal_number
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import (
    ALL,
    LANES,
    NONE,
    ONE,
    VALUE_BYTES,
    lanes_above,
    lanes_above_number,
    lanes_at_least,
    lanes_at_least_number,
    lanes_at_most,
    lanes_at_most_number,
    lanes_below_number,
    set_bits,
    trailing_zeros,
)
from forge_core.simd.memory import address_of, elements_at, float64_at, records_at, uint64_at

# A rule to compare: one of ``bytecode``'s comparisons of column ``left`` with column ``right`` or ``number``, and the
# address of its bitmap, whole blocks of 512 bits
RULE = np.dtype(
    [
        ("comparison", np.int64),
        ("number", np.float64),
        ("bitmap", np.int64),
        ("left", COLUMN.dtype),
        ("right", COLUMN.dtype),
    ]
)

_FEW = 8  # most bars that are faster to compare one by one
_NO_WORD = 2**48  # no codes to compare


@compiled
def fill_bitmaps(rules, count, size):
    """Fill the bitmaps of the ``count`` rules at an address with their results on ``size`` bars; 0 beyond the last."""
    every = records_at(rules, count, RULE)
    for k in range(count):
        _fill_bitmap(every[k], size)


@compiled
def _fill_bitmap(rule, size):
    comparison, bitmap, left, right, number = rule.comparison, rule.bitmap, rule.left, rule.right, rule.number
    crosses = comparison & CROSSING != 0
    comparison = comparison & (CROSSING - 1)
    blocks = -(-size // (BLOCK * LANES))
    words = uint64_at(bitmap, blocks * BLOCK)
    a, b = left.values, right.values
    coded = _first_coded(comparison, left, right, number)
    if coded * LANES >= size:  # a column is NaN to its last word
        coded = blocks * BLOCK
    if coded < blocks * BLOCK:
        _compare_codes(bitmap, comparison, left, right, number, size, coded >> BLOCK_SHIFT, blocks)
        if crosses:
            before = np.uint64(_is_true(comparison, a, b, number, coded * LANES - 1, size))
            for k in range(blocks * BLOCK - 1, coded, -1):
                words[k] &= ~((words[k] << ONE) | (words[k - 1] >> np.uint64(LANES - 1)))
            words[coded] &= ~((words[coded] << ONE) | before)
    _compare_values(words, comparison, crosses, a, b, number, size, coded)
    for k in range(size // LANES, blocks * BLOCK):
        words[k] &= _bars_before(k * LANES, size)


@compiled
def _bars_before(begin, size):
    """Return the bits of the existing bars of the word that begins at bar ``begin``."""
    if begin + LANES <= size:
        return ALL
    return ALL >> np.uint64(begin + LANES - size) if begin < size else NONE


@compiled
def _first_coded(comparison, left, right, number):
    """Return the first word that can be compared by codes, 1 or more."""
    if left.codes == 0:
        return _NO_WORD
    if comparison >= ABOVE_NUMBER:
        return left.first_word if np.isfinite(number) else _NO_WORD
    alike = left.low == right.low and left.step == right.step  # bit by bit
    if right.codes == 0 or not alike:
        return _NO_WORD
    return max(left.first_word, right.first_word)


@compiled
def _code_to_exceed(column, number, at_least):
    """Return the code above which values exceed (or equal) a finite number, and whether codes alone are decisive.

    They are where codes are lossless: `x >= 3` is then `x > 2`.
    """
    low, step = column.low, column.step
    code = code_of(number, low, step)
    decisive = column.lossless != 0 and 0.0 <= (number - low) / step < HIGHEST + 1
    if decisive and at_least and low + code * step == number:
        if code > 0:
            code -= 1
        else:
            decisive = False
    return code, decisive


@compiled
def _compare_codes(bitmap, comparison, left, right, number, size, first, last):
    """Set the blocks ``first .. last - 1``; words before the columns' first coded word are left invalid."""
    with_number = comparison >= ABOVE_NUMBER
    negated = comparison in (BELOW_NUMBER, AT_MOST_NUMBER)  # computed as `not >=` and `not >`: no value is NaN here
    at_least = comparison in (AT_LEAST, AT_LEAST_NUMBER, BELOW_NUMBER)
    code, decisive = np.int64(0), False
    if with_number:
        code, decisive = _code_to_exceed(left, number, at_least)
    ties_row = np.empty(BLOCK, np.uint64)
    ties = address_of(ties_row)
    for block in range(first, last):
        result = bitmap + block * BLOCK * VALUE_BYTES
        offset = block * (BLOCK * LANES * CODE_BYTES)
        x, y = left.codes + offset, right.codes + offset
        tied = above_number(result, x, code) if with_number else above(result, x, y)
        words = uint64_at(result, BLOCK)
        if tied and not decisive:
            if with_number:
                equal_number(ties, x, code)
            else:
                equal(ties, x, y)
            for k in range(BLOCK):
                begin = (block * BLOCK + k) * LANES
                open_ = ties_row[k] & _bars_before(begin, size)
                if open_ != NONE:
                    true = _true_of(open_, with_number, at_least, left.values, right.values, number, begin, size)
                    words[k] = (words[k] & ~open_) | true
        if negated:
            for k in range(BLOCK):
                words[k] = ~words[k]


@compiled
def _true_of(open_, with_number, at_least, a, b, number, begin, size):
    """Return which of the bars ``open_`` of the word at bar ``begin`` have ``a`` above (or at) ``b`` or a number."""
    if set_bits(open_) > _FEW and begin + LANES <= size:
        left = elements_at(a, begin, LANES, size, VALUE_BYTES)
        if with_number:
            true = lanes_at_least_number(left, number) if at_least else lanes_above_number(left, number)
        else:
            right = elements_at(b, begin, LANES, size, VALUE_BYTES)
            true = lanes_at_least(left, right) if at_least else lanes_above(left, right)
        return true & open_
    x, y = float64_at(a, size), float64_at(b, size)
    true = NONE
    while open_ != NONE:
        bit = open_ & (NONE - open_)
        k = begin + trailing_zeros(open_)
        open_ ^= bit
        other = number if with_number else y[k]
        if x[k] > other or (at_least and x[k] == other):
            true |= bit
    return true


@compiled
def _compare_values(words, comparison, crosses, a, b, number, size, last):
    """Set the words before ``last`` from the values of the columns."""
    for word in range(last):
        begin = word * LANES
        if begin > 0 and begin + LANES <= size:
            left = elements_at(a, begin - 1, LANES + 1, size, VALUE_BYTES) + VALUE_BYTES
            right = elements_at(b, begin - 1, LANES + 1, size, VALUE_BYTES) + VALUE_BYTES
            words[word] = _compare_word(comparison, crosses, left, right, number)
        else:
            found = NONE
            for k in range(begin, min(begin + LANES, size)):
                if crosses:
                    true = _crosses_at(comparison, a, b, number, k, size)
                else:
                    true = _is_true(comparison, a, b, number, k, size)
                if true:
                    found |= ONE << np.uint64(k - begin)
            words[word] = found


@compiled
def _compare_word(comparison, crosses, a, b, number):
    """Return the results on the 64 bars that begin at the addresses ``a`` and ``b``."""
    if comparison == ABOVE:
        now = lanes_above(a, b)
        return now & lanes_at_most(a - VALUE_BYTES, b - VALUE_BYTES) if crosses else now
    if comparison == AT_LEAST:
        return lanes_at_least(a, b)
    if comparison == ABOVE_NUMBER:
        now = lanes_above_number(a, number)
        return now & lanes_at_most_number(a - VALUE_BYTES, number) if crosses else now
    if comparison == AT_LEAST_NUMBER:
        return lanes_at_least_number(a, number)
    if comparison == BELOW_NUMBER:
        now = lanes_below_number(a, number)
        return now & lanes_at_least_number(a - VALUE_BYTES, number) if crosses else now
    return lanes_at_most_number(a, number)


@compiled
def _is_true(comparison, a, b, number, k, size):
    """Return whether a comparison is true at bar ``k``."""
    x = float64_at(a, size)[k]
    y = number if comparison >= ABOVE_NUMBER else float64_at(b, size)[k]
    if comparison >= BELOW_NUMBER:
        x, y = y, x
    or_equal = comparison in (AT_LEAST, AT_LEAST_NUMBER, AT_MOST_NUMBER)
    return x > y or (or_equal and x == y)


@compiled
def _crosses_at(comparison, a, b, number, k, size):
    """Return whether a comparison is true at bar ``k`` and false at the bar before; at bar 0 it is not."""
    if k == 0 or not _is_true(comparison, a, b, number, k, size):
        return False
    x = float64_at(a, size)[k - 1]
    y = number if comparison >= ABOVE_NUMBER else float64_at(b, size)[k - 1]
    return x >= y if comparison == BELOW_NUMBER else x <= y
