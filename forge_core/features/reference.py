"""Reference to one feature column: feature, parameters, output and timeframe."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Number = int | float
Transform = Literal["", "streak"]


@dataclass(frozen=True)
class FeatureRef:
    """Fully resolved reference to one column, with every parameter in the definition's order.

    Two references are equal if and only if they denote the same column. ``transform="streak"`` is the signed run length
    of consecutive rises (positive) or falls (negative) of the column in bars of its own timeframe, used by the rules
    ``rising n`` and ``falling n``.
    """

    name: str  # "ema", "zones", "close"
    params: tuple[tuple[str, Number], ...]
    output: str  # "real", "upperband", "support"
    timeframe: str  # the feature's own, "1h"
    transform: Transform = ""

    @cached_property
    def canonical(self) -> str:
        """Unique text of the reference, such as ``bbands.upperband(timeperiod=20,nbdevup=2.0)@1h``."""
        params = ",".join(f"{key}={value!r}" for key, value in self.params)
        text = f"{self.name}.{self.output}({params})@{self.timeframe}"
        return f"{self.transform}[{text}]" if self.transform else text

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.params, self.output, self.timeframe, self.transform))

    def __hash__(self) -> int:
        return self._hash  # computed once: every backtest looks columns up by their references

    def __reduce__(self) -> tuple[type["FeatureRef"], tuple[object, ...]]:
        return FeatureRef, (
            self.name,
            self.params,
            self.output,
            self.timeframe,
            self.transform,
        )  # no cached hash

    def streak(self) -> "FeatureRef":
        """Return the reference of this column's streak."""
        return FeatureRef(self.name, self.params, self.output, self.timeframe, "streak")

    def __str__(self) -> str:
        return self.canonical


PRICE_FIELDS = ("open", "high", "low", "close", "volume")


def price_field(name: str, timeframe: str) -> FeatureRef:
    """Return the reference of a bar field (``close`` of ``timeframe``)."""
    return FeatureRef(name, (), "real", timeframe)
