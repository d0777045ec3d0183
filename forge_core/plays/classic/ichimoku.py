"""Ichimoku: Tenkan crosses Kijun while the close is beyond the cloud."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from forge_core.features.reference import price_field
from forge_core.plays.classic.strategy import ClassicStrategy, Period, column, when
from forge_core.plays.model import Compare, Group


class Ichimoku(ClassicStrategy):
    """Enter long when Tenkan crosses above Kijun while the close is above both spans; short is the mirror image.

    The spans are those plotted at the current bar, computed ``displacement`` bars earlier: no look-ahead.
    """

    name: ClassVar[str] = "ichimoku"

    tenkan_period: Period = 9
    kijun_period: Period = 26
    senkou_period: Period = 52
    displacement: Annotated[int, Field(ge=0, le=10_000)] = 26

    @model_validator(mode="after")
    def _in_order(self) -> "Ichimoku":
        if not self.tenkan_period < self.kijun_period < self.senkou_period:
            raise ValueError(
                f"tenkan_period {self.tenkan_period} < kijun_period {self.kijun_period} < senkou_period "
                f"{self.senkou_period} must hold"
            )
        return self

    def entries(self, timeframe: str) -> tuple[Group, Group]:
        """Return the rules of both entries."""
        close = price_field("close", timeframe)
        lines = {
            output: column("ichimoku", timeframe, output=output, **self.parameters)
            for output in ("tenkan", "kijun", "senkou_a", "senkou_b")
        }
        tenkan, kijun, a, b = lines.values()
        long = when(tenkan, "crosses_above", kijun, Compare(close, ">", a), Compare(close, ">", b))
        short = when(tenkan, "crosses_below", kijun, Compare(close, "<", a), Compare(close, "<", b))
        return long, short

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each unusual parameter."""
        if self.displacement != self.kijun_period:
            yield f"displacement {self.displacement} is not kijun_period {self.kijun_period}, its usual value"
        if self.senkou_period < 1.5 * self.kijun_period or self.kijun_period < 1.5 * self.tenkan_period:
            periods = f"{self.tenkan_period}, {self.kijun_period} and {self.senkou_period}"
            yield f"periods {periods} are so close that the lines cross on noise"
