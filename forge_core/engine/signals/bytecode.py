"""Bytecode of a Play: its distinct rules, and the instructions that combine them."""

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.plays.model import Distance, Group, Play, Trend
from forge_core.plays.schema import MAX_DEPTH, MAX_RULES

# Comparisons of two columns, or of a column and a number; plus CROSSING: true now and false at the bar before
ABOVE, AT_LEAST, ABOVE_NUMBER, AT_LEAST_NUMBER, BELOW_NUMBER, AT_MOST_NUMBER = range(6)
CROSSING = 8

# Instructions are pairs in postfix order: (0, number of a rule) pushes a rule; (n, m) pops n results and pushes whether
# at least m of them are true.
INSTRUCTION_SIZE = 2
GROUPS = 4  # long and short entries, long and short exits, in this order
HEADER_SIZE = GROUPS + 1  # number of instructions before each group, and of all

_WITH_NUMBER = {
    ">": ABOVE_NUMBER,
    ">=": AT_LEAST_NUMBER,
    "<": BELOW_NUMBER,
    "<=": AT_MOST_NUMBER,
    "crosses_above": ABOVE_NUMBER + CROSSING,
    "crosses_below": BELOW_NUMBER + CROSSING,
}
_WITH_COLUMN = {">": ABOVE, ">=": AT_LEAST, "crosses_above": ABOVE + CROSSING}
_MIRRORED = {"<": ABOVE, "<=": AT_LEAST, "crosses_below": ABOVE + CROSSING}  # `a < b` is `b > a`
_TREND = {"rising": (AT_LEAST_NUMBER, 1.0), "falling": (AT_MOST_NUMBER, -1.0)}  # of the signed streak

_KEPT = "_bytecode"


class Rule(NamedTuple):
    """One comparison; the key of its cached bitmap."""

    comparison: int
    left: FeatureRef
    right: FeatureRef | float


@dataclass(frozen=True)
class Bytecode:
    """Rules of a Play as instructions, and the columns they need.

    ``rules`` are distinct; ``code`` (int64) is the header and the instructions. ``atr`` names the columns that the
    distances of stop, target and trail are multiples of, None where a level has none. ``columns`` are all columns.
    """

    rules: tuple[Rule, ...]
    code: NDArray[np.int64]
    atr: tuple[FeatureRef | None, FeatureRef | None, FeatureRef | None]
    columns: tuple[FeatureRef, ...]


def bytecode_of(play: Play) -> Bytecode:
    """Return the bytecode of ``play``, compiled on first use and cached in the Play; raises as ``write_bytecode``."""
    kept = play.__dict__  # not a field: plays must not import the engine; `replace` drops the entry
    if _KEPT not in kept:
        kept[_KEPT] = write_bytecode(play)
    return cast(Bytecode, kept[_KEPT])


def write_bytecode(play: Play) -> Bytecode:
    """Return the bytecode of ``play``; raises PlayError for too many or too deeply nested rules."""
    writer = _Writer()
    header = [0]
    for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short):
        if group is not None:
            writer.group(group)
        header.append(len(writer.instructions) // INSTRUCTION_SIZE)
    risk = play.risk
    atr = [writer.atr(distance, play.timeframe) for distance in (risk.stop, risk.take_profit, risk.trailing)]
    return Bytecode(
        tuple(writer.rules),
        np.array(header + writer.instructions, np.int64),
        (atr[0], atr[1], atr[2]),
        tuple(writer.columns),
    )


class _Writer:
    def __init__(self) -> None:
        self.columns: dict[FeatureRef, None] = {}
        self.rules: dict[Rule, int] = {}
        self.instructions: list[int] = []

    def rule(self, comparison: int, left: FeatureRef, right: FeatureRef | float) -> None:
        self.columns[left] = None
        if isinstance(right, FeatureRef):
            self.columns[right] = None
        rule = Rule(comparison, left, right)
        self.instructions += (0, self.rules.setdefault(rule, len(self.rules)))

    def group(self, group: Group, depth: int = 1) -> None:
        count = len(group.rules)
        if depth > MAX_DEPTH:
            raise PlayError(f"rules are nested too deeply; expected at most {MAX_DEPTH} levels of groups")
        if count > MAX_RULES:
            raise PlayError(f"a group of {count} rules; expected at most {MAX_RULES}")
        for rule in group.rules:
            if isinstance(rule, Group):
                self.group(rule, depth + 1)
            elif isinstance(rule, Trend):
                comparison, sign = _TREND[rule.direction]
                self.rule(comparison, rule.feature.streak(), sign * rule.bars)
            elif not isinstance(rule.right, FeatureRef):
                self.rule(_WITH_NUMBER[rule.operator], rule.left, float(rule.right))
            elif rule.operator in _WITH_COLUMN:
                self.rule(_WITH_COLUMN[rule.operator], rule.left, rule.right)
            else:
                self.rule(_MIRRORED[rule.operator], rule.right, rule.left)
        self.instructions += (count, group.at_least)

    def atr(self, distance: Distance | None, timeframe: str) -> FeatureRef | None:
        if distance is None or distance.kind != "atr":
            return None
        reference = make_reference("atr", {"timeperiod": distance.timeperiod}, timeframe=timeframe)
        self.columns[reference] = None
        return reference
