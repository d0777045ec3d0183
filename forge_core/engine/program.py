"""Compile a Play against a feed: rules to instructions, features to column addresses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forge_core.engine import rules
from forge_core.engine.feed import Feed, Floats, Integers
from forge_core.engine.pointers import address
from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend

_COLUMN_CODES = {">": rules.ABOVE, ">=": rules.AT_LEAST, "crosses_above": rules.CROSS}
_MIRRORED = {"<": ">", "<=": ">=", "crosses_below": "crosses_above"}
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
    """What the kernel runs. ``bounds[g] .. bounds[g + 1] - 1`` are the instructions of group ``g`` (none: no rule).

    ``a`` and ``b`` hold column addresses; ``columns`` keeps those columns alive as long as the program is.
    ``atr`` holds the addresses of the ATR columns of stop, target and trail (0 where none is needed).
    """

    codes: Integers
    a: Integers
    b: Integers
    values: Floats
    bounds: Integers
    atr: Integers
    first_signal: int
    columns: tuple[Floats, ...]


class _Compiler:
    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.rows: list[tuple[int, int, int, float]] = []
        self.columns: dict[FeatureRef, Floats] = {}
        self.warmup = feed.start

    def locate(self, reference: FeatureRef) -> int:
        column = self.columns.get(reference)
        if column is None:
            column = self._fetch(reference)
            self.columns[reference] = column
            self.warmup = max(self.warmup, self.feed.columns.warmup(reference))
        return address(column, np.float64)

    def _fetch(self, reference: FeatureRef) -> Floats:
        column = self.feed.columns.column(reference)
        if column.size != len(self.feed):
            raise ValueError(f"column {reference} has {column.size} values, the feed {len(self.feed)} bars")
        return column

    def group(self, group: Group, depth: int = 1) -> None:
        if depth > rules.MAX_DEPTH:
            raise PlayError(f"rules are nested deeper than {rules.MAX_DEPTH} groups")
        if len(group.rules) > rules.MAX_RULES:
            raise PlayError(f"a group of {len(group.rules)} rules: at most {rules.MAX_RULES} are allowed")
        self.rows.append((rules.OPEN_GROUP, 0, 0, 0.0))
        for rule in group.rules:
            self.rule(rule, depth)
        self.rows.append((rules.CLOSE_GROUP, 0, 0, float(group.at_least)))

    def rule(self, rule: Rule, depth: int) -> None:
        match rule:
            case Group():
                self.group(rule, depth + 1)
            case Trend(feature, direction, bars):
                code = rules.AT_LEAST_VALUE if direction == "rising" else rules.AT_MOST_VALUE
                signed = float(bars if direction == "rising" else -bars)
                self.rows.append((code, self.locate(feature.streak()), 0, signed))
            case Compare(left, operator, FeatureRef() as right):
                if operator in _MIRRORED:
                    left, operator, right = right, _MIRRORED[operator], left  # type: ignore[assignment]
                self.rows.append((_COLUMN_CODES[operator], self.locate(left), self.locate(right), 0.0))
            case Compare(left, operator, int() | float() as value):
                self.rows.append((_VALUE_CODES[operator], self.locate(left), 0, float(value)))


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
        bounds.append(len(compiler.rows))
    risk = play.risk
    atr = [_atr_address(compiler, distance) for distance in (risk.stop, risk.take_profit, risk.trailing)]
    rows = compiler.rows
    return Program(
        codes=_integers([row[0] for row in rows]),
        a=_integers([row[1] for row in rows]),
        b=_integers([row[2] for row in rows]),
        values=np.array([row[3] for row in rows], np.float64),
        bounds=_integers(bounds),
        atr=_integers(atr),
        first_signal=max(compiler.warmup, play.warmup_bars),
        columns=tuple(compiler.columns.values()),
    )


def _atr_address(compiler: _Compiler, distance: Distance | None) -> int:
    if distance is None or distance.kind != "atr":
        return 0
    reference = make_reference("atr", {"timeperiod": distance.timeperiod}, timeframe=compiler.feed.timeframe)
    return compiler.locate(reference)


def _integers(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)
