"""Backtest of one Play on one feed: the only caller of the kernel for evolution and for ``backtest``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel import layout
from forge_core.engine.kernel.bar_loop import run_backtest
from forge_core.engine.kernel.params import Policy, RollMode, pack_params
from forge_core.engine.signals.program import Program, link_play
from forge_core.errors import ConfigError, DataError
from forge_core.feeds.feed import BARS_SIZE, Feed, Floats, Integers
from forge_core.metrics.accumulators import ACCUMULATORS_SIZE
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import daily_returns, periods_a_year, summarize
from forge_core.plays.model import Play

DEFAULT_CASH = 100_000.0
ENGINE_VERSION = "4"  # incremented whenever a change may alter a trade or a metric

_NO_FLOATS = np.zeros(0)
_NO_BARS = np.zeros(BARS_SIZE, np.int64)
_NO_TRADES = np.zeros((0, layout.TRADE_FLOATS))
_NO_MARKS = np.zeros((0, layout.TRADE_INTEGERS), np.int64)


@dataclass(frozen=True)
class Simulation:
    """Result of one simulation.

    ``metrics``: float64 in the order of ``metrics.catalog.METRICS``, NaN where undefined. ``daily_returns``: one per
    trade date from the feed's ``start`` on, fractions. With ``record=True`` also ``trades``, a mapping of column name
    to array (times in microseconds UTC, ``reason`` as code of ``engine.kernel.exit_reasons``), and ``equity`` at each
    close from bar ``start`` on, money.
    """

    metrics: Floats
    daily_returns: Floats
    trades: dict[str, NDArray[Any]] | None = None
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
    bars, finer_bars = feed.addresses, _NO_BARS if finer is None else finer.addresses
    finer_size = 0 if finer is None else len(finer)
    accumulators = np.empty(ACCUMULATORS_SIZE)
    day_equity = np.empty(feed.days)
    position = np.zeros(layout.POSITION_FLOATS)

    def run(curve: Floats, floats: Floats, integers: Integers) -> None:
        run_backtest(
            params, program.plan, program.atr, bars, len(feed), finer_bars, finer_size,
            position, accumulators, day_equity, curve, floats, integers,
        )  # fmt: skip

    run(_NO_FLOATS, _NO_TRADES, _NO_MARKS)
    returns = np.empty(day_equity.size)
    daily_returns(day_equity, cash, returns)
    metrics = np.empty(len(METRICS))
    years, annualization = feed.years, float(feed.instrument.annualization)
    annualization = periods_a_year(returns.size, years, feed.bar_microseconds, annualization)
    summarize(accumulators, returns, years, annualization, metrics)
    if not record:
        return Simulation(metrics, returns)
    # The first run counts the trades, the second records them
    trades = int(metrics[0])
    curve = np.empty(len(feed) - feed.start)
    floats = np.empty((trades, layout.TRADE_FLOATS))
    integers = np.empty((trades, layout.TRADE_INTEGERS), np.int64)
    run(curve, floats, integers)
    return Simulation(metrics, returns, _trade_columns(floats, integers), curve)


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
) -> tuple[Program, Floats]:
    """Return the linked Play and the parameter vector of a backtest; raises the errors of ``simulate``."""
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


def _trade_columns(floats: Floats, integers: Integers) -> dict[str, NDArray[Any]]:
    return {
        "entry_time": integers[:, layout.ENTRY_TIME],
        "entry_price": floats[:, layout.ENTRY_PRICE],
        "exit_time": integers[:, layout.EXIT_TIME],
        "exit_price": floats[:, layout.EXIT_PRICE],
        "side": integers[:, layout.SIDE],
        "quantity": floats[:, layout.QUANTITY],
        "reason": integers[:, layout.REASON],
        "bars_held": integers[:, layout.BARS_HELD],
        "gross_pnl": floats[:, layout.GROSS],
        "commission": floats[:, layout.COMMISSION],
        "financing": floats[:, layout.FINANCING],
        "net_pnl": floats[:, layout.NET],
        "return_pct": floats[:, layout.RETURN],
        "mae": floats[:, layout.MAE],
        "mfe": floats[:, layout.MFE],
        "switch": integers[:, layout.SWITCH].astype(np.bool_),
    }
