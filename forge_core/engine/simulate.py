"""Backtest of one Play on one feed: the only caller of the kernel for evolution and for ``backtest``."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel import exit_reasons
from forge_core.engine.kernel.bar_loop import run_backtest
from forge_core.engine.kernel.params import Policy, RollMode, pack_params
from forge_core.engine.kernel.state import OUTPUT, STATE
from forge_core.engine.signals.program import Program, link_play
from forge_core.errors import ConfigError, DataError
from forge_core.feeds.feed import NO_BARS, Feed, Floats
from forge_core.metrics.accumulators import ACCUMULATORS
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import daily_returns, periods_a_year, summarize
from forge_core.metrics.trade import TRADE
from forge_core.plays.model import Play
from forge_core.simd.memory import address, address_of

DEFAULT_CASH = 100_000.0
ENGINE_VERSION = "4"  # incremented whenever a change may alter a trade or a metric

Trades = NDArray[np.void]  # of ``metrics.trade.TRADE``, in order of exit


@dataclass(frozen=True)
class Simulation:
    """Result of one simulation.

    ``metrics``: float64 in the order of ``metrics.catalog.METRICS``, NaN where undefined. ``daily_returns``: one per
    trade date from the feed's ``start`` on, fractions. With ``record=True`` also ``trades``, an array of
    ``metrics.trade.TRADE`` with columns ``trades[name]``, and ``equity`` at each close from bar ``start`` on, money.
    """

    metrics: Floats
    daily_returns: Floats
    trades: Trades | None = None
    equity: Floats | None = None


def simulate(
    play: Play,
    feed: Feed,
    *,
    costs: Costs | None = None,
    cash: float = DEFAULT_CASH,
    policy: Policy = "pessimistic",
    roll_mode: RollMode = "prev_open",
    rollover: bool = True,
    finer: Feed | None = None,
    fills: FillRules = STRICT,
    record: bool = False,
) -> Simulation:
    """Backtest ``play`` on ``feed`` by docs/fill_contract.md.

    ``costs``: None means the instrument's own. ``cash``: starting equity in quote currency. ``policy``: how a bar that
    touches stop and target is settled; ``replay`` needs ``finer``, a feed of finer bars of the same symbol.
    ``roll_mode`` and ``rollover`` control a position at the feed's contract rolls; ``fills`` relaxes rules
    of the contract. Raises PlayError, ConfigError or DataError before any work starts; releases the GIL while the
    kernel runs.
    """
    program, params = prepare(play, feed, costs, cash, policy, roll_mode, rollover, finer, fills)
    bars, finer_bars = feed.bars, NO_BARS if finer is None else finer.bars
    accumulators, state = np.empty(1, ACCUMULATORS), np.empty(1, STATE)
    day_equity = np.empty(feed.days)
    addresses = tuple(map(address_of, (params, program.record, bars, finer_bars, state)))

    def run(**recorded: int) -> None:
        output = OUTPUT.pack(
            accumulators=address_of(accumulators), day_equity=address(day_equity, np.float64), **recorded
        )
        run_backtest(*addresses, address_of(output))

    run(equity_curve=0, trades=0, rows=0)
    returns = np.empty(day_equity.size)
    daily_returns(day_equity, cash, returns)
    metrics = np.empty(len(METRICS))
    years, annualization = feed.years, float(feed.instrument.annualization)
    annualization = periods_a_year(returns.size, years, feed.bar_microseconds, annualization)
    summarize(address_of(accumulators), returns, years, annualization, metrics)
    if not record:
        return Simulation(metrics, returns)
    # The first run counts the trades, the second records them
    trades = np.empty(int(metrics[0]), TRADE)
    curve = np.empty(len(feed) - feed.start)
    curve_at = address(curve, np.float64) - feed.start * curve.itemsize
    run(equity_curve=curve_at, trades=address_of(trades), rows=trades.size)
    if program.flat is not None:  # an exit fills at the open after the close that queued it
        queued = np.searchsorted(feed.time, trades["exit_time"]) - 1
        by_clock = (trades["exit_reason"] == exit_reasons.EXIT) & program.flat[queued]
        trades["exit_reason"][by_clock] = exit_reasons.FLAT_BY
    return Simulation(metrics, returns, trades, curve)


def prepare(
    play: Play,
    feed: Feed,
    costs: Costs | None,
    cash: float,
    policy: Policy,
    roll_mode: RollMode,
    rollover: bool,
    finer: Feed | None,
    fills: FillRules,
) -> tuple[Program, NDArray[np.void]]:
    """Return the linked Play and the parameters of a backtest; raises the errors of ``simulate``."""
    _check_feed(feed, policy, finer)
    program = link_play(play, feed)
    params = pack_params(
        play,
        feed,
        costs or Costs.of(feed.instrument),
        cash=cash,
        policy=policy,
        roll_mode=roll_mode,
        rollover=rollover,
        first_signal=program.first_signal,
        fills=fills,
    )
    return program, params


def _check_feed(feed: Feed, policy: Policy, finer: Feed | None) -> None:
    """Raise DataError or ConfigError unless ``feed`` is complete for a backtest."""
    if feed.start >= len(feed):
        raise DataError(
            f"{feed.instrument.symbol} {feed.timeframe}: no bar left to trade after {feed.start} lead-in bars"
        )
    if feed.instrument.kind == "perpetual" and feed.funding is None:
        raise DataError(
            f"{feed.instrument.symbol} is a perpetual and its funding series is missing; it is never taken as zero"
        )
    if policy == "replay" and finer is None:
        raise ConfigError("the same-bar policy 'replay' needs finer bars of the same symbol")
