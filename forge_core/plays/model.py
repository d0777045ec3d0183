"""In-memory model of a Play: frozen and fully resolved; ``plays.parser`` reads its YAML, ``plays.writer`` writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from forge_core.features.reference import FeatureRef

Comparison = Literal[">", "<", ">=", "<=", "crosses_above", "crosses_below"]
Direction = Literal["rising", "falling"]


@dataclass(frozen=True)
class Compare:
    """``left operator right``: a column against another column or a number."""

    left: FeatureRef
    operator: Comparison
    right: FeatureRef | float


@dataclass(frozen=True)
class Trend:
    """``feature rising n``: each of the last ``bars`` steps of the column, in its own timeframe, was up (or down)."""

    feature: FeatureRef
    direction: Direction
    bars: int


@dataclass(frozen=True)
class Group:
    """True where at least ``at_least`` of ``rules`` are true: their number for ``all``, 1 for ``any``."""

    at_least: int
    rules: tuple["Compare | Trend | Group", ...]


Rule = Compare | Trend | Group


@dataclass(frozen=True)
class Size:
    """Size of a trade: share of equity, money, contracts, or share of equity lost if the stop is hit."""

    kind: Literal["fraction", "notional", "contracts", "risk"] = "fraction"
    value: float = 1.0


@dataclass(frozen=True)
class Distance:
    """Distance of a level from its reference price.

    ``percent``: ``value`` is a fraction of the price (0.03 is 3 %); ``atr``: multiples of the ATR (``timeperiod`` bars
    of the execution timeframe) at the close that queued the order; ``ticks``: multiples of the instrument's tick.
    """

    kind: Literal["percent", "atr", "ticks"]
    value: float
    timeperiod: int = 14


@dataclass(frozen=True)
class Risk:
    """Size, and exits other than by rule; ``max_bars`` and ``cooldown`` are counted in bars."""

    size: Size = Size()
    stop: Distance | None = None
    take_profit: Distance | None = None
    trailing: Distance | None = None
    max_bars: int | None = None
    cooldown: int = 0


@dataclass(frozen=True)
class When:
    """Closes at which entries count: from ``start`` to ``end`` (both included, minutes after 00:00) on ``weekdays``.

    A close at midnight is at 1440 of the day that ends. ``end`` before ``start`` spans midnight. ``weekdays`` are 0
    (Monday) to 6; none means all. ``timezone`` None is that of the instrument's session.
    """

    start: int = 0
    end: int = 1440
    timezone: str | None = None
    weekdays: tuple[int, ...] = ()

    @property
    def restricts(self) -> bool:
        """Whether any close is excluded."""
        return (self.start, self.end) != (0, 1440) or bool(self.weekdays)


@dataclass(frozen=True)
class Play:
    """One strategy. A side without an entry rule is never entered; ``features`` maps the author's names to columns."""

    name: str
    timeframe: str  # the execution timeframe
    entry_long: Group | None = None
    entry_short: Group | None = None
    exit_long: Group | None = None
    exit_short: Group | None = None
    risk: Risk = Risk()
    sides: Literal["both", "long", "short"] = "both"  # an entry of a side not allowed only closes the other
    warmup_bars: int = 0
    features: Mapping[str, FeatureRef] = field(default_factory=dict)
    when: When | None = None  # None: entries count at every close
    flat_by: int | None = None  # minutes after 00:00, in the zone of ``when``
