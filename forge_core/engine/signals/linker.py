"""Link the bytecode of a Play (``engine.signals.bytecode``) to the program that ``engine.signals.evaluator`` evaluates.

Finding rules that are alike and choosing between codes and values is done in compiled code: a Play is linked for each
of its backtests, and in Python that would take a good part of a backtest's time.
"""

import numpy as np

from forge_core.engine.signals import bytecode as bc
from forge_core.engine.signals import evaluator as rl
from forge_core.features.quantized import HIGHEST, code_of
from forge_core.plays.schema import MAX_DEPTH
from forge_core.simd.bitset512 import BLOCK
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import VALUE_BYTES
from forge_core.simd.memory import LINE, address_of, float64_at, int64_at

# A column: the address of its values, of its codes (0: none), their first word, whether they are exact, low and step
(_VALUES, _CODES, _FIRST_WORD, _EXACT, _LOW, _STEP) = range(6)
_COLUMN_SIZE = 6

_BLOCK_BYTES = BLOCK * VALUE_BYTES
_RULE_BYTES = rl.RULE_SIZE * VALUE_BYTES
_ROWS = 2  # of a rule at most: its own and that of the one it is made out of
_STEP_BYTES = rl.STEP_SIZE * VALUE_BYTES


def program_size(code_size: int, groups: int) -> int:
    """Return how many numbers the program of a bytecode takes."""
    instructions = (code_size - bc.HEADER_SIZE) // bc.INSTRUCTION_SIZE
    rules = instructions - 2 * groups
    steps = 2 * groups * rl.STEP_SIZE + (1 + _ROWS) * (rules + groups)
    return LINE + rl.PLAN_SIZE + groups * BLOCK + _ROWS * rules * rl.RULE_SIZE + steps


@compiled
def _choose_code(row, number, exact, low, step):
    """Write the code of a finite number, and whether it decides alone, as it does where codes are exact.

    For `>=`, and for `<`, its contrary, it is the code below where there is nothing between: `x >= 3` is `x > 2`.
    """
    code = code_of(number, low, step)
    sure = exact != 0 and 0.0 <= (number - low) / step < HIGHEST + 1
    at_least = row[rl.COMPARISON] in (bc.AT_LEAST_NUMBER, bc.BELOW_NUMBER)
    if sure and at_least and low + code * step == number:
        if code > 0:
            code -= 1
        else:
            sure = False
    row[rl.B_CODES] = code
    row[rl.SURE] = sure


@compiled
def _is_new(rules, count, codes):
    """Whether none of the rules reads a column's codes."""
    for k in range(count):
        row = int64_at(rules + k * _RULE_BYTES, rl.RULE_SIZE)
        if row[rl.ORIGIN] == 0 and (row[rl.A_CODES] == codes or row[rl.B_CODES] == codes):
            return False
    return True


@compiled
def _write_comparison(rules, count, comparison, left, right, number):
    """Write the next row, of a rule compared itself: ``left`` with ``right``, columns both, or with a number."""
    rule = rules + count * _RULE_BYTES
    row = int64_at(rule, rl.RULE_SIZE)
    row[rl.FETCHES_A] = _is_new(rules, count, left[_CODES])
    row[rl.FETCHES_B] = comparison < bc.ABOVE_NUMBER and _is_new(rules, count, right[_CODES])
    scale = float64_at(address_of(left), _COLUMN_SIZE)
    row[rl.COMPARISON] = comparison
    row[rl.CROSSES] = 0
    row[rl.A] = left[_VALUES]
    row[rl.A_CODES] = left[_CODES]
    row[rl.FIRST_WORD] = rl.NO_WORD
    row[rl.SURE] = 0
    row[rl.ORIGIN] = 0
    row[rl.HAS_EQUAL] = 0
    row[rl.EVALUATED] = -1
    float64_at(rule, rl.RULE_SIZE)[rl.NUMBER] = number
    if comparison >= bc.ABOVE_NUMBER:
        row[rl.B] = 0
        if left[_CODES] != 0 and np.isfinite(number):
            row[rl.FIRST_WORD] = left[_FIRST_WORD]
            _choose_code(row, number, left[_EXACT], scale[_LOW], scale[_STEP])
    else:
        other_scale = float64_at(address_of(right), _COLUMN_SIZE)
        row[rl.B] = right[_VALUES]
        row[rl.B_CODES] = right[_CODES]
        alike = scale[_LOW] == other_scale[_LOW] and scale[_STEP] == other_scale[_STEP]
        if left[_CODES] != 0 and right[_CODES] != 0 and alike:
            row[rl.FIRST_WORD] = max(left[_FIRST_WORD], right[_FIRST_WORD])


@compiled
def _find(rules, count, comparison, crosses, a, b, number, itself):
    """Return the address of the row of a rule, or 0 if there is none; of one that is compared ``itself`` if asked."""
    for k in range(count):
        rule = rules + k * _RULE_BYTES
        row = int64_at(rule, rl.RULE_SIZE)
        if row[rl.A] == a and row[rl.B] == b and row[rl.COMPARISON] == comparison and row[rl.CROSSES] == crosses:
            alike = comparison < bc.ABOVE_NUMBER or float64_at(rule, rl.RULE_SIZE)[rl.NUMBER] == number
            if alike and not (itself and row[rl.ORIGIN] != 0):
                return rule
    return 0


@compiled
def _add_rule(rules, count, instruction, constants, columns):
    """Return the address of a rule's row and how many rows there are then.

    Rules that are alike have one row. `>`, `>=`, `<` and `<=` of the same two, and crossings, are made out of one
    comparison where there are codes; without them each is compared by itself.
    """
    crosses = instruction[0] & bc.CROSSING != 0
    comparison = instruction[0] & (bc.CROSSING - 1)
    left = columns[instruction[1] * _COLUMN_SIZE : (instruction[1] + 1) * _COLUMN_SIZE]
    right = left
    number = 0.0
    a, b = left[_VALUES], np.int64(0)
    if comparison >= bc.ABOVE_NUMBER:
        number = constants[instruction[2]]
    else:
        right = columns[instruction[2] * _COLUMN_SIZE : (instruction[2] + 1) * _COLUMN_SIZE]
        b = right[_VALUES]
    found = _find(rules, count, comparison, crosses, a, b, number, False)
    if found != 0:
        return found, count
    rule = rules + count * _RULE_BYTES
    _write_comparison(rules, count, comparison, left, right, number)
    count += 1
    row = int64_at(rule, rl.RULE_SIZE)
    contrary = comparison in (bc.BELOW_NUMBER, bc.AT_MOST_NUMBER)
    or_equal = comparison in (bc.AT_LEAST, bc.AT_LEAST_NUMBER, bc.BELOW_NUMBER)
    if row[rl.FIRST_WORD] == rl.NO_WORD:
        row[rl.CROSSES] = crosses
        return rule, count
    base = bc.ABOVE
    if comparison >= bc.ABOVE_NUMBER:
        base = bc.AT_LEAST_NUMBER if or_equal and row[rl.SURE] != 0 else bc.ABOVE_NUMBER
    origin = _find(rules, count - 1, base, 0, a, b, number, True)
    if origin == 0 and base == bc.ABOVE:
        origin = _find(rules, count - 1, base, 0, b, a, number, True)
        if origin != 0:  # `a > b` is the contrary of `b >= a`
            contrary, or_equal = True, not or_equal
    if origin == 0:
        if comparison == base and not crosses:
            return rule, count
        origin = rules + count * _RULE_BYTES
        row[rl.ORIGIN] = origin  # it reads no column itself
        _write_comparison(rules, count, base, left, right, number)
        count += 1
    row[rl.CROSSES] = crosses
    row[rl.ORIGIN] = origin
    row[rl.OR_EQUAL] = or_equal
    row[rl.CONTRARY] = contrary
    return rule, count


@compiled
def _append(step, begin, count, value):
    """Append a number to one of a step's lists."""
    row = int64_at(step, rl.STEP_SIZE)
    int64_at(row[begin], row[count] + 1)[row[count]] = value
    row[count] += 1


@compiled
def link(code, constants, columns, memory, size, group_count):
    """Write the program of a Play over ``size`` bars into ``memory``, of ``program_size`` numbers.

    ``columns`` (int64) are laid out as described above. Returns where in ``memory`` the plan begins.
    """
    count = (code.size - bc.HEADER_SIZE) // bc.INSTRUCTION_SIZE
    begin = -(address_of(memory) // VALUE_BYTES) % LINE
    plan_ = memory[begin:]
    plan = address_of(plan_)
    results = plan + rl.PLAN_SIZE * VALUE_BYTES
    rules = results + group_count * _BLOCK_BYTES
    step = rules + _ROWS * (count - 2 * group_count) * _RULE_BYTES
    free = step + 2 * group_count * _STEP_BYTES
    plan_[rl.SIZE] = size
    plan_[rl.READY : rl.READY + bc.GROUPS] = -1
    plan_[rl.RESULTS : rl.PLAN_SIZE] = 0

    opened = np.zeros(MAX_DEPTH + 1, np.int64)  # the steps that opened the groups around
    depth = 0
    known = 0
    k = 0
    for group in range(bc.GROUPS):
        plan_[rl.BOUNDS + group] = step
        while k < code[group + 1]:
            at = bc.HEADER_SIZE + k * bc.INSTRUCTION_SIZE
            instruction = code[at : at + bc.INSTRUCTION_SIZE]
            k += 1
            if instruction[0] < bc.OPEN:
                rule, known = _add_rule(rules, known, instruction, constants, columns)
                origin = int64_at(rule, rl.RULE_SIZE)[rl.ORIGIN]
                if origin != 0:
                    _append(opened[depth], rl.RULES, rl.RULES_COUNT, origin)
                _append(opened[depth], rl.RULES, rl.RULES_COUNT, rule)
                _append(opened[depth], rl.PARTS, rl.PARTS_COUNT, rule + rl.RULE_RESULT * VALUE_BYTES)
                continue
            row = int64_at(step, rl.STEP_SIZE)
            row[rl.HOW] = rl.NO_WAY
            row[rl.TARGET] = 0
            if instruction[0] == bc.OPEN:
                needed, parts = instruction[1], instruction[2]
                row[rl.STEP] = rl.OPEN_ALL if needed == parts else rl.OPEN_ANY if needed == 1 else rl.OPEN_COUNT
                if depth == 0:
                    row[rl.RESULT] = plan + (rl.RESULTS + group * BLOCK) * VALUE_BYTES
                else:
                    around = int64_at(opened[depth], rl.STEP_SIZE)
                    row[rl.TARGET] = around[rl.RESULT]
                    if around[rl.STEP] != rl.OPEN_COUNT:
                        row[rl.HOW] = rl.INTO_ALL if around[rl.STEP] == rl.OPEN_ALL else rl.INTO_ANY
                    row[rl.RESULT] = results
                    results += _BLOCK_BYTES
                row[rl.PARTS] = free
                row[rl.RULES] = free + parts * VALUE_BYTES
                row[rl.PARTS_COUNT] = row[rl.RULES_COUNT] = 0
                free += (1 + _ROWS) * parts * VALUE_BYTES
                depth += 1
                opened[depth] = step
            else:
                within = int64_at(opened[depth], rl.STEP_SIZE)
                row[rl.STEP] = rl.CLOSE_COUNT if within[rl.STEP] == rl.OPEN_COUNT else rl.CLOSE
                row[rl.HOW] = within[rl.HOW]
                row[rl.TARGET] = within[rl.TARGET]
                row[rl.RESULT] = within[rl.RESULT]
                row[rl.PARTS] = within[rl.PARTS]
                row[rl.PARTS_COUNT] = within[rl.PARTS_COUNT]
                row[rl.NEEDED] = instruction[1]
                within[rl.SETTLED] = step + _STEP_BYTES
                depth -= 1
                if depth > 0 and int64_at(opened[depth], rl.STEP_SIZE)[rl.STEP] == rl.OPEN_COUNT:
                    _append(opened[depth], rl.PARTS, rl.PARTS_COUNT, within[rl.RESULT])
            step += _STEP_BYTES
    plan_[rl.BOUNDS + bc.GROUPS] = step
    return begin
