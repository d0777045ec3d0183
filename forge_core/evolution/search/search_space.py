"""Expanded search space: all slots with their columns, timeframes and operands."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from forge_core.errors import ConfigError
from forge_core.evolution.spec.space import (
    LEVELS,
    TRENDS,
    Choices,
    Grids,
    Operator,
    RiskSpace,
    Sides,
    SlotKind,
    SpaceSpec,
    parameter_choices,
)
from forge_core.features.definition import FeatureDefinition, Output
from forge_core.features.reference import FeatureRef, price_field
from forge_core.features.registry import builtin_features, get_feature, searchable
from forge_core.features.transforms import TRANSFORMS, transformed_scale
from forge_core.files import canonical_json
from forge_core.market.reference.timeframes import Timeframe
from forge_core.plays.constant import worth_comparing

_SOME_TIMEFRAME = "1d"  # relations of columns of one timeframe do not depend on it


@dataclass(frozen=True)
class Column:
    """One output of one feature, maybe transformed, with its parameter choices and possible operands.

    ``siblings`` are the names of other outputs of the feature on the same scale; ``constants`` the numbers worth
    comparing with; ``partners`` are, by parameter choice, the other choices. No comparison with one of these has one
    result at every bar whatever its operator (``plays.constant``): upper and middle band are no siblings, bands of 2
    and 3 deviations no partners.
    """

    definition: FeatureDefinition
    output: Output
    choices: Choices
    constants: tuple[float, ...]
    siblings: tuple[str, ...]
    partners: tuple[tuple[int, ...], ...]
    beside_close: bool  # whether a comparison with the close says something
    transform: str = ""  # ``output`` has its scale and constants
    symbol: str = ""

    @cached_property
    def constants_above(self) -> tuple[float, ...]:
        """The constants that the column can rise above: of a bounded one, those below its upper bound."""
        return tuple(value for value in self.constants if self._within(value) and value != self.output.scale.high)

    @cached_property
    def constants_below(self) -> tuple[float, ...]:
        """The constants that the column can fall below: of a bounded one, those above its lower bound."""
        return tuple(value for value in self.constants if self._within(value) and value != self.output.scale.low)

    def _within(self, value: float) -> bool:
        low, high = self.output.scale.low, self.output.scale.high
        return (low is None or value >= low) and (high is None or value <= high)

    @cached_property
    def comparisons(self) -> tuple[str, ...]:
        """Kinds of operand of this column, with equal shares of the operand gene."""
        kinds = []
        if self.constants_above and self.constants_below:
            kinds.append("constant")
        if self.output.scale.kind == "price" and self.beside_close:
            kinds.append("close")
        if self.siblings:
            kinds.append("sibling")
        if "constant" not in kinds and all(self.partners):
            kinds.append("partner")
        return tuple(kinds)


@dataclass(frozen=True)
class Slot:
    """A place for one rule: the columns it may read and the timeframes it may read them in."""

    kind: SlotKind
    columns: tuple[Column, ...]
    timeframes: tuple[str, ...]


@dataclass(frozen=True)
class SearchSpace:
    """A space with all choices, in a fixed order."""

    timeframe: str
    sides: Sides
    slots: tuple[Slot, ...]
    operators: tuple[Operator, ...]
    risk: RiskSpace

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Every timeframe a rule may read, finest first."""
        labels = {label for slot in self.slots for label in slot.timeframes} | {self.timeframe}
        return tuple(sorted(labels, key=Timeframe.parse))

    def fingerprint(self) -> str:
        """Text of all choices, which identifies the space in the manifest."""
        columns = [
            [
                [c.definition.name, c.output.name, c.choices, c.constants, c.siblings, c.partners]
                + ([c.transform, c.symbol] if c.transform or c.symbol else [])
                for c in slot.columns
            ]
            for slot in self.slots
        ]
        # the slots of one kind share their columns: each list is written once
        distinct = [next(group) for _, group in itertools.groupby(columns)]
        slots = [[slot.kind, slot.timeframes] for slot in self.slots]
        return canonical_json([self.timeframe, self.sides, distinct, slots, self.operators, self.risk.model_dump()])


def space_timeframes(spec: SpaceSpec, timeframe: str, available: Sequence[str]) -> tuple[str, ...]:
    """Return the timeframes of a space: those given, or the execution timeframe and the next coarser ``available``.

    Raises ConfigError when there are not as many as the level or preset needs, or one is finer than the execution's.
    """
    execution = Timeframe.parse(timeframe)
    if spec.timeframes is not None:
        labels = spec.timeframes
        for label in labels:
            if Timeframe.parse(label) < execution:
                raise ConfigError(f"timeframe {label} is finer than the execution timeframe {timeframe}")
    else:
        coarser = sorted((label for label in set(available) if Timeframe.parse(label) > execution), key=Timeframe.parse)
        labels = [timeframe, *coarser][: spec.base.timeframes]
    if len(labels) < spec.base.timeframes:
        raise ConfigError(_too_few_timeframes(spec, labels))
    return tuple(sorted(labels, key=Timeframe.parse))


def _too_few_timeframes(spec: SpaceSpec, labels: Sequence[str]) -> str:
    """Return the message for a level or preset that reads more timeframes than ``labels``, with the remedies."""
    base, kind = spec.base, f"level {spec.level}" if spec.level is not None else f"preset {spec.preset}"
    listed = ", ".join(labels)
    if spec.timeframes is not None:
        return (
            f"{kind} reads {base.timeframes} timeframes, but space.timeframes names {len(labels)} ({listed}); name "
            f"{base.timeframes - len(labels)} more of those that all datasets have"
        )
    levels = [level for level, preset in LEVELS.items() if preset.timeframes <= len(labels)]
    indicators = base.indicators * (len(labels) if base.per_timeframe else 1)
    slots = f"indicator_slots: {indicators}, structure_slots: {base.structures}, timeframes: [{listed}]"
    return (
        f"{kind} reads {base.timeframes} timeframes, but from the execution timeframe up the datasets share only "
        f"{listed}; choose a level of {levels[0]} to {levels[-1]}, or slots in place of the {kind.split()[0]} "
        f"(space: {{{slots}}}), or a finer execution timeframe, or datasets with more timeframes (`forge datasets add "
        "NAME ... -t 15m,1h,4h,1d` where there are bars of the finest)"
    )


def build_space(spec: SpaceSpec, *, timeframe: str, sides: Sides, available: Sequence[str] = ()) -> SearchSpace:
    """Spell out the space of ``spec`` for an execution ``timeframe``; ``available`` are the datasets' timeframes.

    Raises ConfigError when the space has nothing to choose from.
    """
    base = spec.base
    labels = space_timeframes(spec, timeframe, available)
    slots: list[Slot] = []
    if base.indicators:
        columns = _columns("indicator", spec.indicators, spec)
        if base.per_timeframe:
            slots += [Slot("indicator", columns, (label,)) for label in labels for _ in range(base.indicators)]
        else:
            slots += [Slot("indicator", columns, labels)] * base.indicators
    if base.structures:
        slots += [Slot("structure", _columns("structure", spec.structures, spec), labels)] * base.structures
    if not slots:
        raise ConfigError("the space has no slot: raise indicator_slots or structure_slots above 0")
    return SearchSpace(timeframe, sides, tuple(slots), tuple(spec.operators), spec.risk)


def _columns(kind: SlotKind, given: Mapping[str, Grids] | None, spec: SpaceSpec) -> tuple[Column, ...]:
    vocabulary = spec.base.vocabulary
    if given is not None:
        features = dict(given)
    else:
        names = vocabulary.indicators if kind == "indicator" else vocabulary.structures
        features = {name: {} for name in names or [d.name for d in searchable() if d.kind == kind]}
    trends = any(operator in TRENDS for operator in spec.operators)
    comparisons = any(operator not in TRENDS for operator in spec.operators)
    own = {kind, *(("calendar",) if spec.calendar else ()), *(("relative",) if spec.references else ())}
    if kind == "indicator":
        features |= {d.name: {} for d in builtin_features() if d.kind in own - {kind}}
    columns = []
    for name, grids in features.items():
        definition = get_feature(name)
        choices = parameter_choices(definition, grids, spec.combinations or vocabulary.combinations)
        for output in definition.outputs:
            for symbol in _symbols(definition, spec):
                for transform in ("", *_transforms(definition, output, spec)):
                    column = _column(definition, output, choices, transform, symbol)
                    if trends or (comparisons and column.comparisons):
                        columns.append(column)
    if not columns:
        raise ConfigError(f"the space has {kind} slots but no {kind} that its operators can read")
    return tuple(columns)


def _symbols(definition: FeatureDefinition, spec: SpaceSpec) -> tuple[str, ...]:
    """Return the symbols that a feature can be computed from, empty for the instrument's own."""
    if definition.kind == "relative":
        return tuple(spec.references)
    return ("",) if definition.kind == "calendar" else ("", *spec.references)


def _transforms(definition: FeatureDefinition, output: Output, spec: SpaceSpec) -> tuple[str, ...]:
    """Return the steps that the space asks for and that the column has."""
    if definition.kind == "calendar":
        return ()
    wanted = [TRANSFORMS[name] for name in spec.transforms if name != "distance" or output.scale.kind == "price"]
    return tuple(step for transform in wanted for step in transform.steps)


def _transformed(output: Output, transform: str) -> Output:
    """Return an output with the scale and the constants that its transform gives it."""
    if not transform:
        return output
    constants = TRANSFORMS[transform.partition(":")[0]].thresholds or output.thresholds
    return replace(output, scale=transformed_scale(output.scale, transform), thresholds=constants)


def _column(definition: FeatureDefinition, plain: Output, choices: Choices, transform: str, symbol: str) -> Column:
    """Return a column with the operands worth comparing it with."""
    output = _transformed(plain, transform)

    def read(choice: int, name: str = output.name) -> FeatureRef:
        return FeatureRef(definition.name, choices[choice], name, _SOME_TIMEFRAME, transform, symbol)

    numbers = range(len(choices))
    others = [each for each in definition.outputs if each is not plain and each.scale.comparable(plain.scale)]
    close = replace(price_field("close", _SOME_TIMEFRAME), symbol=symbol)
    return Column(
        definition,
        output,
        choices,
        constants=output.thresholds or ((0.0,) if output.scale.kind == "centred" else ()),
        siblings=tuple(o.name for o in others if all(worth_comparing(read(n), read(n, o.name)) for n in numbers)),
        partners=tuple(tuple(m for m in numbers if m != n and worth_comparing(read(n), read(m))) for n in numbers),
        beside_close=all(worth_comparing(close, read(number)) for number in numbers),
        transform=transform,
        symbol=symbol,
    )
