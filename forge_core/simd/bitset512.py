"""Bitsets of 512 bars: comparison of codes and combination of rule results, a few vector instructions each.

A block of results is ``BLOCK`` words of 64 bits in memory, one bit per bar. All functions take addresses; an address of
codes must have ``BLOCK * LANES`` of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from forge_core.simd.lanes64 import LANES, VALUE_BYTES, as_bits, repeated

BLOCK = 8  # words
BLOCK_SHIFT = 3  # word >> BLOCK_SHIFT is its block
CODE_BYTES = 2

_INT16 = ir.IntType(16)
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_DIGITS, _FEW_DIGITS = 8, 4  # binary digits of a count
MAX_COUNT = 2**_DIGITS - 1  # bitsets that `count_into` can add up
FEW = 2**_FEW_DIGITS - 1  # and `count_few_into`
_CODES = ir.VectorType(_INT16, LANES)
_WORDS = ir.VectorType(_INT64, BLOCK)
_ALL = 2**64 - 1


def _same(word: int) -> Any:
    """Return a block with ``word`` in every lane."""
    return ir.Constant(_WORDS, [word] * BLOCK)


def _codes_at(builder: Any, address: Any, word: int) -> Any:
    place = builder.add(address, _INT64(word * LANES * CODE_BYTES))
    return builder.load(builder.inttoptr(place, _CODES.as_pointer()), align=CODE_BYTES)


def _store_word(builder: Any, block: Any, word: int, bits: Any) -> None:
    place = builder.add(block, _INT64(word * VALUE_BYTES))
    builder.store(bits, builder.inttoptr(place, _INT64.as_pointer()), align=VALUE_BYTES)


def _compare(builder: Any, block: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """Set the bits of a block where the first code of a pair is greater; return whether any codes are equal."""
    least = None  # difference: 0 where codes are equal
    for word, (x, y) in enumerate(pairs):
        _store_word(builder, block, word, as_bits(builder, builder.icmp_unsigned(">", x, y)))
        difference = builder.xor(x, y)
        if least is None:
            least = difference
        else:
            least = builder.select(builder.icmp_unsigned("<", least, difference), least, difference)
    equal = as_bits(builder, builder.icmp_unsigned("==", least, ir.Constant(_CODES, [0] * LANES)))
    return builder.icmp_unsigned("!=", equal, _INT64(0))


@intrinsic
def above(typing_context: Any, block: Any, left: Any, right: Any) -> Any:
    """Set the bits of a block where the codes at ``left`` exceed those at ``right``; return whether any are equal."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block, left, right = args
        pairs = [tuple(_codes_at(builder, codes, word) for codes in (left, right)) for word in range(BLOCK)]
        return _compare(builder, block, pairs)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def above_number(typing_context: Any, block: Any, codes: Any, number: Any) -> Any:
    """Set the bits of a block where codes exceed the code ``number``; return whether any are equal to it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block, codes, number = args
        other = repeated(builder, builder.trunc(number, _INT16), _CODES)
        return _compare(builder, block, [(_codes_at(builder, codes, word), other) for word in range(BLOCK)])

    return types.boolean(types.int64, types.int64, types.int64), codegen


def _equality(*, with_number: bool) -> Callable[..., Any]:
    @intrinsic
    def equal(typing_context: Any, block: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            block, left, right = args
            number = repeated(builder, builder.trunc(right, _INT16), _CODES) if with_number else None
            for word in range(BLOCK):
                y = number if with_number else _codes_at(builder, right, word)
                true = builder.icmp_unsigned("==", _codes_at(builder, left, word), y)
                _store_word(builder, block, word, as_bits(builder, true))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), codegen

    return equal


def _block_at(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORDS.as_pointer())


def _words_of(builder: Any, block: Any) -> Any:
    return builder.load(_block_at(builder, block), align=VALUE_BYTES)


def _set_words(builder: Any, block: Any, words: Any) -> None:
    builder.store(words, _block_at(builder, block), align=VALUE_BYTES)


equal = _equality(with_number=False)
equal_number = _equality(with_number=True)


@contextmanager
def _for_each(builder: Any, members: Any, count: Any) -> Iterator[Any]:
    """Loop over the words of ``count`` blocks; ``members`` is the address of their addresses."""
    with cgutils.for_range(builder, count) as each:
        place = builder.add(members, builder.mul(each.index, _INT64(VALUE_BYTES)))
        yield _words_of(builder, builder.load(builder.inttoptr(place, _INT64.as_pointer())))


def _joined(operation: str, beginning: int) -> Callable[..., Any]:
    """Return a function that combines ``count`` blocks; ``members`` is the address of their addresses."""

    @intrinsic
    def join(typing_context: Any, block: Any, members: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            block, members, count = args
            found = cgutils.alloca_once(builder, _WORDS)
            builder.store(_same(beginning), found)
            with _for_each(builder, members, count) as words:
                builder.store(getattr(builder, operation)(builder.load(found), words), found)
            _set_words(builder, block, builder.load(found))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), codegen

    return join


all_into = _joined("and_", _ALL)
any_into = _joined("or_", 0)


def _counted(size: int) -> Callable[..., Any]:
    """Return a function that sets the bits that are set in at least ``needed`` of ``count`` blocks.

    ``members`` is the address of their addresses. Bits are counted in ``size`` binary digits, one vector per digit: the
    sum of a digit and a bit is their xor, the carry their and. Then the count is compared digit by digit, the lowest
    first.
    """

    @intrinsic
    def count_up(typing_context: Any, block: Any, members: Any, count: Any, needed: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            block, members, count, needed = args
            digits = [cgutils.alloca_once(builder, _WORDS) for _ in range(size)]
            for digit in digits:
                builder.store(_same(0), digit)
            with _for_each(builder, members, count) as words:
                carry = words
                for digit in digits:
                    old = builder.load(digit)
                    builder.store(builder.xor(old, carry), digit)
                    carry = builder.and_(old, carry)
            enough = _same(_ALL)
            for number, digit in enumerate(digits):
                asked = builder.trunc(builder.lshr(needed, _INT64(number)), ir.IntType(1))
                mask = repeated(builder, builder.sext(asked, _INT64), _WORDS)
                value = builder.load(digit)
                both, either = builder.and_(value, enough), builder.or_(value, enough)
                enough = builder.or_(both, builder.and_(either, builder.not_(mask)))
            _set_words(builder, block, enough)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), codegen

    return count_up


count_into = _counted(_DIGITS)
count_few_into = _counted(_FEW_DIGITS)
