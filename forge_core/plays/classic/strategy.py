"""Base class of the classic strategies, and the options common to all of them."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Comparison, Distance, Group, Play, Risk, Size
from forge_core.plays.schema import Share

WARMUP_BARS = 100  # bars before the first order, in which the indicators settle

Period = Annotated[int, Field(ge=2, le=10_000)]


class Options(BaseModel):
    """Options common to all strategies.

    ``trailing_stop``: distance from the best price since the entry, a fraction of it, or none. ``sides``: the positions
    that may be opened; a signal of the other side then only closes. ``rollover``: whether a position is carried into
    the new contract where a future rolls. ``warmup_bars``: bars before the first order, including those before the
    month. ``contracts``: size of each trade.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trailing_stop: Share | None = None
    sides: Literal["both", "long", "short"] = "both"
    rollover: bool = True
    warmup_bars: Annotated[int, Field(ge=0, le=100_000)] = WARMUP_BARS
    contracts: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each valid but unusual option."""
        if self.trailing_stop is not None and self.trailing_stop < 0.002:
            yield f"a trailing stop of {self.trailing_stop:.2%} is within the noise of most bars"
        if self.trailing_stop is not None and self.trailing_stop > 0.25:
            yield f"a trailing stop of {self.trailing_stop:.0%} is hardly ever reached"
        if self.warmup_bars < 50:
            yield f"after {self.warmup_bars} bars a recursive average (EMA, Wilder) has not settled"


class ClassicStrategy(BaseModel):
    """A strategy with its parameters: a long and a short entry that each also close a position of the other side.

    Subclasses declare ``name``, their parameters as fields, ``entries``, and ``oddities``. Validators of a subclass
    raise ValueError for an invalid combination of parameters and state what is expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]

    @abstractmethod
    def entries(self, timeframe: str) -> tuple[Group, Group]:
        """Return the rules of the long and of the short entry on bars of ``timeframe``."""

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each valid but unusual parameter, one sentence each."""
        yield from ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with its value, in the order of the class."""
        return self.model_dump()

    @property
    def label(self) -> str:
        """Short name, valid as a file name, such as ``rsi_14_30_70_sma``."""
        return "_".join([self.name, *(_text(value) for value in self.parameters.values())])

    def play(self, timeframe: str, options: Options | None = None) -> Play:
        """Return the Play on bars of ``timeframe``."""
        options = options or Options()
        long, short = self.entries(timeframe)
        trailing = None if options.trailing_stop is None else Distance("percent", options.trailing_stop)
        return Play(
            name=self.label,
            timeframe=timeframe,
            entry_long=long,
            entry_short=short,
            risk=Risk(size=Size("contracts", options.contracts), trailing=trailing),
            sides=options.sides,
            warmup_bars=options.warmup_bars,
        )


def column(feature: str, timeframe: str, *, output: str | None = None, **parameters: float) -> FeatureRef:
    """Return the reference of one column of ``feature``."""
    return make_reference(feature, parameters, output=output, timeframe=timeframe)


def when(left: FeatureRef, operator: Comparison, right: FeatureRef | float, *more: Compare) -> Group:
    """Return a group that requires ``left operator right`` and all of ``more``."""
    return Group(1 + len(more), (Compare(left, operator, right), *more))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
