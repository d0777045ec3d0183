"""Linking of a Play to a feed: bitmaps of its rules, from the feed's cache, and of its groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.signals.bytecode import GROUPS, Bytecode, Rule, bytecode_of
from forge_core.engine.signals.comparison import fill_bitmap
from forge_core.engine.signals.evaluator import combine_rules
from forge_core.errors import PlayError
from forge_core.features.column import Column, read_only
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed, Integers
from forge_core.plays.model import Play
from forge_core.simd.bitset512 import BLOCK
from forge_core.simd.lanes64 import LANES
from forge_core.simd.memory import address

Bitmap = NDArray[np.uint64]


@dataclass(frozen=True)
class Program:
    """A linked Play: ``plan`` has the addresses of the four group bitmaps and the number of words of each.

    ``atr`` has the addresses of the ATR columns of stop, target and trail in traded prices (0 where none is needed).
    ``bitmaps`` and ``columns`` keep the memory at these addresses alive.
    """

    plan: Integers
    atr: Integers
    first_signal: int
    bitmaps: Bitmap
    columns: list[Column]


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
    atr = [
        None if reference is None else _in_traded_prices(_column(reference, feed), feed) for reference in bytecode.atr
    ]
    return Program(
        np.append(bitmaps.ctypes.data + np.arange(GROUPS) * (bitmaps.nbytes // GROUPS), bitmaps.size // GROUPS),
        np.array([0 if column is None else column.address for column in atr], np.int64),
        max(feed.start, play.warmup_bars, *map(feed.columns.warmup, bytecode.columns)),
        bitmaps,
        [column for column in atr if column is not None],
    )


def _in_traded_prices(atr: Column, feed: Feed) -> Column:
    """Return an ATR in adjusted prices as a distance in traded prices."""
    return atr if feed.price_scale is None else Column(read_only(atr.data / feed.price_scale))


def _group_bitmaps(bytecode: Bytecode, feed: Feed) -> Bitmap:
    blocks = -(-len(feed) // (BLOCK * LANES))
    cached = feed.rule_bitmaps
    rules = []
    for rule in bytecode.rules:
        bitmap = cached.get(rule)
        if bitmap is None:
            bitmap = _rule_bitmap(rule, feed, blocks)
            cached.put(rule, bitmap)
        rules.append(bitmap)
    addresses = np.array([bitmap.ctypes.data for bitmap in rules], np.int64)
    bitmaps = np.empty(GROUPS * blocks * BLOCK, np.uint64)
    combine_rules(bytecode.code, addresses, bitmaps.ctypes.data, blocks)
    return bitmaps


def _rule_bitmap(rule: Rule, feed: Feed, blocks: int) -> Bitmap:
    left = _column(rule.left, feed)
    right, number = left, 0.0
    if isinstance(rule.right, FeatureRef):
        right = _column(rule.right, feed)
    else:
        number = rule.right
    bitmap = np.empty(blocks * BLOCK, np.uint64)
    fill_bitmap(address(bitmap, np.uint64), rule.comparison, _packed(left), _packed(right), number, len(feed))
    return bitmap


def _packed(column: Column) -> Integers:
    return np.frombuffer(column.packed, np.int64)


def _column(reference: FeatureRef, feed: Feed) -> Column:
    column = feed.columns.quantized_column(reference)
    if column.data.size != len(feed):
        raise ValueError(f"column {reference} has {column.data.size} values; expected {len(feed)}, one per bar")
    return column
