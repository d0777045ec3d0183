"""The bars of one dataset in memory, as a search sees them: to be mirrored, cut into windows, or disturbed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from forge_core.errors import DataError
from forge_core.features.bank.lru import LruArrays
from forge_core.features.column import ReferenceBars
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.market.bars.model import trade_days
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.datasets.build import DatasetDraft
from forge_core.market.datasets.versions import DatasetVersion
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe


@dataclass(frozen=True)
class Market:
    """Bars of one symbol: ``bars`` of the execution ``timeframe`` and ``higher`` ones by label, all with lead-in.

    Trading begins at ``start``. ``roll_dates``: contract rolls of a dated future; ``adjust``: whether its features
    see prices without their gaps. ``funding``: rates of a perpetual. ``references``: the bars of other symbols for
    features, by symbol, with the number of missing bars after which a value no longer counts (``max_ages``).
    """

    instrument: Instrument
    timeframe: str
    bars: pd.DataFrame = field(repr=False)
    higher: Mapping[str, pd.DataFrame] = field(repr=False)
    start: pd.Timestamp
    roll_dates: pd.DatetimeIndex | None = field(default=None, repr=False)
    adjust: bool = False
    funding: "pd.Series[float] | None" = field(default=None, repr=False)
    references: Mapping[str, "Market"] = field(default_factory=dict, repr=False)
    max_ages: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, version: DatasetVersion, timeframe: str) -> "Market":
        """Read a dataset version's bars for one execution timeframe."""
        execution = Timeframe.parse(timeframe)
        coarser = [
            label for label in version.timeframes if Timeframe.parse(label).microseconds > execution.microseconds
        ]
        return cls(
            instrument=version.instrument,
            timeframe=timeframe,
            bars=version.bars(timeframe),
            higher={label: version.bars(label) for label in coarser},
            start=version.start,
            roll_dates=version.roll_dates,
            adjust=version.adjusts,
            funding=version.funding(),
            references={
                symbol: cls(
                    instrument=get_instrument(symbol),
                    timeframe=timeframe,
                    bars=version.reference_bars(symbol, timeframe),
                    higher={label: version.reference_bars(symbol, label) for label in coarser},
                    start=version.start,
                )
                for symbol in version.references
            },
            max_ages=version.references,
        )

    @classmethod
    def of_draft(cls, draft: DatasetDraft, instrument: Instrument, timeframe: str, start: pd.Timestamp) -> "Market":
        """Take the bars of a dataset that was cut from the store and not exported; trading begins at ``start``."""
        execution = Timeframe.parse(timeframe).microseconds
        higher = {label: bars for label, bars in draft.bars.items() if Timeframe.parse(label).microseconds > execution}
        rolls = draft.manifest.get("rolls")
        return cls(
            instrument=instrument,
            timeframe=timeframe,
            bars=draft.bars[timeframe],
            higher=higher,
            start=start,
            roll_dates=None if rolls is None else pd.DatetimeIndex(rolls["times"], tz="UTC").as_unit("us"),
            adjust=rolls is not None and rolls["adjust"] == "forward",
            funding=draft.rates,
            references={
                symbol: cls(
                    instrument=get_instrument(symbol),
                    timeframe=timeframe,
                    bars=draft.references[symbol, timeframe],
                    higher={label: draft.references[symbol, label] for label in higher},
                    start=start,
                )
                for symbol in draft.manifest.get("references", {})
            },
            max_ages={symbol: e["max_age"] for symbol, e in draft.manifest.get("references", {}).items()},
        )

    @property
    def first(self) -> int:
        """The position of the first bar at or after ``start``."""
        return int(self.bars.index.searchsorted(self.start))

    @property
    def days(self) -> np.ndarray:
        """The trade dates (days since 1970-01-01) from ``start`` on, each once, ascending."""
        return np.unique(trade_days(pd.DatetimeIndex(self.bars.index[self.first :]), self.instrument.session))

    def feed(self, recent: LruArrays | None = None) -> Feed:
        """Return the feed of these bars, its columns computed in memory and kept in ``recent``.

        Raises DataError without a bar to trade.
        """
        first = self.first
        if first >= len(self.bars):
            raise DataError(f"{self.instrument.symbol}: no {self.timeframe} bar at or after {self.start}")
        feed = feed_from_bars(
            self.bars,
            instrument=self.instrument,
            timeframe=self.timeframe,
            higher=self.higher,
            start=first,
            roll_dates=self.roll_dates,
            adjust="forward" if self.adjust else "none",
            recent=recent,
            references={
                symbol: ReferenceBars(
                    {other.timeframe: other.bars, **other.higher}, self.max_ages[symbol], other.instrument.session
                )
                for symbol, other in self.references.items()
            },
        )
        return feed if self.funding is None else feed.with_funding(self.funding)

    def window(self, first_day: int | None = None, last_day: int | None = None) -> "Market":
        """Return this market with trading from trade date ``first_day`` to ``last_day``, both included.

        Bars after ``last_day`` are gone, those before ``first_day`` become lead-in. Raises DataError for a window
        without bars.
        """
        days = trade_days(pd.DatetimeIndex(self.bars.index), self.instrument.session)
        begin = self.first if first_day is None else max(self.first, int(np.searchsorted(days, first_day, "left")))
        end = len(days) if last_day is None else int(np.searchsorted(days, last_day, "right"))
        if begin >= end:
            raise DataError(f"{self.instrument.symbol}: no bar between trade dates {first_day} and {last_day}")
        cut = self.bars.iloc[:end]
        closes = cut.index[-1] + self._length(self.timeframe)
        higher = {label: bars[bars.index <= closes - self._length(label)] for label, bars in self.higher.items()}
        references = {symbol: other._until(closes, cut.index[begin]) for symbol, other in self.references.items()}
        return replace(self, bars=cut, higher=higher, start=cut.index[begin], references=references)

    def _until(self, end: pd.Timestamp, start: pd.Timestamp) -> "Market":
        """Return the bars that have closed at ``end``, with trading from ``start``."""
        bars = self.bars[self.bars.index <= end - self._length(self.timeframe)]
        higher = {label: frame[frame.index <= end - self._length(label)] for label, frame in self.higher.items()}
        return replace(self, bars=bars, higher=higher, start=start)

    def lead_in(self, label: str) -> pd.DataFrame:
        """Return the coarser bars that have closed when the first execution bar opens."""
        bars = self.higher[label]
        return bars[bars.index <= self.bars.index[0] - self._length(label)]

    def with_bars(self, bars: pd.DataFrame, lead_in: Mapping[str, pd.DataFrame] | None = None) -> "Market":
        """Return this market with other execution bars at the same times, and coarser ones resampled from them.

        Coarser bars before the first execution bar stay, or are those of ``lead_in``.
        """
        higher = {}
        for label in self.higher:
            before = self.lead_in(label) if lead_in is None else lead_in[label]
            after = resample_bars(bars, Timeframe.parse(label), session=self.instrument.session)
            higher[label] = pd.concat([before, after[after.index > before.index[-1]]]) if len(before) else after
        return replace(self, bars=bars, higher=higher)

    @staticmethod
    def _length(label: str) -> pd.Timedelta:
        return pd.Timedelta(Timeframe.parse(label).microseconds, unit="us")


def calendar_date(day: int) -> date:
    """Return the calendar date of a trade date (days since 1970-01-01)."""
    return date(1970, 1, 1) + timedelta(days=int(day))
