"""The floor: one compiled pass that reads open, high, low and close of every bar, and does nothing with them."""

from numba import njit

from benchmarks.contestants import Trades
from benchmarks.contestants.columns import Given
from benchmarks.job import Job
from forge_core.feeds.feed import Floats


@njit(cache=True, nogil=True)
def read_bars(open_: Floats, high: Floats, low: Floats, close: Floats) -> float:
    """Return the sum of all prices, added up bar by bar."""
    total = 0.0
    for i in range(open_.size):
        total += open_[i] + high[i] + low[i] + close[i]
    return total


@njit(cache=True, nogil=True)
def read_column(values: Floats) -> float:
    """Return the sum of a column's values, added up bar by bar."""
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


class Floor:
    """``run`` reads the bars; ``run_with_columns`` also the columns that the Play's rules read."""

    def __init__(self, job: Job) -> None:
        self._given = Given.of(job)
        self._reads_columns = job.metrics == "columns"

    def run(self) -> None:
        given = self._given
        read_bars(given.open, given.high, given.low, given.close)
        if self._reads_columns:
            for values in given.columns.values():
                read_column(values)

    def run_with_indicators(self) -> None:
        raise NotImplementedError("the floor has no indicators")

    def before_indicators(self) -> None:
        raise NotImplementedError("the floor has no indicators")

    def trades(self) -> Trades:
        raise NotImplementedError("the floor does not trade")

    def figures(self) -> dict[str, float]:
        raise NotImplementedError("the floor does not trade")
