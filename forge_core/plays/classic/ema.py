"""Crossover of two exponential moving averages."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import model_validator

from forge_core.plays.classic.strategy import ClassicStrategy, Period, column, when
from forge_core.plays.model import Group


class Ema(ClassicStrategy):
    """Enter long when the EMA of ``short_period`` crosses above that of ``long_period``, short when below."""

    name: ClassVar[str] = "ema"

    short_period: Period = 9
    long_period: Period = 21

    @model_validator(mode="after")
    def _in_order(self) -> "Ema":
        if self.short_period >= self.long_period:
            raise ValueError(f"short_period {self.short_period} must be below long_period {self.long_period}")
        return self

    def entries(self, timeframe: str) -> tuple[Group, Group]:
        """Return the rules of both entries."""
        short = column("ema", timeframe, timeperiod=self.short_period)
        long = column("ema", timeframe, timeperiod=self.long_period)
        return when(short, "crosses_above", long), when(short, "crosses_below", long)

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each unusual parameter."""
        if self.long_period < 1.5 * self.short_period:
            yield f"averages of {self.short_period} and {self.long_period} bars are so close that they cross on noise"
        if self.short_period < 5:
            yield f"an average of {self.short_period} bars hardly smooths"
        if self.long_period > 200:
            yield f"an average of {self.long_period} bars crosses too seldom to be evaluated in a month"
