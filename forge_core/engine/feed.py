"""A feed: the execution bars of one symbol and the feature columns aligned to them."""

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.engine.codes import Codes
from forge_core.engine.pointers import RemembersAddresses, address
from forge_core.engine.words import WORD
from forge_core.errors import DataError
from forge_core.features.reference import FeatureRef
from forge_core.market.instruments import Instrument

FUNDING_INTERVAL = 8 * 3_600_000_000  # microseconds between two stamps, the usual eight hours

# A feed's columns as the kernel finds them: addresses in one vector
TIME, OPEN, HIGH, LOW, CLOSE, DAY_INDEX, DAY_END, DAY_CLOSE, EXTREMES, ROLLS, FUNDING = range(11)
BARS_SIZE = 11
WORD_EXTREMES = 4  # numbers a word of bars has in `Feed.extremes`

_PACKED = struct.Struct("qqqqdd")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Column(RemembersAddresses):
    """One feature column: float64 ``data``, one value an execution bar, NaN where there is none yet, C-contiguous and
    read-only; and its ``codes``, where they are at hand, by which rules are evaluated faster to the same result."""

    data: Floats
    codes: Codes | None = None

    @cached_property
    def address(self) -> int:
        """Where the data begin."""
        return address(self.data, np.float64)

    @cached_property
    def packed(self) -> bytes:
        """What ``engine.linker`` has to know of the column, as it is laid out there."""
        codes = self.codes
        if codes is None:
            return _PACKED.pack(self.address, 0, 0, 0, 0.0, 0.0)
        return _PACKED.pack(self.address, codes.address, codes.first_word, codes.exact, codes.low, codes.step)

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.data.nbytes + (0 if self.codes is None else self.codes.data.nbytes)


class ColumnSource(Protocol):
    """Whatever can compute or look up a column aligned to the execution bars."""

    def column(self, reference: FeatureRef) -> Floats:
        """Return the column's values, float64, one per execution bar, NaN where it has no value yet."""
        ...

    def coded(self, reference: FeatureRef) -> Column:
        """Return the column with its codes, where they are at hand."""
        ...

    def warmup(self, reference: FeatureRef) -> int:
        """Return the first execution bar at which the column's own warm-up has passed."""
        ...


@dataclass(frozen=True)
class Feed(RemembersAddresses):
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

    @cached_property
    def day_index(self) -> NDArray[np.int32]:
        """For each bar the running number of its trade date, the date of bar ``start`` being 0 (lead-in: 0 too)."""
        index = np.zeros(self.time.size, np.int32)
        index[self.start + 1 :] = np.cumsum(np.diff(self.day[self.start :]) != 0)
        return index

    @cached_property
    def day_end(self) -> NDArray[np.int32]:
        """For each trade date of ``day_index`` the number of its last bar."""
        return np.append(np.flatnonzero(np.diff(self.day_index)), self.time.size - 1).astype(np.int32)

    @cached_property
    def day_close(self) -> Floats:
        """For each trade date of ``day_index`` the close of its last bar."""
        return self.close[self.day_end]

    @cached_property
    def extremes(self) -> Floats:
        """For each word of 64 bars the lowest low, the highest high, the lowest and the highest close."""
        first = np.arange(0, self.time.size, WORD)
        reduced = ((np.minimum, self.low), (np.maximum, self.high), (np.minimum, self.close), (np.maximum, self.close))
        return np.stack([function.reduceat(values, first) for function, values in reduced], axis=1)

    @cached_property
    def addresses(self) -> Integers:
        """Where the kernel finds the columns of the bars; 0 for rolls or funding without any."""
        found = np.empty(BARS_SIZE, np.int64)
        found[TIME] = address(self.time, np.int64)
        found[OPEN] = address(self.open, np.float64)
        found[HIGH] = address(self.high, np.float64)
        found[LOW] = address(self.low, np.float64)
        found[CLOSE] = address(self.close, np.float64)
        found[DAY_INDEX] = address(self.day_index, np.int32)
        found[DAY_END] = address(self.day_end, np.int32)
        found[DAY_CLOSE] = address(self.day_close, np.float64)
        found[EXTREMES] = address(self.extremes, np.float64)
        found[ROLLS] = 0 if self.rolls is None else address(self.rolls, np.bool_)
        found[FUNDING] = 0 if self.funding is None else address(self.funding, np.float64)
        return found

    @property
    def days(self) -> int:
        """The number of trade dates from bar ``start`` on."""
        return int(self.day_index[-1]) + 1

    def with_funding(self, rates: pd.Series) -> "Feed":
        """Return this feed with the funding ``rates`` (fractions, paid by longs) of a timestamp index.

        They must cover the bars from ``start`` on: nothing is held in the lead-in.
        """
        rates = rates.sort_index()
        stamps = _microseconds(pd.DatetimeIndex(rates.index))
        values = rates.to_numpy(np.float64)
        funding = np.zeros(self.time.size)
        funding[self.start :] = sum_funding(self.time[self.start :], self.bar_microseconds, stamps, values)
        return replace(self, funding=funding)

    def with_rolls(self, switches: pd.DatetimeIndex) -> "Feed":
        """Return this feed with contract rolls at the ``switches``."""
        return replace(self, rolls=mark_rolls(self.time, _microseconds(switches)))


def _microseconds(index: pd.DatetimeIndex) -> Integers:
    if index.tz is None:
        raise DataError("timestamps without a time zone; localize them to UTC first")
    return index.tz_convert("UTC").as_unit("us").asi8


def sum_funding(time: Integers, bar_microseconds: int, stamps: Integers, rates: Floats) -> Floats:
    """Return for each bar the sum of the ``rates`` stamped in ``(t_i, t_{i+1}]`` (of the last bar: to its close).

    ``time`` and ``stamps`` are microseconds since 1970-01-01 UTC, ``stamps`` sorted; ``rates`` are fractions of
    notional, paid by longs. Raises DataError when the series does not cover the bars.
    """
    if stamps.size == 0 or stamps[0] > time[0] + FUNDING_INTERVAL or stamps[-1] + FUNDING_INTERVAL < time[-1]:
        raise DataError("the funding series does not cover the bars; import funding for the whole period")
    edges = np.append(time, time[-1] + bar_microseconds)
    total = np.concatenate(([0.0], np.cumsum(rates)))
    return np.diff(total[np.searchsorted(stamps, edges, side="right")])


def mark_rolls(time: Integers, switches: Integers) -> NDArray[np.bool_]:
    """Return True at the first bar at or after each of the contract ``switches`` (microseconds, UTC)."""
    rolls = np.zeros(time.size, np.bool_)
    first = np.searchsorted(time, switches, side="left")
    rolls[first[(first > 0) & (first < time.size)]] = True
    return rolls
