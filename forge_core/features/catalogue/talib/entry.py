"""Catalogue entry of a TA-Lib indicator, and the scales and grids that entries share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forge_core.features.reference import Number
from forge_core.features.relations import NO_RELATIONS, Relations
from forge_core.features.scale import Scale

PRICE = Scale("price")
CENTRED = Scale("centred")
UNBOUNDED = Scale("unbounded")
NOT_NEGATIVE = Scale("unbounded", 0.0)
PERCENT = Scale("bounded", 0.0, 100.0)
SIGNED_PERCENT = Scale("bounded", -100.0, 100.0)
SIGNED_UNIT = Scale("bounded", -1.0, 1.0)
UNIT = Scale("bounded", 0.0, 1.0)

AVERAGE_PERIODS = (5, 7, 10, 14, 20, 28, 34, 55, 89, 144, 200)
OSCILLATOR_PERIODS = (5, 7, 9, 12, 14, 18, 21, 28, 34, 55)
AVERAGES: Mapping[str, tuple[Number, ...]] = {"timeperiod": AVERAGE_PERIODS}
OSCILLATORS: Mapping[str, tuple[Number, ...]] = {"timeperiod": OSCILLATOR_PERIODS}
FAST_SLOW = (("fastperiod", "slowperiod"),)
ZERO = (0.0,)


def steps(low: float, high: float, step: float) -> tuple[float, ...]:
    """Return ``low, low + step, ..., high`` without accumulated rounding errors."""
    return tuple(round(low + step * number, 9) for number in range(round((high - low) / step) + 1))


def around_zero(*sizes: float) -> tuple[float, ...]:
    """Return ``sizes`` with both signs, and zero, ascending."""
    return tuple(sorted({0.0, *sizes, *(-size for size in sizes)}))


@dataclass(frozen=True)
class Entry:
    """Metadata of one indicator that TA-Lib does not provide.

    ``scale`` and ``thresholds`` apply to every output, or are given by output. ``grids`` are by parameter; an entry
    with grids is searched, an entry without parameters if ``search`` is True. ``ascending``, ``tied`` and ``relations``
    are those of FeatureDefinition.
    """

    name: str
    scale: Scale | Mapping[str, Scale]
    thresholds: tuple[float, ...] | Mapping[str, tuple[float, ...]] = ()
    grids: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)
    ascending: tuple[tuple[str, ...], ...] = ()
    tied: tuple[tuple[str, str], ...] = ()
    default_output: str | None = None
    search: bool = False
    relations: Relations = NO_RELATIONS

    def scale_of(self, output: str) -> Scale:
        """The scale of one output."""
        return self.scale if isinstance(self.scale, Scale) else self.scale[output]

    def thresholds_of(self, output: str) -> tuple[float, ...]:
        """The thresholds of one output."""
        return self.thresholds if isinstance(self.thresholds, tuple) else self.thresholds.get(output, ())
