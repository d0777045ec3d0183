"""Schema of a Play's YAML file: keys, types and bounds."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)
from typing_extensions import TypeAliasType

from forge_core.errors import suggest
from forge_core.features.catalogue.relative import RELATIVE
from forge_core.features.reference import PRICE_FIELDS
from forge_core.features.transforms import MAX_WINDOW, TRANSFORMS
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import safe_name
from forge_core.plays.model import Distance, Risk, Size, When

FEATURE_KINDS = ("indicator", "structure", "price", "calendar", "relative")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OPERATORS = (">", "<", ">=", "<=", "crosses_above", "crosses_below", "rising", "falling")
CONNECTIVES = ("and", "or", "not")  # not operators, but a rule that uses them gets a hint
MAX_RULES = 255  # of one group
MAX_DEPTH = 8  # groups within groups
MAX_STREAK = 100  # bars of `rising n`
MAX_WARMUP = 100_000

_FEATURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_feature_name(name: str) -> str:
    """Return ``name`` if it is valid for a feature, else raise ValueError."""
    if not _FEATURE_NAME.fullmatch(name):
        raise ValueError(f"feature name {name!r} is not allowed: use letters, digits and '_', starting with a letter")
    if name in PRICE_FIELDS:
        raise ValueError(f"feature name {name!r} is reserved: in a rule it means the bar's {name}; choose another name")
    if name.lower() in (*OPERATORS, *CONNECTIVES):
        raise ValueError(f"feature name {name!r} is reserved: it is a keyword of the rules; choose another name")
    return name


def _number(value: Any) -> Any:
    """Reject booleans, and convert numbers such as ``1e-3``, which YAML 1.1 loads as text."""
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    if isinstance(value, str | int):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise ValueError("a number is expected") from None
        return number if isinstance(value, str) else value
    return value


def _share(value: Any) -> Any:
    """Reject a percentage where a fraction is expected."""
    number = _number(value)
    if isinstance(number, int | float) and number >= 1:
        raise ValueError("a fraction below 1 is expected (0.03 is 3 %)")
    return number


def _clock(value: Any) -> Any:
    """Reject a time of day that YAML 1.1 loads as a number because it is not in quotes."""
    if isinstance(value, int | float):
        raise ValueError('a time of day in quotes is expected, such as "13:30"')
    return value


def _minutes(time: str) -> int:
    """Return a time of day in minutes after 00:00."""
    hours, minutes = time.split(":")
    return 60 * int(hours) + int(minutes)


# The bounds are declared inside the validators: only there does the JSON Schema include them.
Number = Annotated[int | Annotated[float, Field(allow_inf_nan=False)], BeforeValidator(_number)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_number)]
Share = Annotated[float, Field(gt=0, lt=1), BeforeValidator(_share)]
Gain = Annotated[float, Field(gt=0, le=10), BeforeValidator(_number)]
Whole = Annotated[int, Field(strict=True)]
Clock = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"), BeforeValidator(_clock)]
SymbolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]
FeatureName = Annotated[str, AfterValidator(check_feature_name)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def _exactly_one(self, *names: str) -> str:
        """Return the one of ``names`` that is set, or raise ValueError."""
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(names)} is expected, got {' and '.join(given) or 'none'}")
        return given[0]


def _optional(description: str, example: Any, **bounds: Any) -> Any:
    return Field(default=None, description=description, examples=[example], **bounds)


def _one_of(*names: str) -> dict[str, Any]:
    """JSON Schema for "exactly one of these keys"."""
    return {"oneOf": [{"required": [name]} for name in names]}


class WindowShape(_Shape):
    """A transform over a window of bars: exactly one of zscore, percentile_rank, slope, lag."""

    model_config = ConfigDict(json_schema_extra=_one_of("zscore", "percentile_rank", "slope", "lag"))

    zscore: Whole | None = _optional("Standard deviations from the mean of the window.", 100, ge=2, le=MAX_WINDOW)
    percentile_rank: Whole | None = _optional("Rank in the window, 0 to 100.", 100, ge=2, le=MAX_WINDOW)
    slope: Whole | None = _optional("Slope of the regression line, per bar.", 20, ge=2, le=MAX_WINDOW)
    lag: Whole | None = _optional("The value this many bars ago.", 5, ge=1, le=MAX_WINDOW)

    @property
    def step(self) -> str:
        """The transform as a step of ``features.transforms``."""
        name = self._exactly_one("zscore", "percentile_rank", "slope", "lag")
        return f"{name}:{getattr(self, name)}"


class RelativeShape(_Shape):
    """The close divided by that of another symbol."""

    to: SymbolName = Field(description="The other symbol, one of the dataset's references.", examples=["BTCUSDT"])


class FeatureShape(_Shape):
    """One feature: its kind and name, its parameters (under the indicator's own names), and the column it denotes."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_one_of(*FEATURE_KINDS))
    __pydantic_extra__: dict[str, Number]

    indicator: str | None = _optional("An indicator, such as ema, rsi, bbands.", "ema")
    structure: str | None = _optional("A price structure, such as zones, swings.", "zones")
    price: str | None = _optional("A bar field of another timeframe: open, high, low, close, volume.", "close")
    calendar: str | None = _optional("Date or time of the bar's close: hour, weekday, minutes_since_open ...", "hour")
    relative: RelativeShape | None = _optional("The close divided by that of another symbol.", {"to": "BTCUSDT"})
    symbol: SymbolName | None = _optional("Another symbol, one of the dataset's references.", "BTCUSDT")
    timeframe: str | None = _optional("The bars it is computed from; the Play's own if left out.", "1h")
    output: str | None = _optional("The column its name denotes, if it has several.", "upperband")

    transform: WindowShape | Literal["distance"] | None = _optional(
        "A transform of the column: distance (percent from the close), or one over a window.", {"zscore": 100}
    )

    @field_validator("transform", mode="before")
    @classmethod
    def _known_transform(cls, value: Any) -> Any:
        name = value if isinstance(value, str) else next(iter(value), "") if isinstance(value, dict) else ""
        if value == "distance" or (isinstance(value, dict) and len(value) == 1 and name in WindowShape.model_fields):
            return value
        if isinstance(value, str) and name in WindowShape.model_fields:
            raise ValueError(f"{name} needs a window: write {{{name}: 20}}")
        if name == "distance":
            raise ValueError("distance takes no window: write transform: distance")
        raise ValueError(
            f"one transform is expected: distance, or {{zscore: 100}} (zscore, percentile_rank, slope, lag)"
            f"{suggest(str(name), TRANSFORMS)}"
        )

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("a mapping such as {indicator: ema, timeperiod: 20} is expected")
        for key, given in value.items():
            if key not in cls.model_fields and not isinstance(given, int | float):
                try:
                    _number(given)
                except ValueError:
                    raise ValueError(
                        f"{key}: {given!r} is neither a key of a feature{suggest(str(key), cls.model_fields)} "
                        "nor a parameter, which is a number"
                    ) from None
        if not any(value.get(kind) is not None for kind in FEATURE_KINDS):
            near = next((hint for key in value if (hint := suggest(str(key), FEATURE_KINDS))), "")
            raise ValueError(f"one of {', '.join(FEATURE_KINDS)} is required{near}")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        self._exactly_one(*FEATURE_KINDS)
        if self.symbol is not None and (self.relative is not None or self.calendar is not None):
            raise ValueError(f"a {self.kind} feature takes no symbol; remove it")
        return self

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, value: str | None) -> str | None:
        return None if value is None else Timeframe.parse(value).label

    @property
    def kind(self) -> str:
        """The key given: ``indicator``, ``structure``, ``price``, ``calendar`` or ``relative``."""
        return self._exactly_one(*FEATURE_KINDS)

    @property
    def what(self) -> str:
        """The name of the indicator, structure, bar field or calendar feature."""
        return RELATIVE if self.relative is not None else str(getattr(self, self.kind))

    @property
    def step(self) -> str:
        """The transform as a step of ``features.transforms``, empty without one."""
        return self.transform.step if isinstance(self.transform, WindowShape) else self.transform or ""

    @property
    def other(self) -> str:
        """The other symbol it is computed from, empty without one."""
        return self.relative.to if self.relative is not None else self.symbol or ""

    @property
    def parameters(self) -> dict[str, int | float]:
        """The parameters given, by name."""
        return dict(self.__pydantic_extra__ or {})


class AllOf(_Shape):
    """True where all of the rules are."""

    all: "list[Rules]" = Field(min_length=1, max_length=MAX_RULES)


class AnyOf(_Shape):
    """True where at least one of the rules is."""

    any: "list[Rules]" = Field(min_length=1, max_length=MAX_RULES)


class AtLeast(_Shape):
    """True where at least this number of the rules are."""

    at_least: Whole = Field(ge=1)
    of: "list[Rules]" = Field(min_length=1, max_length=MAX_RULES)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_least > len(self.of):
            raise ValueError(f"at_least is {self.at_least}, but there are only {len(self.of)} rules")
        return self


def _form(value: Any) -> str | None:
    """Return the tag of the branch of ``Rules`` that matches ``value``, or None."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return next((form for key, form in _GROUP_FORMS.items() if key in value), None)
    return None


_GROUP_FORMS = {"all": "AllOf", "any": "AnyOf", "at_least": "AtLeast", "of": "AtLeast"}

_RULE = (
    "One rule: left operator right, or feature rising n, or feature falling n. Operators: > < >= <= crosses_above "
    "crosses_below. Left and right: a feature, feature.output, open high low close volume, a number."
)
_EXPECTED = (
    "a rule such as 'fast > slow', a list of rules, {all: [...]}, {any: [...]} or {at_least: 2, of: [...]} is expected"
)

if TYPE_CHECKING:
    Rules = Any  # the alias is recursive, which mypy does not support
else:
    Rules = TypeAliasType(
        "Rules",
        Annotated[
            Annotated[
                str,
                Field(description=_RULE, examples=["fast > slow", "rsi crosses_above 30", "slow rising 3"]),
                Tag("text"),
            ]
            | Annotated[
                list["Rules"], Field(min_length=1, max_length=MAX_RULES, description="All of these."), Tag("list")
            ]
            | Annotated[AllOf, Tag("AllOf")]
            | Annotated[AnyOf, Tag("AnyOf")]
            | Annotated[AtLeast, Tag("AtLeast")],
            Discriminator(
                _form,
                custom_error_type="rules",
                custom_error_message=_EXPECTED,
            ),
        ],
    )


class Sides(_Shape):
    """Rules by side."""

    long: Rules | None = Field(default=None, description="For long positions.")
    short: Rules | None = Field(default=None, description="For short positions.")


class SizeShape(_Shape):
    """Size of a trade: exactly one of fraction, notional, contracts, risk."""

    model_config = ConfigDict(json_schema_extra=_one_of("fraction", "notional", "contracts", "risk"))

    fraction: Positive | None = _optional("Share of equity; 1.0 is all of it.", 1.0)
    notional: Positive | None = _optional("Money per trade, in quote currency.", 10_000)
    contracts: Positive | None = _optional("Units or contracts per trade.", 1)
    risk: Share | None = _optional("Share of equity lost if the stop is hit; needs a stop.", 0.01)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        self._exactly_one("fraction", "notional", "contracts", "risk")
        return self

    def size(self) -> Size:
        """Return the model's size."""
        kind = self._exactly_one("fraction", "notional", "contracts", "risk")
        return Size(kind, getattr(self, kind))  # type: ignore[arg-type]  # one of Size's kinds


class TargetShape(_Shape):
    """Distance of a target from the entry price: exactly one of percent, atr, ticks."""

    model_config = ConfigDict(json_schema_extra=_one_of("percent", "atr", "ticks"))

    percent: Gain | None = _optional("Fraction of the price: 0.05 is 5 %.", 0.05)
    atr: Positive | None = _optional("Multiples of the average true range.", 2.5)
    ticks: Positive | None = _optional("Multiples of the instrument's tick.", 40)
    timeperiod: Whole | None = _optional("Bars of the average true range; 14 if left out.", 14, ge=1)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self._exactly_one("percent", "atr", "ticks") != "atr" and self.timeperiod is not None:
            raise ValueError("timeperiod belongs to atr")
        return self

    def distance(self) -> Distance:
        """Return the model's distance."""
        kind = self._exactly_one("percent", "atr", "ticks")
        period = Distance.timeperiod if self.timeperiod is None else self.timeperiod
        return Distance(kind, getattr(self, kind), period)  # type: ignore[arg-type]  # one of Distance's kinds


class StopShape(TargetShape):
    """Distance of a stop or trailing stop from its reference price: exactly one of percent, atr, ticks."""

    percent: Share | None = _optional("Fraction of the price: 0.03 is 3 %.", 0.03)


class RiskShape(_Shape):
    """Size, and exits other than by rule."""

    size: SizeShape = Field(default=SizeShape(fraction=1.0), description="Size of a trade; all equity if left out.")
    stop: StopShape | None = _optional("Stop, from the entry price.", {"atr": 2.5})
    take_profit: TargetShape | None = _optional("Target, from the entry price.", {"atr": 5.0})
    trailing: StopShape | None = _optional("Stop that follows the best price since the entry.", {"percent": 0.03})
    max_bars: Whole | None = _optional("Close a position after this many bars.", 200, ge=1, le=1_000_000)
    cooldown: Whole = Field(default=0, ge=0, le=100_000, description="Bars to wait after a position is closed.")

    def settings(self) -> Risk:
        """Return the model's risk settings."""
        return Risk(
            size=self.size.size(),
            stop=self.stop.distance() if self.stop else None,
            take_profit=self.take_profit.distance() if self.take_profit else None,
            trailing=self.trailing.distance() if self.trailing else None,
            max_bars=self.max_bars,
            cooldown=self.cooldown,
        )


class WhenShape(_Shape):
    """Closes at which entries count, by the wall clock; the signal's bar counts by its close."""

    from_: Clock = Field(default="00:00", alias="from", description="First close, included.", examples=["13:30"])
    to: Clock = Field(default="24:00", description="Last close, included; before `from` it is on the next day.")
    timezone: str | None = _optional("Time zone; that of the instrument's session if left out.", "America/New_York")
    weekdays: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] | None = _optional(
        "Days of the closes; all if left out.", ["mon", "tue"], min_length=1
    )

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str | None) -> str | None:
        return None if value is None else Session(timezone=value).timezone

    @field_validator("weekdays")
    @classmethod
    def _once_each(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a weekday is listed twice")
        return value

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.from_ == self.to:
            raise ValueError(f"from and to are both {self.to}; leave both out for the whole day")
        return self

    def when(self) -> When:
        """Return the model's hours."""
        days = tuple(sorted(WEEKDAYS.index(day) for day in self.weekdays or ()))
        every = () if len(days) == len(WEEKDAYS) else days
        return When(_minutes(self.from_), _minutes(self.to), self.timezone, every)


class PlayShape(_Shape):
    """A trading strategy: features, entry and exit rules, and risk."""

    name: str = Field(description="The Play's name: letters, digits, '_', '-', '.'.", examples=["ema_cross"])
    description: str = Field(default="", description="A comment for the reader; Forge ignores it.")
    timeframe: str = Field(description="The bars it trades on.", examples=["15m", "1h", "1d"])
    features: dict[FeatureName, FeatureShape] = Field(
        default_factory=dict,
        description="The columns its rules read, by name.",
        examples=[{"fast": {"indicator": "ema", "timeperiod": 12}}],
    )
    entry: Sides = Field(default=Sides(), description="Entry rules; an entry also closes a position of the other side.")
    exit: Sides = Field(default=Sides(), description="Exit rules.")
    risk: RiskShape = Field(default=RiskShape(), description="Size, stop, target and other limits.")
    sides: Literal["both", "long", "short"] = Field(
        default="both", description="The positions that may be opened; an entry of the other side then only closes."
    )
    when: WhenShape | None = _optional(
        "Closes at which entries count; all if left out.", {"from": "13:30", "to": "20:00", "weekdays": ["mon", "tue"]}
    )
    flat_by: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$"), BeforeValidator(_clock)] | None = _optional(
        "Time of day by which positions are closed, in the time zone of `when`.", "20:55"
    )
    warmup_bars: Whole = Field(
        default=0, ge=0, le=MAX_WARMUP, description="Minimum number of bars before the first order; lead-in bars count."
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return safe_name(value)

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, value: str) -> str:
        return Timeframe.parse(value).label

    @property
    def flat_by_minutes(self) -> int | None:
        """``flat_by`` in minutes after 00:00."""
        return None if self.flat_by is None else _minutes(self.flat_by)
