"""``forge_core.backtest``: one Play on one set of bars, with trades, equity, metrics and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.frames import (
    check_finer,
    checked_frame,
    checked_funding,
    checked_higher,
    checked_references,
    checked_roll_dates,
    finer_timeframe,
)
from forge_core.engine.kernel.params import Policy, RollMode
from forge_core.engine.report.result import BacktestResult
from forge_core.engine.simulate import DEFAULT_CASH, simulate
from forge_core.errors import ConfigError
from forge_core.feeds.build import feed_from_bars, open_feed
from forge_core.feeds.feed import Feed
from forge_core.market.datasets.build import DatasetVersion, ensure_dataset
from forge_core.market.futures.adjustment import Adjustment
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.plays.model import Play
from forge_core.plays.parser import load_play, parse_play

GENERIC_INSTRUMENT = Instrument(
    symbol="BARS",
    kind="spot",
    description="bars without an instrument: unleveraged, 10 bps commission and 2 bps slippage a side",
    tick=1e-8,
    lot=1e-8,
    commission_bps=10,
    slippage_bps=2,
)


def backtest(
    play: Play | str | Path | Mapping[str, Any],
    data: str | DatasetVersion | pd.DataFrame | Feed,
    *,
    instrument: Instrument | str | None = None,
    costs: Costs | None = None,
    cash: float = DEFAULT_CASH,
    policy: Policy = "pessimistic",
    higher: Mapping[str, pd.DataFrame] | None = None,
    finer: pd.DataFrame | Feed | None = None,
    funding: pd.Series | None = None,
    references: Mapping[str, pd.DataFrame] | None = None,
    roll_dates: pd.DatetimeIndex | None = None,
    adjust: Adjustment = "forward",
    roll_mode: RollMode = "prev_open",
    rollover: bool = True,
    resample: bool = False,
    fills: FillRules = STRICT,
    source: str | None = None,
) -> BacktestResult:
    """Backtest a Play and return trades, equity and metrics.

    Parameters
    ----------
    play
        A Play, a path to its YAML file, YAML text, or a mapping of the same shape.
    data
        A dataset's name, a dataset version, a DataFrame of execution bars (bar open times in UTC as index or column
        ``timestamp``; open, high, low, close, volume) of the Play's timeframe, or a prebuilt feed. A DataFrame is
        checked like an imported file.
    instrument
        For a DataFrame: an instrument or its symbol. None means ``GENERIC_INSTRUMENT``. Datasets and feeds have
        their own; a different one is an error.
    costs
        None: the instrument's own, which are not zero. ``Costs.zero()``: no costs.
    cash
        Starting equity, in quote currency.
    policy
        Decides a bar that touches stop and target: ``pessimistic``, ``ohlc_path`` or ``replay`` (needs ``finer``).
    higher
        For a DataFrame: bars of coarser timeframes by label; missing ones are resampled.
    finer
        Finer bars of the same symbol and prices, for ``replay``.
    funding
        Funding rates of a perpetual by timestamp (fractions, paid by longs), without a gap of more than 8 hours;
        required for perpetuals.
    references
        For a DataFrame: bars of the Play's timeframe of other symbols, for features with a ``symbol``. Their coarser
        timeframes are resampled. A bar counts until three bars after it are missing.
    roll_dates
        Contract switch times of a dated future, required for a DataFrame of one; empty for a series that does not
        roll. ``roll_mode`` and ``rollover`` control positions at rolls.
    adjust
        For a DataFrame with ``roll_dates``: features use prices without the gaps of the rolls (``forward``) or
        unadjusted prices (``none``). Fills use unadjusted prices. The features of a feed or dataset are not changed.
    resample
        For a DataFrame: resample bars that are finer than the Play's timeframe; otherwise they are an error.
    fills
        Rules that can be relaxed: levels on ticks, targets traded through, margin inside the bar, share of volume.
        ``FillRules.relaxed()`` fills as vectorbt and backtesting.py do.
    source
        Name of the data in reports; by default a dataset's name.

    Raises
    ------
    PlayError, ConfigError, DataError
        Before any work starts, quoting the invalid value.

    Examples
    --------
    >>> result = backtest("studies/plays/ema_cross.yaml", "SP500_FULL_CYCLE")  # doctest: +SKIP
    >>> result.metrics["sharpe"], len(result.trades)  # doctest: +SKIP
    """
    resolved = resolve_play(play)
    feed = resolve_feed(resolved, data, instrument, higher, roll_dates, adjust, resample, references)
    if funding is not None:
        feed = feed.with_funding(checked_funding(funding, feed))
    if isinstance(finer, pd.DataFrame):
        label = finer_timeframe(finer)
        bars = checked_frame(finer, label, feed.instrument, role="finer bars")
        finer = feed_from_bars(bars, instrument=feed.instrument, timeframe=label)
    if finer is not None:
        check_finer(finer, feed)
    simulation = simulate(
        resolved,
        feed,
        costs=costs,
        cash=cash,
        policy=policy,
        roll_mode=roll_mode,
        rollover=rollover,
        finer=finer,
        fills=fills,
        record=True,
    )
    assert simulation.trades is not None
    assert simulation.equity is not None
    return BacktestResult.from_arrays(
        play=resolved,
        feed=feed,
        costs=costs or Costs.of(feed.instrument),
        cash=cash,
        vector=simulation.metrics,
        daily=simulation.daily_returns,
        trades=simulation.trades,
        equity=simulation.equity,
        policy=policy,
        fills=fills,
        source=_source(data) if source is None else source,
    )


def _source(data: object) -> str:
    if isinstance(data, str):
        return data
    return f"{data.name} ({data.content_hash})" if isinstance(data, DatasetVersion) else ""


def resolve_play(play: Play | str | Path | Mapping[str, Any]) -> Play:
    """Return a Play given as such, as a path, as YAML text or as a mapping."""
    if isinstance(play, Play):
        return play
    if isinstance(play, Path) or (isinstance(play, str) and "\n" not in play and play.endswith((".yaml", ".yml"))):
        return load_play(Path(play))
    return parse_play(play)


def resolve_feed(
    play: Play,
    data: str | DatasetVersion | pd.DataFrame | Feed,
    instrument: Instrument | str | None,
    higher: Mapping[str, pd.DataFrame] | None,
    roll_dates: pd.DatetimeIndex | None,
    adjust: Adjustment,
    resample: bool,
    references: Mapping[str, pd.DataFrame] | None = None,
) -> Feed:
    """Return the feed of ``data`` for ``play``; the parameters are those of ``backtest``."""
    if isinstance(instrument, str):
        instrument = get_instrument(instrument)
    if isinstance(data, pd.DataFrame):
        instrument = instrument or GENERIC_INSTRUMENT
        return feed_from_bars(
            checked_frame(data, play.timeframe, instrument, resample=resample),
            instrument=instrument,
            timeframe=play.timeframe,
            higher=checked_higher(higher, instrument),
            references=checked_references(references, play.timeframe),
            roll_dates=checked_roll_dates(roll_dates, instrument),
            adjust=adjust,
        )
    if isinstance(data, str):
        data = ensure_dataset(data)
    if isinstance(data, DatasetVersion):
        data = open_feed(data, timeframe=play.timeframe)
    if not isinstance(data, Feed):
        raise ConfigError(f"data is a {type(data).__name__}; expected a dataset's name, a DataFrame of bars or a feed")
    if instrument is not None and instrument != data.instrument:
        raise ConfigError(f"instrument {instrument.symbol} does not match data of {data.instrument.symbol}")
    return data if roll_dates is None else data.with_rolls(roll_dates)
