"""Group bitmaps of a Play: combined from those of its rules, read by the kernel."""

import numpy as np

from forge_core.engine.signals.bytecode import GROUPS, HEADER_SIZE, INSTRUCTION_SIZE
from forge_core.plays.schema import MAX_DEPTH, MAX_RULES
from forge_core.simd.bitset512 import BLOCK, FEW, all_into, any_into, count_few_into, count_into
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import NONE, VALUE_BYTES
from forge_core.simd.memory import RecordLayout, address_of, elements_at, records_at, uint64_at

# A linked Play: addresses of the group bitmaps, in the order of the bytecode, and their number of words; addresses of
# the ATR columns of stop, target and trail in traded prices (0: none)
PROGRAM = RecordLayout(
    entry_long=int,
    entry_short=int,
    exit_long=int,
    exit_short=int,
    words=int,
    stop_atr=int,
    target_atr=int,
    trail_atr=int,
)
_PROGRAM = PROGRAM.dtype

_STACK = MAX_DEPTH * MAX_RULES  # operands on the stack at most, of all enclosing groups
_BLOCK_BYTES = BLOCK * VALUE_BYTES


@compiled
def program_at(number):
    """Return the linked Play at an address."""
    return records_at(number, 1, _PROGRAM)[0]


@compiled
def bits(bitmap, program, word):
    """Return the results of a group of ``program`` on bars ``64 word .. 64 word + 63``; 0 beyond the last bar."""
    return uint64_at(bitmap, program.words)[np.uint64(word)]  # unsigned: no test for a negative index


@compiled
def combine_rules(code, rules, bitmaps, blocks):
    """Fill the four consecutive group bitmaps at address ``bitmaps``, each of ``blocks`` blocks of 512 bars.

    ``code`` is a Play's bytecode, ``rules`` the addresses of its rules' bitmaps. A group without instructions is
    false.
    """
    operands = np.empty(_STACK, np.int64)
    results = np.empty(_STACK * BLOCK, np.uint64)
    operands_at, results_at = address_of(operands), address_of(results)
    for block in range(blocks):
        offset = block * _BLOCK_BYTES
        k = 0
        for group in range(GROUPS):
            bitmap = elements_at(bitmaps, group * blocks + block, 1, GROUPS * blocks, _BLOCK_BYTES)
            if code[group] == code[group + 1]:
                uint64_at(bitmap, BLOCK)[:] = NONE
            top = 0
            while k < code[group + 1]:
                at = HEADER_SIZE + k * INSTRUCTION_SIZE
                count, argument = code[at], code[at + 1]
                k += 1
                if count == 0:
                    operands[top] = rules[argument] + offset
                    top += 1
                    continue
                top -= count
                members = elements_at(operands_at, top, count, _STACK, VALUE_BYTES)
                result = bitmap
                if k < code[group + 1]:
                    result = elements_at(results_at, top, 1, _STACK, _BLOCK_BYTES)
                if argument == count:
                    all_into(result, members, count)
                elif argument == 1:
                    any_into(result, members, count)
                elif count <= FEW:
                    count_few_into(result, members, count, argument)
                else:
                    count_into(result, members, count, argument)
                operands[top] = result
                top += 1
