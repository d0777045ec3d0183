"""Linking of a Play to a feed: bitmaps of its rules, from the feed's cache, and of its groups."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.signals.bytecode import GROUPS, Bytecode, Rule, bytecode_of
from forge_core.engine.signals.comparison import RULE, fill_bitmaps
from forge_core.engine.signals.evaluator import PROGRAM, combine_rules
from forge_core.engine.signals.hours import Marks, entry_hours, flat_closes
from forge_core.errors import PlayError
from forge_core.features.column import Column, read_only
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed
from forge_core.plays.model import Play
from forge_core.simd.bitset512 import BLOCK
from forge_core.simd.lanes64 import LANES
from forge_core.simd.memory import address

Bitmap = NDArray[np.uint64]
_RULE = struct.Struct("qdq")  # the fields of RULE before the columns


@dataclass(frozen=True)
class Program:
    """A linked Play: ``record`` is one ``PROGRAM``, ``first_signal`` the first bar at which rules count.

    ``bitmaps`` and ``columns`` keep the memory at its addresses alive. ``flat`` marks the closes at which ``flat_by``
    closes positions, which the exit groups include.
    """

    record: NDArray[np.void]
    first_signal: int
    bitmaps: Bitmap
    columns: list[Column]
    flat: Marks | None


def link_play(play: Play, feed: Feed) -> Program:
    """Link ``play`` to ``feed``; raises PlayError if the feed's instrument cannot trade it."""
    if play.timeframe != feed.timeframe:
        raise PlayError(f"Play {play.name!r} trades {play.timeframe} bars, got data of {feed.timeframe} bars")
    if play.entry_short is not None and play.sides != "long" and not feed.instrument.shortable:
        raise PlayError(
            f"Play {play.name!r} sells {feed.instrument.symbol} short, which is not shortable; use `sides: long`"
        )
    bytecode = bytecode_of(play)
    bitmaps = _group_bitmaps(bytecode, feed)
    flat = _apply_hours(play, feed, bitmaps) if play.when is not None or play.flat_by is not None else None
    atr = [
        None if reference is None else _in_traded_prices(_column(reference, feed), feed) for reference in bytecode.atr
    ]
    begin, group_bytes = address(bitmaps, np.uint64), bitmaps.nbytes // GROUPS
    stop, target, trail = (0 if column is None else column.address for column in atr)
    record = PROGRAM.pack(
        entry_long=begin,
        entry_short=begin + group_bytes,
        exit_long=begin + 2 * group_bytes,
        exit_short=begin + 3 * group_bytes,
        words=bitmaps.size // GROUPS,
        stop_atr=stop,
        target_atr=target,
        trail_atr=trail,
    )
    first_signal = max(feed.start, play.warmup_bars, *map(feed.columns.warmup, bytecode.columns))
    return Program(record, first_signal, bitmaps, [column for column in atr if column is not None], flat)


def _apply_hours(play: Play, feed: Feed, bitmaps: Bitmap) -> Marks | None:
    """Clear entries outside ``when`` and set exits at ``flat_by`` in place; return the closes of ``flat_by``."""
    groups = bitmaps.reshape(GROUPS, -1)  # long and short entries, long and short exits
    hours, flat = entry_hours(play, feed), flat_closes(play, feed)
    if hours is not None:
        groups[:2] &= _packed_bits(hours, groups.shape[1])
    if flat is not None:
        groups[2:] |= _packed_bits(flat, groups.shape[1])
    return flat


def _packed_bits(marks: Marks, words: int) -> Bitmap:
    """Return marks as a bitmap of ``words`` words, one bit per bar, 0 beyond the last."""
    bits = np.zeros(words * LANES, np.bool_)
    bits[: marks.size] = marks
    return np.packbits(bits, bitorder="little").view(np.uint64)


def _in_traded_prices(atr: Column, feed: Feed) -> Column:
    """Return an ATR in adjusted prices as a distance in traded prices."""
    return atr if feed.price_scale is None else Column(read_only(atr.data / feed.price_scale))


def _group_bitmaps(bytecode: Bytecode, feed: Feed) -> Bitmap:
    """Return the four group bitmaps, one after the other; compare the rules that are not cached."""
    words = feed.bitmap_words
    groups = np.empty(GROUPS * words, np.uint64)
    with feed.rule_bitmaps.borrow(bytecode.rules) as rules:
        if rules.missing:
            _compare_rules([(bytecode.rules[k], int(rules.addresses[k])) for k in rules.missing], feed)
        combine_rules(bytecode.code, rules.addresses, address(groups, np.uint64), words // BLOCK)
    return groups


def _compare_rules(rules: list[tuple[Rule, int]], feed: Feed) -> None:
    """Fill the bitmaps of ``rules`` at their addresses."""
    columns: dict[FeatureRef, Column] = {}  # alive until all rules are compared

    def packed(reference: FeatureRef) -> bytes:
        column = columns.get(reference)
        if column is None:
            column = columns[reference] = _column(reference, feed)
        return column.packed

    parts = []
    for (comparison, left, right), bitmap in rules:
        first = packed(left)
        if isinstance(right, FeatureRef):
            parts += [_RULE.pack(comparison, 0.0, bitmap), first, packed(right)]
        else:
            parts += [_RULE.pack(comparison, right, bitmap), first, first]
    records = np.frombuffer(b"".join(parts), np.uint8)
    fill_bitmaps(address(records, np.uint8), records.size // RULE.itemsize, len(feed))


def _column(reference: FeatureRef, feed: Feed) -> Column:
    column = feed.columns.quantized_column(reference)
    if column.data.size != len(feed):
        raise ValueError(f"column {reference} has {column.data.size} values; expected {len(feed)}, one per bar")
    return column
