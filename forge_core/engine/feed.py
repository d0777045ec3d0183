"""A feed: the execution bars of one symbol and the feature columns aligned to them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forge_core.features.reference import FeatureRef
from forge_core.market.instruments import Instrument

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class ColumnSource(Protocol):
    """Whatever can compute or look up a column aligned to the execution bars."""

    def column(self, reference: FeatureRef) -> Floats:
        """Return the column, float64, one value per execution bar, NaN where it has no value yet."""
        ...

    def warmup(self, reference: FeatureRef) -> int:
        """Return the first execution bar at which the column's own warm-up has passed."""
        ...


@dataclass(frozen=True)
class Feed:
    """Bars ``0..n-1``, of which ``0..start-1`` are lead-in: features use them, trading and metrics begin at ``start``.

    ``time`` is the bars' open time in microseconds since 1970-01-01 UTC. ``day`` numbers the trade dates (days since
    1970-01-01) of the instrument's session and never decreases. Prices are in quote currency per unit. All arrays
    are C-contiguous, may be read-only and shared, and have one entry a bar. ``rolls`` is True at the first bar at
    or after a contract switch. ``funding`` is the sum of the funding rates whose timestamps lie in ``(t_i, t_i+1]``,
    or None when the instrument pays none.
    """

    instrument: Instrument
    timeframe: str
    bar_microseconds: int
    time: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    day: Integers
    start: int
    columns: ColumnSource
    rolls: NDArray[np.bool_] | None = None
    funding: Floats | None = None

    def __len__(self) -> int:
        return self.time.size

    @property
    def years(self) -> float:
        """Calendar time from the open of bar ``start`` to the close of the last bar, in years of 365.25 days."""
        return float(self.time[-1] + self.bar_microseconds - self.time[self.start]) / (365.25 * 86_400e6)
