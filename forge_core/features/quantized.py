"""Quantized columns: order-preserving codes of 16 bits per value.

``x < y`` implies ``code(x) <= code(y)``: where codes differ they order the values; only where they are equal must the
values themselves be compared. That is a quarter of the memory traffic and of the comparisons, with identical results.

``code(x) = floor((x - low) / step)``, clipped to 0 and 65,535. ``step`` is a power of two and ``low`` a multiple of
16,384 steps, so that columns of similar values (two averages of a price) mostly share both, and their codes can be
compared with each other.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forge_core.simd.bitset512 import BLOCK
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import LANES
from forge_core.simd.memory import LINE, PicklesFieldsOnly, address, line_aligned

Floats = NDArray[np.float64]

HIGHEST = 2**16 - 1
_GRID = 2.0**14  # steps
_HEAD = 4  # numbers before the codes: low, step, first word, lossless flag
_PER_NUMBER = 4  # codes per float64
_BLOCK_CODES = BLOCK * LANES  # codes per read, which may extend beyond the last one
_SMALLEST = 2.0**-900  # smallest step; its inverse is finite


@dataclass(frozen=True)
class Quantized(PicklesFieldsOnly):
    """Codes of a column (uint16), and the parameters of the quantization.

    From word ``first_word`` on the column has no NaN, nor has the bar before it. Codes are ``lossless`` where every
    value is ``low + code * step``, as in a column of small integers.
    """

    low: float
    step: float
    first_word: int
    lossless: bool
    data: NDArray[np.uint16]

    @cached_property
    def address(self) -> int:
        """Address of the codes."""
        return address(self.data, np.uint16)


def block_size(count: int) -> int:
    """Return the size of the block of ``count`` codes in float64 numbers."""
    return _begin(count) + -(-count // _BLOCK_CODES) * (_BLOCK_CODES // _PER_NUMBER)


def _begin(count: int) -> int:
    """Return the position of the first code in the block of ``count`` codes.

    It is aligned to a cache line if the block follows ``count`` numbers that are aligned to one, as in a bank file.
    """
    return _HEAD + -(count + _HEAD) % LINE


def quantize(values: Floats) -> Floats:
    """Return the codes of ``values`` (shape (n,)) as a block of ``block_size(n)`` numbers, ready to be stored."""
    block = line_aligned(block_size(values.size), np.float64, offset=_begin(values.size))
    block[:] = 0.0
    values = values.view()
    values.flags.writeable = False  # like most columns: one type, one compilation
    _quantize(values, block[:_HEAD], _codes_of(block, values.size))
    return block


def open_quantized(block: Floats, count: int) -> Quantized:
    """Return the ``count`` codes of a block returned by ``quantize``."""
    low, step, first_word, lossless = block[:_HEAD].tolist()
    return Quantized(low, step, int(first_word), bool(lossless), _codes_of(block, count))


def _codes_of(block: Floats, count: int) -> NDArray[np.uint16]:
    return block[_begin(count) :].view(np.uint16)[:count]


@compiled
def code_of(number, low, step):  # type: ignore[no-untyped-def]
    """Return the code of a finite number."""
    return np.int64(min(max((number - low) / step, 0.0), float(HIGHEST)))


@compiled
def _quantize(values, head, codes):  # type: ignore[no-untyped-def]
    """Fill ``head`` (low, step, first word, lossless flag) and ``codes`` in place."""
    least = np.inf
    most = -np.inf
    last_nan = -1
    for i in range(values.size):
        x = values[i]
        if np.isnan(x):
            last_nan = i
        elif np.isfinite(x):
            least = min(least, x)
            most = max(most, x)
    low = 0.0
    step = 1.0
    span = most - least
    if least <= most and np.isfinite(span):
        exponent = math.frexp(span)[1]  # span < 2 ** exponent
        for room in (math.ldexp(1.0, exponent), math.ldexp(1.0, exponent + 1)):
            step = max(room / (HIGHEST + 1), _SMALLEST)
            low = np.floor(least / (step * _GRID)) * (step * _GRID)
            if most - low < room:
                break
    if not np.isfinite(low):
        low = 0.0
        step = 1.0
    head[0] = low
    head[1] = step
    head[2] = (last_nan + 1) // LANES + 1
    inverse = 1.0 / step  # exact, as it is a power of two
    lossless = True
    for i in range(values.size):
        x = (values[i] - low) * inverse
        code = min(max(np.floor(x), 0.0), float(HIGHEST)) if x == x else 0.0
        lossless &= low + code * step == values[i] or x != x
        codes[i] = np.uint16(code)
    head[3] = lossless
