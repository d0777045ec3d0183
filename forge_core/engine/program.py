"""Compile a Play against a feed: rules to instructions, features to column addresses."""

from dataclasses import dataclass

import numpy as np

from forge_core.engine import rules
from forge_core.engine.feed import Feed, Floats, Integers
from forge_core.engine.pointers import address
from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Distance, Group, Play, Trend

_COLUMN_CODES = {">": rules.ABOVE, ">=": rules.AT_LEAST, "crosses_above": rules.CROSS}
_MIRRORED_CODES = {"<": rules.ABOVE, "<=": rules.AT_LEAST, "crosses_below": rules.CROSS}
_VALUE_CODES = {
    ">": rules.ABOVE_VALUE,
    ">=": rules.AT_LEAST_VALUE,
    "<": rules.BELOW_VALUE,
    "<=": rules.AT_MOST_VALUE,
    "crosses_above": rules.CROSS_ABOVE_VALUE,
    "crosses_below": rules.CROSS_BELOW_VALUE,
}


@dataclass(frozen=True)
class Program:
    """What the kernel runs: ``plan`` leads to the instructions of ``engine.rules`` and to their scratch space.

    ``atr`` holds the addresses of the ATR columns of stop, target and trail (0 where none is needed). ``kept`` keeps
    alive whatever the two lead to. One run at a time: the scratch space is the program's own.
    """

    plan: Integers
    atr: Integers
    first_signal: int
    kept: tuple[object, ...]


class _Compiler:
    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.instructions: list[int] = []  # INSTRUCTION numbers each
        self.values: list[float] = []
        self.addresses: dict[FeatureRef, int] = {}
        self.columns: list[Floats] = []
        self.warmup = feed.start

    def locate(self, reference: FeatureRef) -> int:
        found = self.addresses.get(reference)
        if found is None:
            column = self._fetch(reference)
            self.columns.append(column)
            found = self.addresses[reference] = address(column, np.float64)
            self.warmup = max(self.warmup, self.feed.columns.warmup(reference))
        return found

    def _fetch(self, reference: FeatureRef) -> Floats:
        column = self.feed.columns.column(reference)
        if column.size != len(self.feed):
            raise ValueError(f"column {reference} has {column.size} values, the feed {len(self.feed)} bars")
        return column

    def add(self, code: int, a: int, b: int, value: float) -> None:
        self.instructions += (code, a, b)
        self.values.append(value)

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
        for rule in group.rules:  # groups last: the rest may settle a word
            if not isinstance(rule, Group):
                self.rule(rule)
        for rule in group.rules:
            if isinstance(rule, Group):
                self.group(rule, depth + 1)
        self.instructions[opening * rules.INSTRUCTION + 1] = len(self.values)
        self.add(rules.CLOSE, 0, 0, float(needed))

    def rule(self, rule: Compare | Trend) -> None:
        if isinstance(rule, Trend):
            code = rules.AT_LEAST_VALUE if rule.direction == "rising" else rules.AT_MOST_VALUE
            signed = float(rule.bars if rule.direction == "rising" else -rule.bars)
            self.add(code, self.locate(rule.feature.streak()), 0, signed)
        elif isinstance(rule.right, FeatureRef):
            if rule.operator in _COLUMN_CODES:
                self.add(_COLUMN_CODES[rule.operator], self.locate(rule.left), self.locate(rule.right), 0.0)
            else:  # `a < b` is `b > a`
                self.add(_MIRRORED_CODES[rule.operator], self.locate(rule.right), self.locate(rule.left), 0.0)
        else:
            self.add(_VALUE_CODES[rule.operator], self.locate(rule.left), 0, float(rule.right))

    def program(self, bounds: list[int], atr: list[int], first_signal: int) -> Program:
        instructions = np.array(self.instructions, np.int64)
        values = np.array(self.values, np.float64)
        starts = np.array(bounds, np.int64)
        ready = np.full(rules.GROUPS, -1)
        results = np.empty(rules.GROUPS, np.uint64)
        stack = np.empty(rules.MAX_DEPTH * rules.FRAME, np.uint64)
        plan = np.empty(rules.PLAN_SIZE, np.int64)
        plan[rules.INSTRUCTIONS] = address(instructions, np.int64)
        plan[rules.VALUES] = address(values, np.float64)
        plan[rules.BOUNDS] = address(starts, np.int64)
        plan[rules.SIZE] = len(self.feed)
        plan[rules.READY] = address(ready, np.int64)
        plan[rules.RESULTS] = address(results, np.uint64)
        plan[rules.STACK] = address(stack, np.uint64)
        kept = (instructions, values, starts, ready, results, stack, *self.columns)
        return Program(plan, np.array(atr, np.int64), first_signal, kept)


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
    return compiler.locate(reference)
