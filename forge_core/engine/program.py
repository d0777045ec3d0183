"""Compile a Play against a feed: rules to instructions, features to column addresses."""

from dataclasses import dataclass
from itertools import accumulate
from math import isfinite

import numpy as np

from forge_core.engine import rules
from forge_core.engine.feed import Column, Feed, Integers
from forge_core.engine.pointers import address
from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Distance, Group, Play, Trend

_COLUMN_OPERATIONS = {">": rules.ABOVE, ">=": rules.AT_LEAST, "crosses_above": rules.CROSS}
_MIRRORED_OPERATIONS = {"<": rules.ABOVE, "<=": rules.AT_LEAST, "crosses_below": rules.CROSS}
_NUMBER_OPERATIONS = {
    ">": rules.ABOVE_VALUE,
    ">=": rules.AT_LEAST_VALUE,
    "<": rules.BELOW_VALUE,
    "<=": rules.AT_MOST_VALUE,
    "crosses_above": rules.CROSS_ABOVE_VALUE,
    "crosses_below": rules.CROSS_BELOW_VALUE,
}

_OF_THE_NUMBER = {rules.AT_LEAST_VALUE, rules.BELOW_VALUE, rules.CROSS_BELOW_VALUE}  # the number itself is above
_NO_CODES = (0, 0, rules.NO_WORD, 0)
_STACK_SIZE = (rules.MAX_DEPTH + 1) * rules.FRAME


@dataclass(frozen=True)
class Program:
    """What the kernel runs: ``plan`` leads to the instructions of ``engine.rules`` and to their scratch space.

    ``atr`` holds the addresses of the ATR columns of stop, target and trail (0 where none is needed); ``columns`` are
    kept alive as long as the program is. One run at a time: the scratch space is the program's own.
    """

    plan: Integers
    atr: Integers
    first_signal: int
    columns: tuple[Column, ...]


class _Compiler:
    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.instructions: list[int] = []  # INSTRUCTION numbers each
        self.values: list[float] = []
        self.columns: dict[FeatureRef, Column] = {}
        self.warmup = feed.start

    def locate(self, reference: FeatureRef) -> Column:
        source = self.feed.columns
        column = source.coded(reference)
        if column.data.size != len(self.feed):
            raise ValueError(f"column {reference} has {column.data.size} values, the feed {len(self.feed)} bars")
        self.columns[reference] = column
        self.warmup = max(self.warmup, source.warmup(reference))
        return column

    def add(self, operation: int, a: int, b: int, value: float, codes: tuple[int, int, int, int] = _NO_CODES) -> None:
        self.instructions += (operation, a, b, *codes)
        self.values.append(value)

    def against_number(self, operation: int, reference: FeatureRef, number: float) -> None:
        column = self.columns.get(reference) or self.locate(reference)
        codes = column.codes
        if codes is None or not isfinite(number):
            self.add(operation, column.address, 0, number)
            return
        code, sure = codes.of(number), codes.exact and codes.covers(number)
        if sure and operation in _OF_THE_NUMBER and codes.on_grid(number):
            code -= 1  # `x >= 3` is `x > 2` where there is nothing between
            sure = code >= 0
            code = max(code, 0)
        self.add(operation, column.address, 0, number, (codes.address, code, codes.first_word, int(sure)))

    def against_column(self, operation: int, left: FeatureRef, right: FeatureRef) -> None:
        a = self.columns.get(left) or self.locate(left)
        b = self.columns.get(right) or self.locate(right)
        if a.codes is None or b.codes is None or not a.codes.comparable(b.codes):
            self.add(operation, a.address, b.address, 0.0)
        else:
            first_word = max(a.codes.first_word, b.codes.first_word)
            self.add(operation, a.address, b.address, 0.0, (a.codes.address, b.codes.address, first_word, 0))

    def group(self, group: Group, depth: int = 1) -> None:
        count = len(group.rules)
        if depth > rules.MAX_DEPTH:
            raise PlayError(f"rules are nested deeper than {rules.MAX_DEPTH} groups")
        if count > rules.MAX_RULES:
            raise PlayError(f"a group of {count} rules: at most {rules.MAX_RULES} are allowed")
        needed = group.at_least
        kind = rules.OPEN_ALL if needed == count else rules.OPEN_ANY if needed == 1 else rules.OPEN_COUNT
        opening = len(self.values)
        self.add(kind, 0, count.bit_length(), 0.0)
        groups = []  # come last: the rest may settle a word
        for rule in group.rules:
            if isinstance(rule, Group):
                groups.append(rule)
            else:
                self.rule(rule)
        for inner in groups:
            self.group(inner, depth + 1)
        self.instructions[opening * rules.INSTRUCTION + rules.A] = len(self.values)
        self.add(rules.CLOSE, 0, 0, float(needed))

    def rule(self, rule: Compare | Trend) -> None:
        if isinstance(rule, Trend):
            operation = rules.AT_LEAST_VALUE if rule.direction == "rising" else rules.AT_MOST_VALUE
            signed = float(rule.bars if rule.direction == "rising" else -rule.bars)
            self.against_number(operation, rule.feature.streak(), signed)
        elif not isinstance(rule.right, FeatureRef):
            self.against_number(_NUMBER_OPERATIONS[rule.operator], rule.left, float(rule.right))
        elif rule.operator in _COLUMN_OPERATIONS:
            self.against_column(_COLUMN_OPERATIONS[rule.operator], rule.left, rule.right)
        else:  # `a < b` is `b > a`
            self.against_column(_MIRRORED_OPERATIONS[rule.operator], rule.right, rule.left)

    def program(self, bounds: list[int], atr: list[int], first_signal: int) -> Program:
        count = len(self.values)
        groups, length = rules.GROUPS, len(self.instructions)
        sizes = (rules.PLAN_SIZE, groups + 1, groups, groups, _STACK_SIZE, count, length)
        plan_end, bounds_end, ready_end, results_end, stack_end, values_end, end = accumulate(sizes)
        memory = np.empty(end, np.int64)  # all of the program: one allocation, one address
        begin = address(memory, np.int64)
        memory[rules.INSTRUCTIONS] = begin + values_end * memory.itemsize
        memory[rules.VALUES] = begin + stack_end * memory.itemsize
        memory[rules.BOUNDS] = begin + plan_end * memory.itemsize
        memory[rules.SIZE] = len(self.feed)
        memory[rules.READY] = begin + bounds_end * memory.itemsize
        memory[rules.RESULTS] = begin + ready_end * memory.itemsize
        memory[rules.STACK] = begin + results_end * memory.itemsize
        memory[plan_end:bounds_end] = bounds
        memory[bounds_end:ready_end] = -1
        memory.view(np.float64)[stack_end:values_end] = self.values
        memory[values_end:] = self.instructions
        return Program(memory, np.array(atr, np.int64), first_signal, tuple(self.columns.values()))


def compile_play(play: Play, feed: Feed) -> Program:
    """Compile ``play`` for ``feed``; raises PlayError where the feed's instrument cannot trade it."""
    if play.timeframe != feed.timeframe:
        raise PlayError(f"Play {play.name!r} trades {play.timeframe} bars, the data has {feed.timeframe}")
    if play.entry_short is not None and play.sides != "long" and not feed.instrument.shortable:
        raise PlayError(
            f"Play {play.name!r} sells {feed.instrument.symbol} short, which is not shortable; use `sides: long`"
        )
    compiler = _Compiler(feed)
    bounds = [0]
    for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short):
        if group is not None:
            compiler.group(group)
        bounds.append(len(compiler.values))
    risk = play.risk
    atr = [_atr_address(compiler, distance) for distance in (risk.stop, risk.take_profit, risk.trailing)]
    return compiler.program(bounds, atr, max(compiler.warmup, play.warmup_bars))


def _atr_address(compiler: _Compiler, distance: Distance | None) -> int:
    if distance is None or distance.kind != "atr":
        return 0
    reference = make_reference("atr", {"timeperiod": distance.timeperiod}, timeframe=compiler.feed.timeframe)
    return compiler.locate(reference).address
