"""Timeframes: a bar's nominal length, written ``1m``, ``15m``, ``4h``, ``1d``, ``1w``."""

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Self

import pandas as pd

from forge_core.errors import ConfigError

_UNITS = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_LABEL = re.compile(r"([1-9]\d{0,3})([mhdw])")


@total_ordering
@dataclass(frozen=True)
class Timeframe:
    """A bar length. ``label`` is its name (``15m``), ``microseconds`` its length; ordered by length."""

    label: str
    microseconds: int

    @classmethod
    def parse(cls, label: "str | Timeframe") -> Self:
        """Parse a label such as ``15m``; raise ConfigError for anything else."""
        if isinstance(label, Timeframe):
            return cls(label.label, label.microseconds)
        match = _LABEL.fullmatch(label)
        if match is None:
            raise ConfigError(f"timeframe {label!r} is not one of the form 1m, 5m, 15m, 30m, 1h, 4h, 1d, 1w")
        return cls(label, int(match[1]) * _UNITS[match[2]])

    @property
    def timedelta(self) -> pd.Timedelta:
        """The length as a pandas Timedelta."""
        return pd.Timedelta(self.microseconds, unit="us")

    @property
    def intraday(self) -> bool:
        """Whether the bar is shorter than a day."""
        return self.microseconds < _UNITS["d"]

    def __lt__(self, other: "Timeframe") -> bool:
        return self.microseconds < other.microseconds

    def __str__(self) -> str:
        return self.label
