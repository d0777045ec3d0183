"""Fixed-length genome: its genes, and the decoding of their values to a Play.

Every gene is always present; those of a slot that is switched off, or of a stop that is not used, are ignored, so that
several genomes decode to the same Play. Decoding is typed: a rule only sets a column against what its scale allows,
and a Play that would never enter, or have no way out, is given one. So every genome decodes to a valid Play.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

from forge_core.evolution.search.genes import Gene
from forge_core.evolution.search.mirror import mirror_rule
from forge_core.evolution.search.search_space import Column, SearchSpace
from forge_core.evolution.spec.space import TRENDS, DistanceGrid
from forge_core.features.reference import FeatureRef, Number, price_field
from forge_core.plays.constant import constant_result
from forge_core.plays.model import Compare, Comparison, Distance, Group, Play, Risk, Rule, Trend

OPERANDS = 60
"""Values of an operand gene: divisible by 1 to 6 kinds of operand, more than any grid of constants has entries."""

LONGEST_STREAK = 5  # bars of `rising n`
QUORUMS = 6
ATR_PERIOD = 14
_CACHED_RULES = 4_096  # more than a population uses; few, so that a worker's memory stays flat

Side = Literal["long", "short"]
_Rules = dict[Side, list[Rule]]
_SIDES: tuple[Side, ...] = ("long", "short")
_RISES: tuple[str, ...] = (">", "crosses_above")


class Role(NamedTuple):
    """Role of a slot's rule; an unused slot has no ``side``."""

    side: Side | None
    exit: bool = False


_OFF = Role(None)
ROLES = {
    "long": (_OFF, Role("long"), Role("long", True)),
    "short": (_OFF, Role("short"), Role("short", True)),
    # "off" twice: as many slots are switched off as enter or leave
    "both": (_OFF, _OFF, Role("long"), Role("long", True), Role("short"), Role("short", True)),
}


class SlotGenes(NamedTuple):
    """The values of one slot's genes; genes without a choice are 0."""

    role: int
    column: int
    parameters: int
    timeframe: int
    operator: int
    operand: int


class Genome:
    """The layout of a search space's genes and the decoder of their values.

    ``layout`` has a place for every choice a space may offer, ``genes`` those that it does offer. ``rule`` maps a slot
    and the values of its genes but the role to their rule; slots that are ``alike`` share the rules of the first.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.parameter_sizes = [max(len(c.choices) for c in slot.columns) for slot in space.slots]
        self.alike = [space.slots.index(slot) for slot in space.slots]
        self.distances = {
            "stop": _distances(space.risk.stop),
            "take_profit": _distances(space.risk.take_profit),
            "trailing": _distances(space.risk.trailing),
        }
        self.layout: list[Gene] = []
        for number, slot in enumerate(space.slots, start=1):
            sizes = (
                ("role", len(ROLES[space.sides]), False),
                ("column", len(slot.columns), False),
                ("parameters", self.parameter_sizes[number - 1], True),
                ("timeframe", len(slot.timeframes), False),
                ("operator", len(space.operators), False),
                ("operand", OPERANDS, True),
            )
            self.layout += [Gene(f"{slot.kind}_{number:03d}_{name}", size, ordered) for name, size, ordered in sizes]
        if space.sides == "both":
            self.layout.append(Gene("mirror", 2, False))
        self.layout += [Gene("entry_quorum", QUORUMS), Gene("exit_quorum", QUORUMS)]
        for name, kinds in self.distances.items():
            self.layout.append(Gene(f"{name}_kind", len(kinds) + 1, False))
            self.layout.append(Gene(f"{name}_value", max((len(values) for values in kinds), default=1)))
        self.layout.append(Gene("max_bars", len(space.risk.max_bars) + 1))
        self.genes: tuple[Gene, ...] = tuple(gene for gene in self.layout if gene.size > 1)
        self._places = [(place, gene.size) for place, gene in enumerate(self.layout) if gene.size > 1]
        self._close = price_field("close", space.timeframe)
        self.rule = lru_cache(maxsize=_CACHED_RULES)(self._make_rule)
        self._mirrored = lru_cache(maxsize=_CACHED_RULES)(mirror_rule)

    def decode(self, values: Sequence[int]) -> Play:
        """Return the Play of ``values``, one for each of ``genes``; raise ValueError if they do not match.

        Any values within the genes' sizes give a Play that ``check_play`` passes, that has an entry, and a way out of
        each side it enters.
        """
        spread, width = self._spread(values), len(SlotGenes._fields)
        behind = width * len(self.space.slots)
        slots = [SlotGenes._make(spread[begin : begin + width]) for begin in range(0, behind, width)]
        reading = iter(spread[behind:])
        mirrored = self.space.sides == "both" and bool(next(reading))
        entry_quorum, exit_quorum = next(reading), next(reading)
        stop, take_profit, trailing = (self._distance(name, next(reading), next(reading)) for name in self.distances)
        bars = next(reading)
        max_bars = self.space.risk.max_bars[bars - 1] if bars else None

        entries, exits = self._sort_rules(slots, mirrored)
        entry = {side: _group(entries[side], entry_quorum) for side in _SIDES}
        leave = {side: _group(exits[side], exit_quorum) if entries[side] else None for side in _SIDES}
        reverses = entry["long"] is not None and entry["short"] is not None
        stuck = any(entry[side] is not None and leave[side] is None for side in _SIDES)
        if stuck and not reverses and not (stop or take_profit or trailing or max_bars):
            max_bars = self.space.risk.max_bars[-1]
        return Play(
            name="evolved",
            timeframe=self.space.timeframe,
            entry_long=entry["long"],
            entry_short=entry["short"],
            exit_long=leave["long"],
            exit_short=leave["short"],
            risk=Risk(stop=stop, take_profit=take_profit, trailing=trailing, max_bars=max_bars),
            sides=self.space.sides,
        )

    def _spread(self, values: Sequence[int]) -> list[int]:
        """Return a value for each place of the layout, 0 where there is no choice and so no gene."""
        if len(values) != len(self.genes):
            raise ValueError(f"{len(values)} values for {len(self.genes)} genes")
        spread = [0] * len(self.layout)
        for value, (place, size) in zip(values, self._places, strict=True):
            if not 0 <= value < size:
                raise ValueError(f"gene {self.layout[place].name} is {value}; it must lie between 0 and {size - 1}")
            spread[place] = value
        return spread

    def _sort_rules(self, slots: list[SlotGenes], mirrored: bool) -> tuple[_Rules, _Rules]:
        """Return the entry and the exit rules of each side."""
        roles = [ROLES[self.space.sides][genes.role] for genes in slots]
        if not any(role.side and not role.exit for role in roles):
            # a Play that never enters is none: the first slot's rule becomes its entry
            roles[0] = Role(roles[0].side or ("short" if self.space.sides == "short" else "long"))
        entries: _Rules = {"long": [], "short": []}
        exits: _Rules = {"long": [], "short": []}
        for number, (role, genes) in enumerate(zip(roles, slots, strict=True)):
            if role.side is None:
                continue
            rules = exits if role.exit else entries
            rule = self.rule(self.alike[number], *genes[1:])
            rules[role.side].append(rule)
            if mirrored:
                rules["short" if role.side == "long" else "long"].append(self._mirrored(rule))
        return entries, exits

    def _make_rule(self, slot_number: int, *values: int) -> Rule:
        genes = SlotGenes(0, *values)
        slot = self.space.slots[slot_number]
        column = slot.columns[genes.column]
        index = genes.parameters * len(column.choices) // self.parameter_sizes[slot_number]
        left = _reference(column, index, slot.timeframes[genes.timeframe])
        allowed = [o for o in self.space.operators if o in TRENDS or column.comparisons]
        operator = allowed[genes.operator * len(allowed) // len(self.space.operators)]
        if operator == "rising" or operator == "falling":
            return Trend(left, operator, 1 + genes.operand * LONGEST_STREAK // OPERANDS)
        return self._comparison(column, left, index, operator, genes.operand)

    def _comparison(self, column: Column, left: FeatureRef, index: int, operator: Comparison, operand: int) -> Compare:
        kinds = column.comparisons
        share = OPERANDS // len(kinds)
        kind = kinds[min(operand // share, len(kinds) - 1)]
        place = min(operand - kinds.index(kind) * share, share - 1)
        if kind == "constant":
            constants = column.constants_above if operator in _RISES else column.constants_below
            return Compare(left, operator, constants[place * len(constants) // share])
        if kind == "close":
            return _not_constant(replace(self._close, symbol=left.symbol), operator, left)
        if kind == "sibling":
            sibling = column.siblings[place * len(column.siblings) // share]
            return _not_constant(left, operator, replace(left, output=sibling))
        partners = column.partners[index]
        partner = partners[place * len(partners) // share]
        return _not_constant(left, operator, _reference(column, partner, left.timeframe))

    def _distance(self, name: str, kind: int, value: int) -> Distance | None:
        if kind == 0:
            return None
        choices = self.distances[name][kind - 1]
        longest = max(len(values) for values in self.distances[name])
        return choices[value * len(choices) // longest]


def _not_constant(left: FeatureRef, operator: Comparison, right: FeatureRef) -> Compare:
    """Return the comparison, with its columns swapped where by their order it is never or always true.

    Columns whose order leaves no comparison at all are not offered: ``search_space.Column``.
    """
    if constant_result(left, operator, right):
        left, right = right, left
    return Compare(left, operator, right)


def _reference(column: Column, choice: int, timeframe: str) -> FeatureRef:
    params: tuple[tuple[str, Number], ...] = column.choices[choice]
    return FeatureRef(column.definition.name, params, column.output.name, timeframe, column.transform, column.symbol)


def _distances(grid: DistanceGrid) -> list[list[Distance]]:
    """Return the distances of each kind that has any."""
    kinds = [[Distance("percent", value) for value in grid.percent]]
    kinds.append([Distance("atr", value, ATR_PERIOD) for value in grid.atr])
    return [values for values in kinds if values]


def _group(rules: list[Rule], quorum: int) -> Group | None:
    """Return the distinct rules with their quorum; None without rules."""
    distinct = tuple(dict.fromkeys(rules))
    return Group(at_least(quorum, len(distinct)), distinct) if distinct else None


def at_least(quorum: int, rules: int) -> int:
    """Return how many of ``rules`` must hold: from one (quorum 0) in even steps to all (``QUORUMS - 1``)."""
    steps = QUORUMS - 1
    return 1 + (quorum * (rules - 1) + steps // 2) // steps
