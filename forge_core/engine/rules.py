"""Rule programs: a Play's rules as a few integer vectors, evaluated a block of bars at a time.

A block (``BLOCK`` bars) of results fits the first-level cache, so an evaluation needs no memory that grows with the
bars, and a group that never matters in a block is never computed there. Loops run over slices: only then does numba
know that no index is negative, and LLVM turns them into vector instructions.
"""

import numpy as np

from forge_core.compiled import compiled
from forge_core.engine.pointers import float64_at

BLOCK = 1024
MAX_DEPTH = 8  # groups within groups
MAX_RULES = 255  # of one group: results are counted in a byte

ENTRY_LONG, ENTRY_SHORT, EXIT_LONG, EXIT_SHORT = range(4)  # the groups of a program, in order

(
    OPEN_GROUP,  # begin counting
    CLOSE_GROUP,  # true where the count is at least `value`
    ABOVE,  # a > b
    AT_LEAST,  # a >= b
    CROSS,  # a crosses above b
    ABOVE_VALUE,  # a > value
    AT_LEAST_VALUE,
    BELOW_VALUE,
    AT_MOST_VALUE,
    CROSS_ABOVE_VALUE,
    CROSS_BELOW_VALUE,
) = range(11)


@compiled
def _count(code, a, b, value, size, begin, end, counts):
    """Add 1 to ``counts`` at each bar of ``[begin, end)`` at which one rule is true; NaN makes a rule false."""
    x = float64_at(a, size)[begin:end]
    out = counts[: end - begin]
    if code == ABOVE:
        y = float64_at(b, size)[begin:end]
        for j in range(out.size):
            out[j] += np.uint8(x[j] > y[j])
    elif code == AT_LEAST:
        y = float64_at(b, size)[begin:end]
        for j in range(out.size):
            out[j] += np.uint8(x[j] >= y[j])
    elif code == ABOVE_VALUE:
        for j in range(out.size):
            out[j] += np.uint8(x[j] > value)
    elif code == AT_LEAST_VALUE:
        for j in range(out.size):
            out[j] += np.uint8(x[j] >= value)
    elif code == BELOW_VALUE:
        for j in range(out.size):
            out[j] += np.uint8(x[j] < value)
    elif code == AT_MOST_VALUE:
        for j in range(out.size):
            out[j] += np.uint8(x[j] <= value)
    else:
        skip = 1 if begin == 0 else 0  # the first bar has no predecessor
        x = float64_at(a, size)[begin + skip : end]
        before = float64_at(a, size)[begin + skip - 1 : end - 1]
        out = counts[skip : end - begin]
        if code == CROSS:
            y = float64_at(b, size)[begin + skip : end]
            other = float64_at(b, size)[begin + skip - 1 : end - 1]
            for j in range(out.size):
                out[j] += np.uint8((x[j] > y[j]) & (before[j] <= other[j]))
        elif code == CROSS_ABOVE_VALUE:
            for j in range(out.size):
                out[j] += np.uint8((x[j] > value) & (before[j] <= value))
        else:
            for j in range(out.size):
                out[j] += np.uint8((x[j] < value) & (before[j] >= value))


@compiled
def evaluate_block(codes, a, b, values, first, last, size, begin, end, stack, result):
    """Evaluate instructions ``first..last-1``, one outer group, on bars ``[begin, end)``.

    ``stack`` is uint8 ``(MAX_DEPTH, BLOCK)`` scratch space; ``result`` uint8 ``(BLOCK,)`` gets 1 where true, else 0.
    """
    width = end - begin
    depth = -1
    for k in range(first, last):
        code = codes[k]
        if code == OPEN_GROUP:
            depth += 1
            stack[depth, :width] = 0
        elif code == CLOSE_GROUP:
            counts = stack[depth, :width]
            needed = np.uint8(values[k])
            depth -= 1
            if depth < 0:
                out = result[:width]
                for j in range(width):
                    out[j] = np.uint8(counts[j] >= needed)
                return
            outer = stack[depth, :width]
            for j in range(width):
                outer[j] += np.uint8(counts[j] >= needed)
        else:
            _count(code, a[k], b[k], values[k], size, begin, end, stack[depth])
