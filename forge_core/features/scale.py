"""Scales of feature columns; rules compare columns of the same scale only."""

from dataclasses import dataclass
from typing import Literal

ScaleKind = Literal["price", "bounded", "centred", "volume", "unbounded", "percent", "zscore", "ratio"]


@dataclass(frozen=True)
class Scale:
    """Scale of one output.

    ``price``: in price units, comparable with ``close``. ``bounded``: between ``low`` and ``high`` for every
    instrument (RSI 0..100). ``centred``: oscillates about zero (MACD, momentum). ``volume``: in traded units.
    ``percent``: a distance or slope in percent of the close. ``zscore``: in standard deviations.
    ``ratio``: a price divided by that of another symbol.
    ``unbounded``: anything else (ATR, variance), comparable only with itself and with numbers. ``low`` of a scale that
    is not bounded is a bound on one side: 0 for an ATR.
    """

    kind: ScaleKind
    low: float | None = None
    high: float | None = None

    def comparable(self, other: "Scale") -> bool:
        """Return whether a rule may compare a column of this scale with a column of ``other``."""
        return self == other

    def __str__(self) -> str:
        if self.kind == "bounded":
            return f"bounded {self.low:g}..{self.high:g}"
        return self.kind if self.low is None else f"{self.kind}, at least {self.low:g}"
