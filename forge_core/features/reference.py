"""Reference to one feature column: feature, parameters, output and timeframe."""

from dataclasses import dataclass, replace
from functools import cached_property

Number = int | float


@dataclass(frozen=True)
class FeatureRef:
    """Fully resolved reference to one column, with every parameter in the definition's order.

    Two references are equal if and only if they denote the same column. ``transform`` has the steps applied to the
    column in bars of its own timeframe (``features.transforms``), joined by ``|``: ``zscore:100``. A last step
    ``streak`` is the signed run length of consecutive rises (positive) or falls (negative), used by the rules
    ``rising n`` and ``falling n``. ``symbol`` is another symbol whose bars it is computed from, empty for the
    instrument's own.
    """

    name: str  # "ema", "zones", "close"
    params: tuple[tuple[str, Number], ...]
    output: str  # "real", "upperband", "support"
    timeframe: str  # the feature's own, "1h"
    transform: str = ""
    symbol: str = ""

    @cached_property
    def canonical(self) -> str:
        """Unique text of the reference, such as ``bbands.upperband(timeperiod=20,nbdevup=2.0)@1h``."""
        params = ",".join(f"{key}={value!r}" for key, value in self.params)
        text = f"{self.name}.{self.output}({params})@{self.timeframe}"
        if self.symbol:
            text += f"/{self.symbol}"
        for step in self.transform.split("|") if self.transform else ():
            text = f"{step}[{text}]"
        return text

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.params, self.output, self.timeframe, self.transform, self.symbol))

    def __hash__(self) -> int:
        return self._hash  # computed once: every backtest looks columns up by their references

    def __reduce__(self) -> tuple[type["FeatureRef"], tuple[object, ...]]:
        return FeatureRef, (
            self.name,
            self.params,
            self.output,
            self.timeframe,
            self.transform,
            self.symbol,
        )  # no cached hash

    def streak(self) -> "FeatureRef":
        """Return the reference of this column's streak."""
        return replace(self, transform=f"{self.transform}|streak" if self.transform else "streak")

    def __str__(self) -> str:
        return self.canonical


PRICE_FIELDS = ("open", "high", "low", "close", "volume")


def price_field(name: str, timeframe: str) -> FeatureRef:
    """Return the reference of a bar field (``close`` of ``timeframe``)."""
    return FeatureRef(name, (), "real", timeframe)
