"""Feeds of the months of a task: slices of one series or, if adjusted for rolls, one feed with lead-in per month."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forge_core.engine.signals.bytecode import bytecode_of
from forge_core.features.bank.lru import LruArrays
from forge_core.features.reference import FeatureRef
from forge_core.feeds.build import window_feed
from forge_core.feeds.feed import Feed, Integers
from forge_core.feeds.joined import join_feeds, offsets_of
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import trade_days
from forge_core.plays.model import Play
from forge_core.sweeps.months import Months, month_feed

_MEMORY_BYTES = 256 * 2**20  # for the cached columns of all months


class MonthFeeds(ABC):
    """Months of a task in one ``feed``; month k is its bars ``starts[k]:ends[k]``."""

    feed: Feed
    starts: Integers
    ends: Integers

    @abstractmethod
    def month(self, k: int) -> Feed:
        """Return month k as a feed of its own, traded from its first bar on."""

    @abstractmethod
    def first_signals(self, play: Play, months: Integers) -> Integers | None:
        """Return the first signal bar of each of ``months`` in ``feed``; None: after the warm-up of ``feed``."""


@dataclass(frozen=True)
class SeriesMonths(MonthFeeds):
    """Months of one series, with all bars before a month as its lead-in."""

    feed: Feed
    starts: Integers
    ends: Integers

    def month(self, k: int) -> Feed:
        """Return month k as a feed of its own."""
        return month_feed(self.feed, int(self.starts[k]), int(self.ends[k]))

    def first_signals(self, play: Play, months: Integers) -> None:
        """Return None, because the series has one warm-up."""
        return


class AdjustedMonths(MonthFeeds):
    """Months of a dated future, each adjusted for rolls from its own first bar and with its own lead-in.

    No result depends on bars before the lead-in. The months are concatenated in ``feed``, so a Play is linked once.
    """

    def __init__(
        self, bars: pd.DataFrame, months: Months, *, instrument: Instrument, interval: str, roll_dates: pd.DatetimeIndex
    ) -> None:
        recent = LruArrays(_MEMORY_BYTES)
        days = trade_days(bars.index, instrument.session)
        self._feeds = [
            window_feed(
                bars, int(start), int(end), instrument=instrument, timeframe=interval, roll_dates=roll_dates,
                days=days, recent=recent,
            )
            for start, end in zip(months.starts, months.ends, strict=True)
        ]  # fmt: skip
        self.feed = join_feeds(self._feeds)
        self._warmups: dict[FeatureRef, Integers] = {}
        self._offsets = offsets_of(self._feeds)
        self.starts = self._offsets + np.array([feed.start for feed in self._feeds], np.int64)
        self.ends = self._offsets + np.array([len(feed) for feed in self._feeds], np.int64)

    def month(self, k: int) -> Feed:
        """Return month k as a feed of its own."""
        return self._feeds[k]

    def first_signals(self, play: Play, months: Integers) -> Integers:
        """Return the bar at which the warm-up of each month is over."""
        first = np.full(len(self._feeds), play.warmup_bars, np.int64)
        for reference in bytecode_of(play).columns:
            if reference not in self._warmups:
                warmups = [feed.columns.warmup(reference) for feed in self._feeds]
                self._warmups[reference] = np.array(warmups, np.int64)
            np.maximum(first, self._warmups[reference], out=first)
        return self._offsets[months] + first[months]
