"""The ``space`` of a study file: complexity levels, multi-timeframe presets, and explicit settings."""

import itertools
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from forge_core.configuration import Fault, InKeyOrder, raise_faults
from forge_core.errors import unknown
from forge_core.features.definition import FeatureDefinition
from forge_core.features.reference import Number
from forge_core.features.registry import get_feature
from forge_core.features.transforms import TRANSFORMS
from forge_core.market.reference.timeframes import Timeframe

Operator = Literal[">", "<", "crosses_above", "crosses_below", "rising", "falling"]
Sides = Literal["both", "long", "short"]
SlotKind = Literal["indicator", "structure"]

_ON_REQUEST = ("calendar", "transforms", "references")

TRENDS = ("rising", "falling")


class Vocabulary(NamedTuple):
    """Features of a preset (None: all searchable ones) and the number of parameter choices of each."""

    indicators: tuple[str, ...] | None
    structures: tuple[str, ...] | None
    combinations: int


_CLASSIC = ("sma", "ema", "macd", "rsi", "stoch", "bbands", "donchian", "adx", "cci", "roc")
_MORE = ("kama", "hma", "supertrend", "sar", "kc", "mfi", "willr", "aroon", "cmf", "natr", "plus_di", "minus_di")
_STRUCTURES = ("swings", "trend", "zones", "range")

CLASSIC = Vocabulary(_CLASSIC, _STRUCTURES, 6)
STANDARD = Vocabulary((*_CLASSIC, *_MORE), _STRUCTURES, 6)
FULL = Vocabulary(None, None, 8)


class Preset(NamedTuple):
    """Numbers of one level or preset; with ``per_timeframe`` the indicator slots are per timeframe."""

    indicators: int
    structures: int
    timeframes: int
    vocabulary: Vocabulary
    per_timeframe: bool = False


LEVELS = {
    1: Preset(2, 0, 1, CLASSIC),
    2: Preset(4, 0, 1, CLASSIC),
    3: Preset(6, 1, 1, CLASSIC),
    4: Preset(8, 1, 2, STANDARD),
    5: Preset(12, 2, 2, STANDARD),
    6: Preset(15, 2, 3, STANDARD),
    7: Preset(20, 3, 3, FULL),
    8: Preset(25, 4, 3, FULL),
    9: Preset(30, 5, 3, FULL),
    10: Preset(40, 6, 4, FULL),
}
"""Complexity levels: 1 trivial, 2 minimal, 3 basic, 4 light, 5 standard, 6 moderate, 7 advanced, 8 heavy, 9 complex,
10 maximum. The number of distinct columns, and with it the bank, grows with the vocabulary and not with the slots."""

MTF_PRESETS = {
    "mtf_light": Preset(6, 1, 3, STANDARD, True),
    "mtf_standard": Preset(10, 2, 3, STANDARD, True),
    "mtf_advanced": Preset(15, 3, 3, FULL, True),
    "mtf_heavy": Preset(20, 4, 3, FULL, True),
    "mtf_full": Preset(15, 4, 4, FULL, True),
}

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, lt=1)]


def _known_feature(name: str) -> str:
    get_feature(name)
    return name


def _timeframe(label: str) -> str:
    return Timeframe.parse(label).label


def _known_transform(name: str) -> str:
    if name not in TRANSFORMS:
        raise ValueError(unknown("transform", name, TRANSFORMS))
    return name


FeatureName = Annotated[str, AfterValidator(_known_feature)]
TransformName = Annotated[str, AfterValidator(_known_transform)]
TimeframeLabel = Annotated[str, AfterValidator(_timeframe)]
Grids = dict[str, list[int | float]]  # of a feature's parameters
FeatureList = Annotated[dict[FeatureName, Grids], InKeyOrder]
Choices = tuple[tuple[tuple[str, Number], ...], ...]  # parameter choices, each fully resolved


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DistanceGrid(_Spec):
    """Distances of a stop, target or trail: fractions of the price, and multiples of ATR(14)."""

    percent: list[_Share] = []
    atr: list[_Positive] = []


class RiskSpace(_Spec):
    """Exits without a rule. Each may also be off; an empty list excludes it."""

    stop: DistanceGrid = DistanceGrid(
        percent=[0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12], atr=[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0]
    )
    take_profit: DistanceGrid = DistanceGrid(
        percent=[0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3], atr=[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0]
    )
    trailing: DistanceGrid = DistanceGrid(
        percent=[0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2], atr=[1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0]
    )
    max_bars: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        default=[3, 5, 10, 20, 40, 80, 160, 320], min_length=1
    )


class SpaceSpec(_Spec):
    """The ``space`` of a study: a ``level``, a ``preset``, or the numbers of slots, refined by the other keys.

    ``indicators`` and ``structures`` are lists of names, or mappings of name to own parameter grids (by default those
    of the preset's vocabulary). ``combinations`` is the maximum number of parameter choices of one feature, evenly
    spread over its grids. ``calendar`` adds calendar features to the indicator slots, ``transforms`` adds the
    transformed columns of every feature, ``references`` adds the columns of other symbols and the ratio of the closes.
    """

    level: Annotated[int, Field(ge=1, le=10)] | None = None
    preset: Literal["mtf_light", "mtf_standard", "mtf_advanced", "mtf_heavy", "mtf_full"] | None = None
    indicator_slots: Annotated[int, Field(ge=0, le=100)] | None = None
    structure_slots: Annotated[int, Field(ge=0, le=20)] | None = None
    timeframes: list[TimeframeLabel] | None = Field(default=None, min_length=1, max_length=6)
    indicators: FeatureList | None = None
    structures: FeatureList | None = None
    operators: list[Operator] = Field(
        default=[">", "<", "crosses_above", "crosses_below", "rising", "falling"], min_length=1
    )
    combinations: Annotated[int, Field(ge=1, le=1000)] | None = None
    risk: RiskSpace = RiskSpace()
    calendar: bool = False
    transforms: list[TransformName] = []
    references: list[Annotated[str, Field(min_length=1, max_length=50)]] = []

    @model_serializer(mode="wrap")
    def _without_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what the space does not ask for: the document of a study without it stays the same."""
        return {key: value for key, value in dump(self).items() if key not in _ON_REQUEST or value}

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Convert a list of feature names to a mapping without own grids."""
        if not isinstance(value, dict):
            return value
        lists = {k: v for k, v in value.items() if k in ("indicators", "structures") and isinstance(v, list)}
        return {
            **value,
            **{k: {name: {} for name in v} for k, v in lists.items() if all(isinstance(n, str) for n in v)},
        }

    @model_validator(mode="after")
    def _consistent(self) -> "SpaceSpec":
        faults: list[Fault] = []
        if self.level is not None and self.preset is not None:
            faults.append((("preset",), "level and preset exclude each other", self.preset))
        if self.level is None and self.preset is None and not (self.indicator_slots or self.structure_slots):
            faults.append(
                ((), "one of level (1-10), preset (mtf_light ... mtf_full) or indicator_slots is needed", None)
            )
        if self.timeframes is not None and len(set(self.timeframes)) != len(self.timeframes):
            faults.append((("timeframes",), "duplicate timeframe", self.timeframes))
        if len(set(self.references)) != len(self.references):
            faults.append((("references",), "duplicate symbol", self.references))
        if len(set(self.transforms)) != len(self.transforms):
            faults.append((("transforms",), "duplicate transform", self.transforms))
        for key, kind, features in (
            ("indicators", "indicator", self.indicators),
            ("structures", "structure", self.structures),
        ):
            for name, grids in (features or {}).items():
                definition = get_feature(name)
                if definition.kind != kind:
                    faults.append(
                        ((key, name), f"only {key} can stand here; {name} is of kind {definition.kind}", None)
                    )
                elif fault := _grid_fault(definition, grids):
                    faults.append(((key, name), fault, None))
        raise_faults("space", faults)
        return self

    @property
    def base(self) -> Preset:
        """The preset's numbers, overridden by the given slots."""
        if self.level is not None:
            preset = LEVELS[self.level]
        elif self.preset is not None:
            preset = MTF_PRESETS[self.preset]
        else:
            preset = Preset(0, 0, len(self.timeframes or [""]), STANDARD)
        indicators = preset.indicators if self.indicator_slots is None else self.indicator_slots
        structures = preset.structures if self.structure_slots is None else self.structure_slots
        return preset._replace(indicators=indicators, structures=structures)


def _grid_fault(definition: FeatureDefinition, grids: Grids) -> str | None:
    known = [parameter.name for parameter in definition.parameters]
    for parameter, values in grids.items():
        if parameter not in known:
            return unknown("parameter", parameter, known)
        if not values:
            return f"the grid of {parameter} is empty"
        for number in values:
            try:
                next(p for p in definition.parameters if p.name == parameter).check(number, definition.name)
            except ValueError as error:
                return str(error)
    if not parameter_choices(definition, grids, 1):
        return "no combination of these grids is valid"
    return None


def parameter_choices(
    definition: FeatureDefinition, grids: Grids, limit: int
) -> tuple[tuple[tuple[str, Number], ...], ...]:
    """Return at most ``limit`` valid parameter choices, evenly spread over all there are, each fully resolved."""
    if grids:
        full = {p.name: tuple(grids.get(p.name, p.grid)) or (p.default,) for p in definition.parameters}
        products = [dict(zip(full, values, strict=True)) for values in itertools.product(*full.values())]
    else:
        products = list(definition.combinations())
    valid = []
    for params in products:
        try:
            valid.append(definition.resolve(params))
        except ValueError:  # periods that must rise and do not
            continue
    if len(valid) > limit:
        valid = [valid[i] for i in np.linspace(0, len(valid) - 1, limit).round().astype(int)]
    return tuple(valid)
