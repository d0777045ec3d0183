"""Engines under test behind one protocol: Forge, vectorbt, raptorbt, backtesting.py and the floor.

An engine is constructed once per job, outside all measurements; ``run`` is timed.
"""

from importlib import import_module
from typing import Protocol

from benchmarks.job import Job

Trades = dict[str, list[float]]  # entry_time, exit_time (microseconds UTC), side, entry_price, exit_price


class Engine(Protocol):
    """One engine with one Play on one dataset."""

    def run(self) -> None:
        """Run one backtest with metrics on precomputed indicators."""

    def run_with_indicators(self) -> None:
        """Run one backtest with metrics and compute the indicators."""

    def reset_indicators(self) -> None:
        """Drop stored indicators before ``run_with_indicators``; not timed."""

    def trades(self) -> Trades:
        """Return the closed trades, without the one open at the last bar."""

    def figures(self) -> dict[str, float]:
        """Return metrics for the comparison with Forge."""


# engine name of a job: module, class, further constructor arguments
_ENGINES: dict[str, tuple[str, str, dict[str, str]]] = {
    "forge": ("forge_engine", "Forge", {}),
    "vectorbt_rust": ("vectorbt_peer", "Vectorbt", {"backend": "rust"}),
    "vectorbt_numba": ("vectorbt_peer", "Vectorbt", {"backend": "numba"}),
    "raptorbt": ("raptorbt_peer", "Raptorbt", {}),
    "backtesting_py": ("backtesting_peer", "BacktestingPy", {}),
    "floor": ("floor", "Floor", {}),
}


def load_engine(job: Job) -> Engine:
    """Construct the engine of ``job``; imports that engine's module only."""
    module, name, arguments = _ENGINES[job.engine]
    engine: Engine = getattr(import_module(f"benchmarks.engines.{module}"), name)(job, **arguments)
    return engine
