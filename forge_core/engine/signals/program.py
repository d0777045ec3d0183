"""Link a Play to a feed: its bytecode and the feed's columns make the program that the kernel runs."""

from dataclasses import dataclass

import numpy as np

from forge_core.engine.signals.bytecode import bytecode_of
from forge_core.engine.signals.linker import link, program_size
from forge_core.errors import PlayError
from forge_core.features.column import Column, read_only
from forge_core.feeds.feed import Feed, Integers
from forge_core.plays.model import Play


@dataclass(frozen=True)
class Program:
    """What the kernel runs: ``plan`` of ``engine.signals.evaluator``, with all that its addresses lead to.

    ``atr`` holds the addresses of the ATR columns of stop, target and trail in traded prices (0 where none is needed);
    ``columns`` are kept alive as long as the program is. One run at a time: results of rules are kept in the program.
    """

    plan: Integers
    atr: Integers
    first_signal: int
    columns: list[Column]


def link_play(play: Play, feed: Feed) -> Program:
    """Link ``play`` to ``feed``; raises PlayError where the feed's instrument cannot trade it."""
    if play.timeframe != feed.timeframe:
        raise PlayError(f"Play {play.name!r} trades {play.timeframe} bars, the data has {feed.timeframe}")
    if play.entry_short is not None and play.sides != "long" and not feed.instrument.shortable:
        raise PlayError(
            f"Play {play.name!r} sells {feed.instrument.symbol} short, which is not shortable; use `sides: long`"
        )
    bytecode, source, size = bytecode_of(play), feed.columns, len(feed)
    columns = [source.coded(reference) for reference in bytecode.columns]
    for reference, column in zip(bytecode.columns, columns, strict=True):
        if column.data.size != size:
            raise ValueError(f"column {reference} has {column.data.size} values, the feed {size} bars")
    memory = np.empty(program_size(bytecode.code.size, bytecode.groups), np.int64)
    packed = np.frombuffer(b"".join([column.packed for column in columns]), np.int64)
    begin = link(bytecode.code, bytecode.constants, packed, memory, size, bytecode.groups)
    traded = {place: _in_traded_prices(columns[place], feed) for place in bytecode.atr if place >= 0}
    columns.extend(traded.values())
    return Program(
        memory[begin:],
        np.array([traded[place].address if place >= 0 else 0 for place in bytecode.atr], np.int64),
        max(feed.start, play.warmup_bars, *map(source.warmup, bytecode.columns)),
        columns,
    )


def _in_traded_prices(atr: Column, feed: Feed) -> Column:
    """Return an ATR that features see as a distance in traded prices."""
    return atr if feed.price_scale is None else Column(read_only(atr.data / feed.price_scale))
