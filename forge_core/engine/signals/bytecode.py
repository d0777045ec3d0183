"""The rules of a Play as numbers, written once a Play; the engine links them to each feed they run on."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.plays.model import Distance, Group, Play, Trend
from forge_core.plays.schema import MAX_DEPTH, MAX_RULES

# An instruction is three numbers. A rule is its comparison, CROSSING more if it crosses, the number of its column, and
# that of the other column or, among the constants, of its number.
ABOVE, AT_LEAST, ABOVE_NUMBER, AT_LEAST_NUMBER, BELOW_NUMBER, AT_MOST_NUMBER = range(6)
CROSSING = 8
# A group is opened with how many of its parts must be true and how many it has, and closed. Rules come before groups.
OPEN, CLOSE = 16, 17
INSTRUCTION_SIZE = 3

GROUPS = 4  # long and short entries, long and short exits, in this order
HEADER_SIZE = GROUPS + 1  # the instructions before each of these, and all

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


@dataclass(frozen=True)
class Bytecode:
    """What a Play's rules and levels need of a feed.

    ``columns`` are counted from 0; ``code`` (int64) is the header and the instructions, ``constants`` (float64) their
    numbers; ``groups`` is how many they open. ``atr`` says which columns the distances of stop, target and trail are
    multiples of, -1 where none.
    """

    columns: tuple[FeatureRef, ...]
    code: NDArray[np.int64]
    constants: NDArray[np.float64]
    groups: int
    atr: tuple[int, int, int]


def bytecode_of(play: Play) -> Bytecode:
    """Return the bytecode of ``play``, written on first use and kept with the Play; raises as ``write_bytecode``."""
    kept = play.__dict__  # a frozen dataclass, and the language must not know its compiler: `replace` drops the entry
    if _KEPT not in kept:
        kept[_KEPT] = write_bytecode(play)
    return cast(Bytecode, kept[_KEPT])


def write_bytecode(play: Play) -> Bytecode:
    """Return the bytecode of ``play``; raises PlayError for rules that are too many or too deep."""
    writer = _Writer()
    header = [0]
    for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short):
        if group is not None:
            writer.group(group)
        header.append(len(writer.instructions) // INSTRUCTION_SIZE)
    risk = play.risk
    atr = [writer.distance(distance, play.timeframe) for distance in (risk.stop, risk.take_profit, risk.trailing)]
    return Bytecode(
        tuple(writer.columns),
        np.array(header + writer.instructions, np.int64),
        np.array(writer.constants, np.float64),
        writer.groups,
        cast("tuple[int, int, int]", tuple(atr)),
    )


class _Writer:
    def __init__(self) -> None:
        self.columns: dict[FeatureRef, int] = {}
        self.instructions: list[int] = []
        self.constants: list[float] = []
        self.groups = 0

    def column(self, reference: FeatureRef) -> int:
        return self.columns.setdefault(reference, len(self.columns))

    def number(self, comparison: int, reference: FeatureRef, number: float) -> None:
        self.instructions += (comparison, self.column(reference), len(self.constants))
        self.constants.append(number)

    def group(self, group: Group, depth: int = 1) -> None:
        count = len(group.rules)
        if depth > MAX_DEPTH:
            raise PlayError(f"rules are nested deeper than {MAX_DEPTH} groups")
        if count > MAX_RULES:
            raise PlayError(f"a group of {count} rules: at most {MAX_RULES} are allowed")
        self.groups += 1
        self.instructions += (OPEN, group.at_least, count)
        inner = []  # come last: the rest may settle them
        for rule in group.rules:
            if isinstance(rule, Group):
                inner.append(rule)
            elif isinstance(rule, Trend):
                comparison, sign = _TREND[rule.direction]
                self.number(comparison, rule.feature.streak(), sign * rule.bars)
            elif not isinstance(rule.right, FeatureRef):
                self.number(_WITH_NUMBER[rule.operator], rule.left, rule.right)
            elif rule.operator in _WITH_COLUMN:
                self.instructions += (_WITH_COLUMN[rule.operator], self.column(rule.left), self.column(rule.right))
            else:
                self.instructions += (_MIRRORED[rule.operator], self.column(rule.right), self.column(rule.left))
        for within in inner:
            self.group(within, depth + 1)
        self.instructions += (CLOSE, group.at_least, 0)

    def distance(self, distance: Distance | None, timeframe: str) -> int:
        if distance is None or distance.kind != "atr":
            return -1
        return self.column(make_reference("atr", {"timeperiod": distance.timeperiod}, timeframe=timeframe))
