"""A feed: the execution bars of one symbol and the feature columns aligned to them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import DataError
from forge_core.features.column import ColumnSource
from forge_core.features.reference import PRICE_FIELDS
from forge_core.feeds.bitmap_cache import BitmapCache
from forge_core.market.reference.instruments import Instrument
from forge_core.simd.bitset512 import BLOCK
from forge_core.simd.lanes64 import LANES
from forge_core.simd.memory import PicklesFieldsOnly, RecordLayout, address, address_of, line_aligned

FUNDING_INTERVAL = 8 * 3_600_000_000  # microseconds between two timestamps, usually eight hours

# One bar: 64 bytes, one cache line, so that an event reads one line and not one of each column
BAR = RecordLayout(
    time=int, open=float, high=float, low=float, close=float, volume=float, funding=float, rolls=int
).dtype
# Addresses of a feed's bars and columns for the kernel (``events``: 0 without rolls and funding), and the numbers of
# bars and of trade dates
BARS = RecordLayout(
    **dict.fromkeys(("rows", "time", "open", "high", "low", "close", "extremes", "events"), int),
    **dict.fromkeys(("day_index", "day_end", "day_close", "pays_funding", "size", "days"), int),
)
NO_BARS = BARS.pack(**dict.fromkeys(BARS.names, 0))
WORD_EXTREMES = 4  # numbers per word of bars in `Feed.extremes`

_BITMAP_BYTES = 48 * 2**20  # of cached rule bitmaps: 2,800 on four years of 15m bars

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Feed(PicklesFieldsOnly):
    """Execution bars ``0..n-1`` and their columns; bars ``0..start-1`` are lead-in, used by features only.

    ``time`` is the bars' open time in microseconds since 1970-01-01 UTC. ``day`` is the trade date by the instrument's
    session in days since 1970-01-01; it never decreases. Prices are in quote currency per unit. All arrays are
    C-contiguous, may be read-only and shared, and have one entry per bar. ``rolls`` is True at the first bar at or
    after a roll date. ``funding`` is the sum of the funding rates with timestamps in ``(t_i, t_i+1]``, or None if the
    instrument pays none. ``price_scale`` is the ratio of the price features are computed from to the traded price, or
    None if it is 1 everywhere: an ATR divided by it is a distance in traded prices.
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
    price_scale: Floats | None = None

    def __len__(self) -> int:
        return self.time.size

    @property
    def years(self) -> float:
        """Calendar time from the open of bar ``start`` to the close of the last bar, in years of 365.25 days."""
        return float(self.time[-1] + self.bar_microseconds - self.time[self.start]) / (365.25 * 86_400e6)

    @cached_property
    def day_index(self) -> NDArray[np.int32]:
        """For each bar the index of its trade date, counted from 0 at bar ``start`` (0 in the lead-in too)."""
        index = np.zeros(self.time.size, np.int32)
        index[self.start + 1 :] = np.cumsum(np.diff(self.day[self.start :]) != 0)
        return index

    @cached_property
    def day_end(self) -> NDArray[np.int32]:
        """For each trade date of ``day_index`` the index of its last bar."""
        return np.append(np.flatnonzero(np.diff(self.day_index)), self.time.size - 1).astype(np.int32)

    @cached_property
    def day_close(self) -> Floats:
        """For each trade date of ``day_index`` the close of its last bar."""
        return self.close[self.day_end]

    @cached_property
    def extremes(self) -> Floats:
        """For each word of 64 bars the lowest low, the highest high, the lowest and the highest close."""
        first = np.arange(0, self.time.size, LANES)
        reduced = ((np.minimum, self.low), (np.maximum, self.high), (np.minimum, self.close), (np.maximum, self.close))
        return np.stack([function.reduceat(values, first) for function, values in reduced], axis=1)

    @cached_property
    def events(self) -> NDArray[np.uint64]:
        """Bitmap, one bit per bar: bars at and before a roll, and bars with a funding payment."""
        eventful = np.zeros(-(-self.time.size // LANES) * LANES, np.bool_)
        bars = eventful[: self.time.size]
        if self.rolls is not None:
            bars |= self.rolls
            bars[:-1] |= self.rolls[1:]
        if self.funding is not None:
            bars |= self.funding != 0
        return np.packbits(eventful, bitorder="little").view("<u8").astype(np.uint64)

    @cached_property
    def rows(self) -> NDArray[np.void]:
        """The bars as records of ``BAR``, aligned to cache lines."""
        numbers = len(BAR.names or ())
        rows = line_aligned(self.time.size * numbers, np.int64).view(BAR)
        for name in ("time", *PRICE_FIELDS):
            rows[name] = getattr(self, name)
        rows["funding"] = 0.0 if self.funding is None else self.funding
        rows["rolls"] = 0 if self.rolls is None else self.rolls
        return rows

    @cached_property
    def bars(self) -> NDArray[np.void]:
        """Addresses of the bars and their columns for the kernel, one record of ``BARS``."""
        return BARS.pack(
            rows=address_of(self.rows),
            time=address(self.time, np.int64),
            open=address(self.open, np.float64),
            high=address(self.high, np.float64),
            low=address(self.low, np.float64),
            close=address(self.close, np.float64),
            extremes=address(self.extremes, np.float64),
            day_index=address(self.day_index, np.int32),
            day_end=address(self.day_end, np.int32),
            day_close=address(self.day_close, np.float64),
            pays_funding=self.funding is not None,
            events=0 if self.rolls is None and self.funding is None else address(self.events, np.uint64),
            size=self.time.size,
            days=self.days,
        )

    @property
    def bitmap_words(self) -> int:
        """Words of a bitmap with one bit per bar, whole blocks of 512 bits."""
        return -(-len(self) // (BLOCK * LANES)) * BLOCK

    @cached_property
    def rule_bitmaps(self) -> BitmapCache:
        """Cache of the rule bitmaps that the engine computes on this feed."""
        return BitmapCache(self.bitmap_words, _BITMAP_BYTES)

    @cached_property
    def has_volume(self) -> bool:
        """Whether any bar states its volume in what is traded; that of an index counts its members' shares."""
        return self.instrument.kind != "index" and bool((self.volume > 0).any())

    @property
    def days(self) -> int:
        """The number of trade dates from bar ``start`` on."""
        return int(self.day_index[-1]) + 1

    def with_funding(self, rates: pd.Series) -> "Feed":
        """Return this feed with funding ``rates`` (fractions, paid by longs), indexed by timestamp.

        They must cover the bars from ``start`` on; the lead-in has no positions.
        """
        rates = rates.sort_index()
        stamps = _microseconds(pd.DatetimeIndex(rates.index))
        values = rates.to_numpy(np.float64)
        funding = np.zeros(self.time.size)
        funding[self.start :] = sum_funding(self.time[self.start :], self.bar_microseconds, stamps, values)
        return replace(self, funding=funding)

    def with_rolls(self, roll_dates: pd.DatetimeIndex) -> "Feed":
        """Return this feed with contract rolls at the ``roll_dates``."""
        return replace(self, rolls=mark_rolls(self.time, _microseconds(roll_dates)))


def _microseconds(index: pd.DatetimeIndex) -> Integers:
    if index.tz is None:
        raise DataError("timestamps have no time zone; localize them to UTC first")
    return index.tz_convert("UTC").as_unit("us").asi8


def sum_funding(time: Integers, bar_microseconds: int, stamps: Integers, rates: Floats) -> Floats:
    """Return for each bar the sum of the ``rates`` with timestamps in ``(t_i, t_{i+1}]`` (last bar: until its close).

    ``time`` and ``stamps`` are microseconds since 1970-01-01 UTC, ``stamps`` sorted; ``rates`` are fractions of
    notional, paid by longs. Raises DataError if the series does not cover the bars.
    """
    if stamps.size == 0 or stamps[0] > time[0] + FUNDING_INTERVAL or stamps[-1] + FUNDING_INTERVAL < time[-1]:
        raise DataError("the funding series does not cover the bars; import funding for the whole period")
    edges = np.append(time, time[-1] + bar_microseconds)
    total = np.concatenate(([0.0], np.cumsum(rates)))
    return np.diff(total[np.searchsorted(stamps, edges, side="right")])


def mark_rolls(time: Integers, roll_dates: Integers) -> NDArray[np.bool_]:
    """Return True at the first bar at or after each of the contract ``roll_dates`` (microseconds, UTC)."""
    rolls = np.zeros(time.size, np.bool_)
    first = np.searchsorted(time, roll_dates, side="left")
    rolls[first[(first > 0) & (first < time.size)]] = True
    return rolls
