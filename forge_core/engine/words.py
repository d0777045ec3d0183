"""Sixty-four bars at a time: comparisons and extremes of a *word*, the bars ``64 w .. 64 w + 63``.

A word of rule results is one 64-bit integer, bit ``j`` for its bar ``j``. Written for LLVM's vector types, each of
these is a few instructions on a machine with wide vectors, and as correct on any other; numba's own loops cannot be led
to bit masks. Values are read from addresses, which must have 64 of them. A comparison with NaN is false.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WORD = 64
WORD_SHIFT = 6  # bar >> WORD_SHIFT is its word
VALUE_BYTES = 8
_LINE_BYTES = 64  # of a processor's cache

_DOUBLES = ir.VectorType(ir.DoubleType(), WORD)
_BITS = ir.VectorType(ir.IntType(1), WORD)
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


def _load(builder: Any, address: Any) -> Any:
    return builder.load(builder.inttoptr(address, _DOUBLES.as_pointer()), align=VALUE_BYTES)


def _prefetch_next(builder: Any, address: Any) -> None:
    """Ask for the values of the next word, which is soon to be read.

    Rules read many columns in turn, more than a processor recognizes as streams by itself.
    """
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, _INT32, _INT32, _INT32])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), kind)
    read, keep, data = _INT32(0), _INT32(3), _INT32(1)
    for line in range(0, WORD * VALUE_BYTES, _LINE_BYTES):
        ahead = builder.add(address, _INT64(WORD * VALUE_BYTES + line))
        builder.call(prefetch, [builder.inttoptr(ahead, pointer), read, keep, data])


def _repeat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_DOUBLES, ir.Undefined)
    first = builder.insert_element(undefined, value, _INT32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, WORD), [0] * WORD))


def _comparison(predicate: str, *, with_number: bool) -> Callable[..., Any]:
    @intrinsic
    def compare(typing_context: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x = _load(builder, args[0])
            y = _repeat(builder, args[1]) if with_number else _load(builder, args[1])
            for column in args[:1] if with_number else args:
                _prefetch_next(builder, column)
            return builder.bitcast(builder.fcmp_ordered(predicate, x, y), _INT64)

        return types.uint64(types.int64, types.float64 if with_number else types.int64), codegen

    return compare


def _extreme(predicate: str, neutral: float) -> Callable[..., Any]:
    @intrinsic
    def extreme(typing_context: Any, values: Any, chosen: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rest = ir.Constant(_DOUBLES, [neutral] * WORD)
            found = builder.select(builder.bitcast(args[1], _BITS), _load(builder, args[0]), rest)
            width = WORD
            while width > 1:  # halves against each other, down to one
                width //= 2
                parts = [
                    builder.shuffle_vector(
                        found, found, ir.Constant(ir.VectorType(_INT32, width), list(range(begin, begin + width)))
                    )
                    for begin in (0, width)
                ]
                found = builder.select(builder.fcmp_ordered(predicate, *parts), *parts)
            return builder.extract_element(found, _INT32(0))

        return types.float64(types.int64, types.uint64), codegen

    return extreme


above = _comparison(">", with_number=False)
at_least = _comparison(">=", with_number=False)
at_most = _comparison("<=", with_number=False)
above_number = _comparison(">", with_number=True)
at_least_number = _comparison(">=", with_number=True)
below_number = _comparison("<", with_number=True)
at_most_number = _comparison("<=", with_number=True)

lowest = _extreme("<", float("inf"))
"""The least of the values whose bits are set; infinity if none is."""
highest = _extreme(">", float("-inf"))
"""The greatest of the values whose bits are set; minus infinity if none is."""


@intrinsic
def trailing_zeros(typing_context: Any, bits: Any) -> Any:
    """Return the number of the lowest bit that is set (64 if none is)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen
