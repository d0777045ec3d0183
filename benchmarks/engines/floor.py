"""The floor: one compiled pass that adds up open, high, low and close of every bar."""

from numba import njit

from benchmarks.engines import Trades
from benchmarks.engines.inputs import Inputs
from benchmarks.job import Job
from forge_core.feeds.feed import Floats


@njit(cache=True, nogil=True)
def read_bars(open_: Floats, high: Floats, low: Floats, close: Floats) -> float:
    """Return the sum of all prices."""
    total = 0.0
    for i in range(open_.size):
        total += open_[i] + high[i] + low[i] + close[i]
    return total


@njit(cache=True, nogil=True)
def read_column(values: Floats) -> float:
    """Return the sum of a column."""
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


class Floor:
    """Reads the bars; with ``metrics="columns"`` also the columns of the Play's rules."""

    def __init__(self, job: Job) -> None:
        self._inputs = Inputs.of(job)
        self._reads_columns = job.metrics == "columns"

    def run(self) -> None:
        inputs = self._inputs
        read_bars(inputs.open, inputs.high, inputs.low, inputs.close)
        if self._reads_columns:
            for values in inputs.columns.values():
                read_column(values)

    def run_with_indicators(self) -> None:
        raise NotImplementedError("the floor has no indicators")

    def reset_indicators(self) -> None:
        raise NotImplementedError("the floor has no indicators")

    def trades(self) -> Trades:
        raise NotImplementedError("the floor does not trade")

    def figures(self) -> dict[str, float]:
        raise NotImplementedError("the floor does not trade")
