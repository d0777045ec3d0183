"""What the numbers of a feature column mean, so that rules never compare apples with percentages."""

from dataclasses import dataclass
from typing import Literal

ScaleKind = Literal["price", "bounded", "centred", "volume", "unbounded"]


@dataclass(frozen=True)
class Scale:
    """The scale of one output.

    ``price``: in price units, comparable with ``close``. ``bounded``: between ``low`` and ``high`` whatever the
    instrument (RSI 0..100). ``centred``: swings about zero (MACD, momentum). ``volume``: in traded units.
    ``unbounded``: anything else (ATR, variance), comparable only with itself and with numbers.
    """

    kind: ScaleKind
    low: float | None = None
    high: float | None = None

    def comparable(self, other: "Scale") -> bool:
        """Whether a rule may set a column of this scale against a column of ``other``."""
        return self == other

    def __str__(self) -> str:
        return f"bounded {self.low:g}..{self.high:g}" if self.kind == "bounded" else self.kind
