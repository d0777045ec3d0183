"""Crossover of the MACD line and its signal line."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import model_validator

from forge_core.plays.classic.strategy import ClassicStrategy, Period, column, when
from forge_core.plays.model import Group


class Macd(ClassicStrategy):
    """Enter long when the MACD line crosses above its signal line, short when below."""

    name: ClassVar[str] = "macd"

    fast_period: Period = 12
    slow_period: Period = 26
    signal_period: Period = 9

    @model_validator(mode="after")
    def _in_order(self) -> "Macd":
        if self.fast_period >= self.slow_period:
            raise ValueError(f"fast_period {self.fast_period} must be below slow_period {self.slow_period}")
        return self

    def entries(self, timeframe: str) -> tuple[Group, Group]:
        """Return the rules of both entries."""
        periods = (self.fast_period, self.slow_period, self.signal_period)
        parameters = dict(zip(("fastperiod", "slowperiod", "signalperiod"), periods, strict=True))
        line = column("macd", timeframe, output="macd", **parameters)
        signal = column("macd", timeframe, output="macdsignal", **parameters)
        return when(line, "crosses_above", signal), when(line, "crosses_below", signal)

    def oddities(self) -> Iterator[str]:
        """Yield a warning for each unusual parameter."""
        if self.slow_period < 1.5 * self.fast_period:
            yield f"averages of {self.fast_period} and {self.slow_period} bars are so close that they differ by noise"
        if self.signal_period >= self.slow_period:
            yield f"a signal line of {self.signal_period} bars is slower than the slow average of {self.slow_period}"
