"""Who takes part: Forge, vectorbt, backtesting.py and the floor, each behind the same few methods.

A contestant is made once per job, outside of every measurement; ``run`` is what is timed.
"""

from importlib import import_module
from typing import Protocol

from benchmarks.job import Job

Trades = dict[str, list[float]]  # entry_time, exit_time (microseconds UTC), side, entry_price, exit_price


class Contestant(Protocol):
    """One engine with one Play on one dataset."""

    def run(self) -> None:
        """One backtest and its metrics, the indicators being given."""

    def run_with_indicators(self) -> None:
        """One backtest and its metrics, the indicators computed on the way."""

    def trades(self) -> Trades:
        """The closed trades, without the one that is open at the last bar."""

    def figures(self) -> dict[str, float]:
        """A few metrics, to show that they agree."""


# name in a job: module, class, what else its constructor takes
_CONTESTANTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "forge": ("forge_engine", "Forge", {}),
    "vectorbt_rust": ("vectorbt_peer", "Vectorbt", {"engine": "rust"}),
    "vectorbt_numba": ("vectorbt_peer", "Vectorbt", {"engine": "numba"}),
    "backtesting_py": ("backtesting_peer", "BacktestingPy", {}),
    "floor": ("floor", "Floor", {}),
}


def load_contestant(job: Job) -> Contestant:
    """Import a contestant's module and give it the job; nothing else of the peers is imported."""
    module, name, arguments = _CONTESTANTS[job.contestant]
    contestant: Contestant = getattr(import_module(f"benchmarks.contestants.{module}"), name)(job, **arguments)
    return contestant
