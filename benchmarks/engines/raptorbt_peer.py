"""raptorbt (Rust): one run per side, signals filled at the next bar's open.

A run of raptorbt trades one side. With signals for both sides a position is closed by its exit or by an entry of the
other side, so the two runs together make the trades of one run that reverses. Sizes differ: raptorbt invests a share of
equity. Trades are compared by time, side and price; its equity-based figures are not comparable.
"""

from typing import Any

import numpy as np
import raptorbt

from benchmarks.engines import Trades
from benchmarks.engines.inputs import Columns, Inputs
from benchmarks.engines.signals import compute_signals
from benchmarks.job import CASH, Job

_SIDES = (1, -1)
_OPEN_AT_END = "EndOfData"


class Raptorbt:
    """Times two ``run_single_backtest`` calls, which always compute raptorbt's metrics."""

    def __init__(self, job: Job) -> None:
        self._inputs = Inputs.of(job)
        self._times = self._inputs.index.asi8 * 1_000  # nanoseconds
        self._volume = np.ones(self._inputs.close.size)
        self._config = raptorbt.BacktestConfig(
            initial_capital=CASH, fees=(job.commission_bps or 0.0) / 10_000, slippage=0.0, fill_timing="next_bar_open"
        )

    def run(self) -> None:
        self._results(self._inputs.columns)

    def run_with_indicators(self) -> None:
        self._results(self._inputs.compute_columns())

    def reset_indicators(self) -> None:
        """Do nothing: no indicators are stored."""

    def trades(self) -> Trades:
        trades = [trade for result in self._results(self._inputs.columns) for trade in result.trades()]
        closed = sorted(
            (trade for trade in trades if trade.exit_reason != _OPEN_AT_END), key=lambda trade: trade.entry_idx
        )
        times = self._inputs.index.asi8
        return {
            "entry_time": [int(times[trade.entry_idx]) for trade in closed],
            "exit_time": [int(times[trade.exit_idx]) for trade in closed],
            "side": [trade.direction for trade in closed],
            "entry_price": [trade.entry_price for trade in closed],
            "exit_price": [trade.exit_price for trade in closed],
        }

    def figures(self) -> dict[str, float]:
        results = self._results(self._inputs.columns)
        return {"total_trades": float(sum(result.metrics.total_trades for result in results))}

    def _results(self, columns: Columns) -> list[Any]:
        inputs = self._inputs
        signals = compute_signals(inputs.play, columns, inputs.first_signal)
        entries = {1: signals.enter_long, -1: signals.enter_short}
        exits = {1: signals.exit_long, -1: signals.exit_short}
        return [
            raptorbt.run_single_backtest(
                timestamps=self._times,
                open=inputs.open,
                high=inputs.high,
                low=inputs.low,
                close=inputs.close,
                volume=self._volume,
                entries=entries[side],
                exits=exits[side] | entries[-side],
                direction=side,
                config=self._config,
            )
            for side in _SIDES
        ]
