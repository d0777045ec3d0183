"""Backtests of one strategy on the months of one series."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.engine.signals.bytecode import bytecode_of
from forge_core.engine.simulate import simulate
from forge_core.engine.windows import WindowResults, simulate_windows
from forge_core.errors import DataError, PlayError
from forge_core.features.column import ColumnSource
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed, Floats
from forge_core.metrics.summary import YEAR_MICROSECONDS, periods_a_year
from forge_core.plays.model import Play
from forge_core.plays.validation import check_play
from forge_core.sweeps.month_feeds import AdjustedMonths, MonthFeeds, SeriesMonths
from forge_core.sweeps.months import Months
from forge_core.sweeps.plan import Task
from forge_core.sweeps.spec import SweepSpec, Variant


@dataclass(frozen=True)
class Simulator:
    """Backtests of the variants of ``spec`` on the instrument, interval and costs of ``task``."""

    spec: SweepSpec
    task: Task

    def open(
        self,
        bars: pd.DataFrame,
        months: Months,
        funding: Floats | None,
        columns: Callable[[], ColumnSource] | None = None,
    ) -> MonthFeeds:
        """Return the feeds of ``months`` of a series.

        ``columns`` opens its feature columns where prices are not adjusted; by default they are computed in memory.
        """
        task = self.task
        if task.roll_dates is not None and self.spec.adjust != "none":
            return AdjustedMonths(
                bars, months, instrument=task.instrument, interval=task.interval, roll_dates=task.roll_dates
            )
        feed = feed_from_bars(
            bars, instrument=task.instrument, timeframe=task.interval, roll_dates=task.roll_dates, adjust="none"
        )
        source = feed.columns if columns is None else columns()
        return SeriesMonths(replace(feed, columns=source, funding=funding), months.starts, months.ends)

    def play(self, variant: Variant) -> Play:
        """Return a variant as a Play; raise PlayError if it is not tradable."""
        play = variant.strategy.play(self.task.interval, variant.options)
        check_play(play)
        other = next((column.symbol for column in bytecode_of(play).columns if column.symbol), "")
        if other:
            raise PlayError(f"Play {play.name!r} reads {other}; a mass test has the bars of one symbol only")
        return play

    def simulate(
        self, variant: Variant, play: Play, months: MonthFeeds, cells: NDArray[np.int64]
    ) -> tuple[WindowResults, Floats]:
        """Return the results of a variant in the months ``cells``, and the number of returns per year of each."""
        feed, firsts = months.feed, months.first_signals(play, cells)
        starts, ends = months.starts[cells], months.ends[cells]
        found = simulate_windows(play, feed, starts, ends, first_signals=firsts, **self._settings(variant))
        years = (feed.time[ends - 1] + feed.bar_microseconds - feed.time[starts]) / YEAR_MICROSECONDS
        days, usual = np.diff(found.offsets), float(feed.instrument.annualization)
        periods = [periods_a_year(*each, feed.bar_microseconds, usual) for each in zip(days, years, strict=True)]
        return found, np.array(periods)

    def record_trades(self, variant: Variant, play: Play, feed: Feed) -> NDArray[np.void]:
        """Return the trades of a variant on the feed of a month."""
        trades = simulate(play, feed, record=True, **self._settings(variant)).trades
        if trades is None:
            raise DataError("the engine recorded no trades")
        return trades

    def _settings(self, variant: Variant) -> dict[str, Any]:
        return {
            "costs": self.task.costs,
            "cash": self.spec.cash,
            "policy": self.spec.policy,
            "fills": self.spec.fills,
            "roll_mode": self.spec.roll_mode,
            "rollover": variant.options.rollover,
        }
