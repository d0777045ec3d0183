"""What TA-Lib does not say of its indicators: scales, thresholds and search grids."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forge_core.features.reference import Number
from forge_core.features.scale import Scale

PRICE = Scale("price")
CENTRED = Scale("centred")
VOLUME = Scale("volume")
UNBOUNDED = Scale("unbounded")
PERCENT = Scale("bounded", 0.0, 100.0)

PERIODS = (5, 7, 10, 14, 20, 28, 34, 55, 89, 144, 200)


@dataclass(frozen=True)
class Entry:
    """One indicator: scales and thresholds by output, grids and bounds by parameter."""

    name: str
    scales: Mapping[str, Scale] | Scale
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    grids: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ascending: tuple[tuple[str, ...], ...] = ()
    default_output: str | None = None
    search: bool = True

    def scale_of(self, output: str) -> Scale:
        """The scale of one output."""
        return self.scales if isinstance(self.scales, Scale) else self.scales[output]

    def thresholds_of(self, output: str) -> tuple[float, ...]:
        """The thresholds of one output, none where none are declared."""
        return self.thresholds.get(output, ())


CATALOGUE = (
    Entry("sma", PRICE, grids={"timeperiod": PERIODS}),
    Entry("ema", PRICE, grids={"timeperiod": PERIODS}),
    Entry("rsi", PERCENT, {"real": tuple(range(10, 91, 5))}, {"timeperiod": PERIODS}),
    Entry("atr", UNBOUNDED, grids={"timeperiod": PERIODS}),
    Entry("bbands", PRICE, grids={"timeperiod": PERIODS, "nbdevup": (1.5, 2.0, 2.5, 3.0)}, default_output="middleband"),
    Entry(
        "macd",
        CENTRED,
        grids={"fastperiod": (5, 8, 12, 16, 20), "slowperiod": (13, 21, 26, 34, 50), "signalperiod": (5, 9, 13)},
        ascending=(("fastperiod", "slowperiod"),),
    ),
)
