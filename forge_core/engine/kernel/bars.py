"""Access to the bars of a feed by the addresses in its record (``feeds.feed.BARS``)."""

from forge_core.feeds.feed import BAR, BARS
from forge_core.simd.compiled import compiled
from forge_core.simd.lanes64 import prefetch
from forge_core.simd.memory import int32_at, records_at

_BARS = BARS.dtype
_ROW_BYTES = BAR.itemsize


@compiled
def bars_at(number):
    """Return the record of bars at an address."""
    return records_at(number, 1, _BARS)[0]


@compiled
def bar_at(bars, i):
    """Return bar ``i``."""
    return records_at(bars.rows, bars.size, BAR)[i]


@compiled
def day_of(bars, day, i):
    """Return the running number of bar ``i``'s trade date, which is ``day`` or a later one."""
    day_end = int32_at(bars.day_end, bars.days)
    while day_end[day] < i:
        day += 1
    return day


@compiled
def fetch_bar(bars, i):
    """Prefetch bar ``i``."""
    prefetch(bars.rows + i * _ROW_BYTES)
