"""Access to the bars of a feed by the addresses in its record (``feeds.feed.BARS``)."""

from forge_core.feeds.feed import BARS
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import VALUE_BYTES, prefetch
from forge_core.simd.memory import float64_at, int32_at, int64_at, records_at

_BARS = BARS.dtype


@compiled
def bars_at(number):
    """Return the record of bars at an address."""
    return records_at(number, 1, _BARS)[0]


@compiled
def value_at(column, bars, i):
    """Return the value of a float64 ``column`` of ``bars`` at bar ``i``."""
    return float64_at(column, bars.size)[i]


@compiled
def time_at(bars, i):
    """Return the open time of bar ``i``, microseconds UTC."""
    return int64_at(bars.time, bars.size)[i]


@compiled
def day_of(bars, day, i):
    """Return the running number of bar ``i``'s trade date, which is ``day`` or a later one."""
    day_end = int32_at(bars.day_end, bars.days)
    while day_end[day] < i:
        day += 1
    return day


@compiled
def fetch_bar(bars, i):
    """Prefetch bar ``i``: its columns are far apart, and each would cost a cache miss."""
    offset = i * VALUE_BYTES
    prefetch(bars.open + offset)
    prefetch(bars.high + offset)
    prefetch(bars.low + offset)
    prefetch(bars.close + offset)
    prefetch(bars.time + offset)
    prefetch(bars.volume + offset)
