"""Rule programs: a Play's rules as a few vectors of numbers, evaluated a block of 512 bars at a time.

A block of a group is evaluated when a bar of it can matter. A rule is compared once a block, however many groups it
stands in; a group within others only where a bar is left that it could decide. Results are a few integers a rule and
group, so an evaluation needs no memory that grows with the bars.
"""

import numpy as np

from forge_core.engine.signals.bytecode import (
    ABOVE,
    ABOVE_NUMBER,
    AT_LEAST,
    AT_LEAST_NUMBER,
    AT_MOST_NUMBER,
    BELOW_NUMBER,
    GROUPS,
)
from forge_core.simd.bitset512 import (
    BLOCK,
    BLOCK_SHIFT,
    CODE_BYTES,
    above,
    above_number,
    all_into,
    and_into,
    any_into,
    count_into,
    equal,
    equal_number,
    is_all,
    is_none,
    or_into,
    prefetch_codes,
    turn,
)
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import (
    ALL,
    NONE,
    ONE,
    VALUE_BYTES,
    WORD,
    set_bits,
    trailing_zeros,
    word_above,
    word_above_number,
    word_at_least,
    word_at_least_number,
    word_at_most,
    word_at_most_number,
    word_below_number,
)
from forge_core.simd.memory import float64_at, int64_at, uint16_at, uint64_at

# The groups of a program, in order; numbers that numba does not compile `bits` for one by one
ENTRY_LONG, ENTRY_SHORT, EXIT_LONG, EXIT_SHORT = (np.int64(group) for group in range(GROUPS))

# A rule: its comparison; whether it is true only where the comparison was not at the bar before; the addresses of one
# or two columns; the number (float64); the first word for which codes are good. Compared itself: the addresses of the
# columns' codes, or the code of the number; whether codes decide alone, values with equal codes included; and whether
# the rule is the first to read a column. Made out of another rule, of a `>` (or a `>=` that codes decide alone): the
# address of that, whether it takes the bars at which values are equal as well, and then the contrary. What it gave: the
# block evaluated last (-1: none), the results, and where, if anywhere, values are equal.
(COMPARISON, CROSSES, A, B, NUMBER, FIRST_WORD, A_CODES, B_CODES, SURE) = range(9)
(ORIGIN, OR_EQUAL, CONTRARY) = range(9, 12)
(EVALUATED, HAS_EQUAL) = range(12, 14)
(FETCHES_A, FETCHES_B) = range(14, 16)
RULE_RESULT = 16
_EQUAL = RULE_RESULT + BLOCK
RULE_SIZE = _EQUAL + BLOCK
NO_WORD = 2**62  # the columns have no codes

# A step opens or closes a group: what it does; how the group's result goes into that of the group around it, and the
# address of that; the address of its own result; the address of its parts' addresses and how many they are. To open
# one: the address of its rules' addresses, each after what it is made out of, how many they are, and the address of the
# step to go on with when the group around is settled. To close one that counts: how many parts must be true.
(STEP, HOW, TARGET, RESULT, PARTS, PARTS_COUNT) = range(6)
(RULES, RULES_COUNT, SETTLED) = range(6, 9)
NEEDED = 6
STEP_SIZE = 9
OPEN_ALL, OPEN_ANY, OPEN_COUNT, CLOSE, CLOSE_COUNT = range(5)
NO_WAY, INTO_ALL, INTO_ANY = range(3)  # a group that counts looks at its parts when it is closed

# A plan, what `bits` needs: bars of the columns; the addresses of each group's first step and of the end of the last;
# the block of each group evaluated last (-1: none); scratch; the groups' results
SIZE = 0
BOUNDS = 1
READY = BOUNDS + GROUPS + 1
TIES = 16
RESULTS = TIES + BLOCK
PLAN_SIZE = RESULTS + GROUPS * BLOCK

_FEW = 8  # bars that are sooner compared one by one than together


@compiled
def _compare_word(comparison, crosses, a, b, number):
    """Return the results of one rule on the 64 bars that begin at the addresses ``a`` and ``b``."""
    if comparison == ABOVE:
        now = word_above(a, b)
        return now & word_at_most(a - VALUE_BYTES, b - VALUE_BYTES) if crosses else now
    if comparison == AT_LEAST:
        return word_at_least(a, b)
    if comparison == ABOVE_NUMBER:
        now = word_above_number(a, number)
        return now & word_at_most_number(a - VALUE_BYTES, number) if crosses else now
    if comparison == AT_LEAST_NUMBER:
        return word_at_least_number(a, number)
    if comparison == BELOW_NUMBER:
        now = word_below_number(a, number)
        return now & word_at_least_number(a - VALUE_BYTES, number) if crosses else now
    return word_at_most_number(a, number)


@compiled
def _is_true(comparison, a, b, number, k):
    """Return whether a comparison is true at bar ``k``."""
    x = float64_at(a, k + 1)[k]
    y = number if comparison >= ABOVE_NUMBER else float64_at(b, k + 1)[k]
    if comparison >= BELOW_NUMBER:
        x, y = y, x
    or_equal = comparison in (AT_LEAST, AT_LEAST_NUMBER, AT_MOST_NUMBER)
    return x > y or (or_equal and x == y)


@compiled
def _crosses_at(comparison, a, b, number, k):
    """Return whether a comparison is true at bar ``k`` and its contrary was at the bar before; nothing is at bar 0."""
    if k == 0 or not _is_true(comparison, a, b, number, k):
        return False
    x = float64_at(a, k)[k - 1]
    y = number if comparison >= ABOVE_NUMBER else float64_at(b, k)[k - 1]
    return x >= y if comparison == BELOW_NUMBER else x <= y


@compiled
def _cut(block, begin, size):
    """Leave no bit beyond the last bar in a block of results that begins at a bar."""
    if begin + BLOCK * WORD <= size:
        return
    words = uint64_at(block, BLOCK)
    for k in range(BLOCK):
        lacking = begin + (k + 1) * WORD - size
        if lacking >= WORD:
            words[k] = NONE
        elif lacking > 0:
            words[k] &= ALL >> np.uint64(lacking)


@compiled
def _settle(rule, begin, size, tied, above_):
    """Return where the values of a word that begins at a bar are above and where they are equal.

    Only the bars ``tied`` are looked at; at the others ``above_`` says so, by codes.
    """
    row = int64_at(rule, RULE_SIZE)
    comparison, a, b, number = row[COMPARISON], row[A], row[B], float64_at(rule, RULE_SIZE)[NUMBER]
    above_ &= ~tied
    if set_bits(tied) > _FEW and begin + WORD <= size:
        a += begin * VALUE_BYTES
        b += begin * VALUE_BYTES
        if comparison == ABOVE:
            higher, not_lower = word_above(a, b), word_at_least(a, b)
        else:
            higher, not_lower = word_above_number(a, number), word_at_least_number(a, number)
        return above_ | (tied & higher), tied & not_lower & ~higher
    x = float64_at(a, size)
    y = float64_at(b, size)
    equal_ = NONE
    while tied != NONE:
        bit = tied & (NONE - tied)
        k = begin + trailing_zeros(tied)
        tied ^= bit
        other = y[k] if comparison == ABOVE else number
        if x[k] > other:
            above_ |= bit
        elif x[k] == other:
            equal_ |= bit
    return above_, equal_


@compiled
def _compare_values(rule, size, first, last):
    """Set the words ``first .. last - 1`` of a rule's result by the values of its columns."""
    row = int64_at(rule, RULE_SIZE)
    comparison, a, b, number = row[COMPARISON], row[A], row[B], float64_at(rule, RULE_SIZE)[NUMBER]
    crosses = row[CROSSES] != 0
    words = uint64_at(rule + RULE_RESULT * VALUE_BYTES, BLOCK)
    for word in range(first, last):
        begin = word * WORD
        if begin > 0 and begin + WORD <= size:
            offset = begin * VALUE_BYTES
            found = _compare_word(comparison, crosses, a + offset, b + offset, number)
        else:
            found = NONE
            for k in range(begin, min(begin + WORD, size)):
                true = _crosses_at(comparison, a, b, number, k) if crosses else _is_true(comparison, a, b, number, k)
                if true:
                    found |= ONE << np.uint64(k - begin)
        words[word & (BLOCK - 1)] = found


@compiled
def _settle_block(rule, first, size, ties):
    """Decide by values where codes are equal, in the block of a rule's result that begins with word ``first``."""
    row = int64_at(rule, RULE_SIZE)
    offset = first * (WORD * CODE_BYTES)
    if row[COMPARISON] == ABOVE:
        equal(ties, row[A_CODES] + offset, row[B_CODES] + offset)
    else:
        equal_number(ties, row[A_CODES] + offset, row[B_CODES])
    _cut(ties, first * WORD, size)
    words = uint64_at(rule + RULE_RESULT * VALUE_BYTES, BLOCK)
    open_ = uint64_at(ties, BLOCK)
    same = uint64_at(rule + _EQUAL * VALUE_BYTES, BLOCK)
    for k in range(BLOCK):
        same[k] = NONE
        if open_[k] != NONE:
            words[k], same[k] = _settle(rule, (first + k) * WORD, size, open_[k], words[k])


@compiled
def _was_true(rule, k):
    """Return whether the comparison of a rule that crosses is true at bar ``k``: by codes, which are at hand there."""
    row = int64_at(rule, RULE_SIZE)
    origin = int64_at(row[ORIGIN], RULE_SIZE)
    a = uint16_at(origin[A_CODES], k + 1)[k]
    b = uint16_at(origin[B_CODES], k + 1)[k] if origin[COMPARISON] == ABOVE else origin[B_CODES]
    if a == b and origin[SURE] == 0:
        return _is_true(row[COMPARISON], row[A], row[B], float64_at(rule, RULE_SIZE)[NUMBER], k)
    return (a > b) != (row[CONTRARY] != 0)


@compiled
def _derive(rule, first):
    """Set the block of a rule's result that begins with word ``first`` out of that of another rule."""
    row = int64_at(rule, RULE_SIZE)
    origin = row[ORIGIN]
    result = rule + RULE_RESULT * VALUE_BYTES
    words = uint64_at(result, BLOCK)
    contrary = ALL if row[CONTRARY] != 0 else NONE
    turn(result, origin + RULE_RESULT * VALUE_BYTES, contrary)
    if row[OR_EQUAL] != 0 and int64_at(origin, RULE_SIZE)[HAS_EQUAL] != 0:
        same = uint64_at(origin + _EQUAL * VALUE_BYTES, BLOCK)
        for k in range(BLOCK):
            words[k] = words[k] & ~same[k] if contrary == ALL else words[k] | same[k]
    if row[CROSSES] != 0:
        last = ONE if first == 0 else np.uint64(_was_true(rule, first * WORD - 1))
        for k in range(BLOCK):
            before = (words[k] << ONE) | last
            last = words[k] >> np.uint64(WORD - 1)
            words[k] &= ~before


@compiled
def _evaluate_rules(rules, count, block, size, ties):
    """Set the results on a block of the rules whose addresses stand at ``rules``, unless they are known.

    A rule that is made out of another comes after it.
    """
    first = block * BLOCK
    offset = first * (WORD * CODE_BYTES)
    addresses = int64_at(rules, count)
    for k in range(count):
        rule = addresses[k]
        row = int64_at(rule, RULE_SIZE)
        if row[EVALUATED] == block:
            continue
        row[EVALUATED] = block
        if row[ORIGIN] != 0:
            _derive(rule, first)
        elif row[FIRST_WORD] < first + BLOCK:
            result = rule + RULE_RESULT * VALUE_BYTES
            if row[FETCHES_A] != 0:
                prefetch_codes(row[A_CODES] + offset + BLOCK * WORD * CODE_BYTES)
            if row[FETCHES_B] != 0:
                prefetch_codes(row[B_CODES] + offset + BLOCK * WORD * CODE_BYTES)
            if row[COMPARISON] == ABOVE:
                tied = above(result, row[A_CODES] + offset, row[B_CODES] + offset)
            else:
                tied = above_number(result, row[A_CODES] + offset, row[B_CODES]) and row[SURE] == 0
            row[HAS_EQUAL] = tied
            if tied:
                _settle_block(rule, first, size, ties)
        if row[FIRST_WORD] > first:
            _compare_values(rule, size, first, min(row[FIRST_WORD], first + BLOCK))


@compiled
def _evaluate(plan, group, block):
    """Set the result of ``group`` on a block."""
    plan_ = int64_at(plan, PLAN_SIZE)
    size = plan_[SIZE]
    step = plan_[BOUNDS + group]
    end = plan_[BOUNDS + group + 1]
    ties = plan + TIES * VALUE_BYTES
    while step < end:
        row = int64_at(step, STEP_SIZE)
        kind = row[STEP]
        how = row[HOW]
        target = row[TARGET]
        result = row[RESULT]
        step += STEP_SIZE * VALUE_BYTES
        if kind <= OPEN_COUNT:
            if (how == INTO_ALL and is_none(target)) or (how == INTO_ANY and is_all(target)):
                step = row[SETTLED]
                continue
            _evaluate_rules(row[RULES], row[RULES_COUNT], block, size, ties)
            if kind == OPEN_ALL:
                all_into(result, row[PARTS], row[PARTS_COUNT])
            elif kind == OPEN_ANY:
                any_into(result, row[PARTS], row[PARTS_COUNT])
            continue
        if kind == CLOSE_COUNT:
            count_into(result, row[PARTS], row[PARTS_COUNT], row[NEEDED])
        if how == INTO_ALL:
            and_into(target, result)
        elif how == INTO_ANY:
            or_into(target, result)
    _cut(plan + (RESULTS + group * BLOCK) * VALUE_BYTES, block * (BLOCK * WORD), size)


@compiled
def bits(plan, group, word):
    """Return the results of ``group`` on bars ``64 word .. 64 word + 63``, bit by bit; 0 beyond the last bar.

    ``plan`` is the address of the vector described above. A group without instructions is never true.
    """
    block = word >> BLOCK_SHIFT
    plan_ = int64_at(plan, PLAN_SIZE)
    if plan_[READY + group] != block:
        _evaluate(plan, group, block)
        plan_[READY + group] = block
    return uint64_at(plan, PLAN_SIZE)[RESULTS + group * BLOCK + (word & (BLOCK - 1))]
