"""RSI reversal: entries where the RSI crosses a lower and an upper threshold."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from forge_core.plays.classic.strategy import ClassicStrategy, Period, column, when
from forge_core.plays.model import Group

Threshold = Annotated[float, Field(gt=0, lt=100)]


class Rsi(ClassicStrategy):
    """Enter long when the RSI crosses below ``lower``, short when it crosses above ``upper``.

    ``smoothing: sma``, the default, averages gains and losses with a simple rolling mean (Cutler): its value depends on
    the last ``period`` + 1 bars alone, so that a month's result does not depend on the number of earlier bars.
    ``wilder`` is the RSI of TA-Lib and of most charts, a recursive average of all earlier bars.
    """

    name: ClassVar[str] = "rsi"

    period: Period = 14
    lower: Threshold = 30.0
    upper: Threshold = 70.0
    smoothing: Literal["sma", "wilder"] = "sma"

    @model_validator(mode="after")
    def _in_order(self) -> "Rsi":
        if self.lower >= self.upper:
            raise ValueError(f"lower {self.lower:g} must be below upper {self.upper:g}")
        return self

    def entries(self, timeframe: str) -> tuple[Group, Group]:
        """Return the rules of both entries."""
        feature = "rsi_sma" if self.smoothing == "sma" else "rsi"
        rsi = column(feature, timeframe, timeperiod=self.period)
        return when(rsi, "crosses_below", self.lower), when(rsi, "crosses_above", self.upper)

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each unusual parameter."""
        if not 5 <= self.period <= 50:
            yield f"an RSI over {self.period} bars is {'all noise' if self.period < 5 else 'nearly always about 50'}"
        if self.lower >= 50 or self.upper <= 50:
            yield f"thresholds {self.lower:g} and {self.upper:g} are on the same side of 50"
        elif self.lower < 10 or self.upper > 90:
            yield f"thresholds {self.lower:g} and {self.upper:g} are hardly ever crossed"
        elif self.lower > 40 or self.upper < 60:
            yield f"thresholds {self.lower:g} and {self.upper:g} are crossed all the time"
