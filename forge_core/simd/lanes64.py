"""Vectors of 64 lanes: comparisons and extremes of a *word*, the bars ``64 w .. 64 w + 63``.

A word of rule results is one 64-bit integer, bit ``j`` for its bar ``j``. The functions are written in LLVM's vector
types, because numba's loops do not vectorize to bit masks: a few instructions each on a processor with wide vectors,
and correct on any other. They read 64 values from each address. A comparison with NaN is false.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.extending import intrinsic

LANES = 64
LANES_SHIFT = 6  # bar >> LANES_SHIFT is its word
VALUE_BYTES = 8

NONE = np.uint64(0)  # bits of no bar of a word, of all its bars, of its first bar
ALL = ~np.uint64(0)
ONE = np.uint64(1)

_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


def _has_masks() -> bool:
    """Return whether the processor has mask registers (AVX-512)."""
    settings: Any = numba.config
    if settings.CPU_NAME is not None or settings.CPU_FEATURES is not None:  # compiling for another processor
        return "+avx512bw" in (settings.CPU_FEATURES or "")
    try:
        return bool(get_host_cpu_features().get("avx512bw", False))
    except RuntimeError:  # not supported by llvmlite on this system
        return False


_HAS_MASKS = _has_masks()


def as_bits(builder: Any, true: Any) -> Any:
    """Return a vector of 64 truth values as an integer.

    On processors without mask registers the integer passes through empty inline assembly, which hides its origin from
    LLVM. Otherwise LLVM would merge vectors of bits where branches join and unpack them bit by bit, which makes a
    backtest four times as slow.
    """
    bits = builder.bitcast(true, _INT64)
    if _HAS_MASKS:
        return bits
    return builder.asm(ir.FunctionType(_INT64, [_INT64]), "", "=r,0", [bits], side_effect=False)


def _load(builder: Any, address: Any) -> Any:
    return builder.load(builder.inttoptr(address, _DOUBLES.as_pointer()), align=VALUE_BYTES)


def repeated(builder: Any, value: Any, vector: Any) -> Any:
    """Return a vector with ``value`` in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, _INT32(0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_INT32, vector.count), [0] * vector.count)
    )


def _comparison(predicate: str, *, with_number: bool) -> Callable[..., Any]:
    """Return a function that compares the values at two addresses, or those at one with a number, and returns bits."""

    @intrinsic
    def compare(typing_context: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x = _load(builder, args[0])
            y = repeated(builder, args[1], _DOUBLES) if with_number else _load(builder, args[1])
            return as_bits(builder, builder.fcmp_ordered(predicate, x, y))

        return types.uint64(types.int64, types.float64 if with_number else types.int64), codegen

    return compare


def _extreme(predicate: str, neutral: float) -> Callable[..., Any]:
    @intrinsic
    def extreme(typing_context: Any, values: Any, chosen: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rest = ir.Constant(_DOUBLES, [neutral] * LANES)
            found = builder.select(builder.bitcast(args[1], _BITS), _load(builder, args[0]), rest)
            width = LANES
            while width > 1:  # reduce by halves
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


lanes_above = _comparison(">", with_number=False)
lanes_at_least = _comparison(">=", with_number=False)
lanes_at_most = _comparison("<=", with_number=False)
lanes_above_number = _comparison(">", with_number=True)
lanes_at_least_number = _comparison(">=", with_number=True)
lanes_below_number = _comparison("<", with_number=True)
lanes_at_most_number = _comparison("<=", with_number=True)

lowest = _extreme("<", float("inf"))
"""Return the minimum of the values whose bits are set; infinity if none is."""
highest = _extreme(">", float("-inf"))
"""Return the maximum of the values whose bits are set; minus infinity if none is."""


@intrinsic
def set_bits(typing_context: Any, bits: Any) -> Any:
    """Return the number of bits that are set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def trailing_zeros(typing_context: Any, bits: Any) -> Any:
    """Return the index of the lowest bit that is set (64 if none is)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


def emit_prefetch(builder: Any, address: Any) -> None:
    """Emit a prefetch of the cache line at an address."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, _INT32, _INT32, _INT32])
    function = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), kind)
    read, keep, data = _INT32(0), _INT32(3), _INT32(1)
    builder.call(function, [builder.inttoptr(address, pointer), read, keep, data])


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Prefetch the cache line at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit_prefetch(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
