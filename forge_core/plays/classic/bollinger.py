"""Bollinger bands: entries where the close crosses back inside the bands."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from forge_core.features.reference import price_field
from forge_core.plays.classic.strategy import ClassicStrategy, Period, column, when
from forge_core.plays.model import Group


class Bollinger(ClassicStrategy):
    """Enter long when the close crosses above the lower band, short when it crosses below the upper band.

    The bands are ``deviations`` population standard deviations from the simple moving average of ``period`` closes.
    """

    name: ClassVar[str] = "bollinger"

    period: Period = 20
    deviations: Annotated[float, Field(gt=0, le=10)] = 2.0

    def entries(self, timeframe: str) -> tuple[Group, Group]:
        """Return the rules of both entries."""
        close = price_field("close", timeframe)
        parameters = {"timeperiod": self.period, "nbdevup": self.deviations, "nbdevdn": self.deviations}
        lower = column("bbands", timeframe, output="lowerband", **parameters)
        upper = column("bbands", timeframe, output="upperband", **parameters)
        return when(close, "crosses_above", lower), when(close, "crosses_below", upper)

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each unusual parameter."""
        if self.period < 10:
            yield f"a standard deviation of {self.period} closes is mostly noise"
        if self.deviations < 1:
            yield f"bands of {self.deviations:g} deviations are crossed all the time"
        if self.deviations > 3:
            yield f"bands of {self.deviations:g} deviations are hardly ever crossed"
