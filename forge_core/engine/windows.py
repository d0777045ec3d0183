"""Backtests of one Play on many windows of one feed, in one compiled call.

A mass test runs a Play on every month of a series. Rules are compiled and columns computed once, so a month costs the
kernel's time alone. A window's result equals that of ``simulate`` on a feed that starts at the window's first bar and
ends at its last.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.bar_loop import run_backtest
from forge_core.engine.kernel.bars import bars_at
from forge_core.engine.kernel.params import Policy, RollMode, params_at
from forge_core.engine.kernel.state import OUTPUT, STATE, output_at
from forge_core.engine.simulate import DEFAULT_CASH, prepare
from forge_core.errors import DataError
from forge_core.feeds.feed import NO_BARS, Feed, Floats, Integers
from forge_core.metrics.accumulators import ACCUMULATORS, accumulators_at
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import daily_returns, periods_a_year, summarize
from forge_core.plays.model import Play
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import address, address_of, float64_at, int32_at, int64_at

_YEAR_MICROSECONDS = 365.25 * 86_400e6


@dataclass(frozen=True)
class WindowResults:
    """Results of ``simulate_windows``.

    ``metrics``: shape (windows, len(METRICS)), NaN where undefined. ``gross``: shape (windows, 2), net P&L of the
    winning and of the losing trades, money. ``returns``: daily returns, window after window; those of window k are
    ``returns[offsets[k]:offsets[k + 1]]``.
    """

    metrics: Floats
    gross: Floats
    returns: Floats
    offsets: Integers


def simulate_windows(
    play: Play,
    feed: Feed,
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    costs: Costs | None = None,
    cash: float = DEFAULT_CASH,
    policy: Policy = "pessimistic",
    roll_mode: RollMode = "prev_open",
    rollover: bool = True,
    first_signals: ArrayLike | None = None,
    fills: FillRules = STRICT,
) -> WindowResults:
    """Backtest ``play`` on each window of ``feed``: bars ``starts[k]`` to ``ends[k] - 1``, those before being lead-in.

    A window starts with ``cash`` and no position and ends flat. Rules count from ``first_signals[k]``, from the
    window's start, or from the end of the warm-up since bar 0 of the feed, whichever is latest. The other parameters
    are those of ``simulate``; the policy ``replay`` is not supported. Raises PlayError, ConfigError or DataError
    before any work starts; releases the GIL.
    """
    begin, end = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    if begin.shape != end.shape or begin.ndim != 1 or not ((begin >= 0) & (begin < end)).all():
        raise DataError("each window needs a start of 0 or more and an end greater than its start")
    if feed.start or end.max(initial=0) > len(feed):
        raise DataError(
            f"windows end at bar {end.max(initial=0)}; the feed has {len(feed)} bars and starts at {feed.start}"
        )
    firsts = begin if first_signals is None else np.asarray(first_signals, np.int64)
    if firsts.shape != begin.shape:
        raise DataError(f"{firsts.size} first signals for {begin.size} windows; expected one per window")
    program, params = prepare(play, feed, costs, cash, policy, roll_mode, rollover, None, fills)
    day = feed.day_index
    offsets = np.concatenate(([0], np.cumsum(day[end - 1] - day[begin] + 1))).astype(np.int64)
    results = WindowResults(
        np.empty((begin.size, len(METRICS))), np.empty((begin.size, 2)), np.empty(offsets[-1]), offsets
    )
    accumulators, state, day_equity = np.empty(1, ACCUMULATORS), np.empty(1, STATE), np.empty(feed.days)
    output = OUTPUT.pack(
        accumulators=address_of(accumulators),
        day_equity=address(day_equity, np.float64),
        equity_curve=0,
        trades=0,
        rows=0,
    )
    _run_windows(
        address_of(params), address_of(program.record), address_of(feed.bars), address_of(NO_BARS), address_of(state),
        address_of(output), begin, end, firsts, float(feed.instrument.annualization),
        results.metrics, results.gross, results.returns, offsets,
    )  # fmt: skip
    return results


@compiled
def _run_windows(
    params: Any, program: Any, bars: Any, finer: Any, state: Any, output: Any,
    starts: Any, ends: Any, firsts: Any, annualization: Any, metrics: Any, gross: Any, returns: Any, offsets: Any,
) -> None:  # fmt: skip
    """Run the kernel on each window; the first arguments are its own, the day index counts from bar 0 of the feed."""
    parameters, columns, results = params_at(params), bars_at(bars), output_at(output)
    sums = accumulators_at(results.accumulators)
    time = int64_at(columns.time, columns.size)
    day_index = int32_at(columns.day_index, columns.size)
    day_equity = float64_at(results.day_equity, columns.days)
    warm = parameters.first_signal
    for k in range(starts.size):
        start, end = starts[k], ends[k]
        parameters.start = start
        parameters.end = end
        parameters.first_signal = max(warm, start, firsts[k])
        run_backtest(params, program, bars, finer, state, output)
        daily = returns[offsets[k] : offsets[k + 1]]
        daily_returns(day_equity[day_index[start] : day_index[end - 1] + 1], parameters.cash, daily)
        years = (time[end - 1] + parameters.bar_microseconds - time[start]) / _YEAR_MICROSECONDS
        periods = periods_a_year(daily.size, years, parameters.bar_microseconds, annualization)
        summarize(results.accumulators, daily, years, periods, metrics[k])
        gross[k, 0] = sums.gross_profit
        gross[k, 1] = sums.gross_loss
