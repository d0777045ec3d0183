"""Feeds: the execution bars and their feature columns, from a stored dataset or from bars in memory."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, DataError, unknown
from forge_core.features.bank.bank import Bank
from forge_core.features.bank.lazy_columns import MemoryColumns
from forge_core.features.bank.lru import LruArrays
from forge_core.features.column import BarArrays, ColumnSource, ReferenceBars, read_only
from forge_core.feeds.feed import Feed, Floats, Integers
from forge_core.market.bars.model import resample_bars, trade_days
from forge_core.market.futures.adjustment import Adjustment, RollAdjustment
from forge_core.market.reference.catalog import LEAD_IN
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home

if TYPE_CHECKING:
    from forge_core.market.datasets.build import DatasetVersion

_MEMORY_BYTES = 256 * 2**20  # of columns computed from bars in memory


def open_feed(version: "DatasetVersion", *, timeframe: str | None = None, home: Home | None = None) -> Feed:
    """Return the feed of a dataset version for one execution timeframe (by default its finest).

    Bars and columns are memory-mapped read-only from the bank, so that all processes share them. ``start`` is the first
    bar at or after ``version.start``. The feed of a perpetual has the dataset's funding rates, that of a dated future
    the dataset's contract rolls. Raises DataError if the dataset has no such bars.
    """
    bank = Bank(version, timeframe or version.timeframes[0], home)
    bars = bank.traded_bars()
    start = int(np.searchsorted(bars.time, _microseconds(version.start), side="left"))
    if start == len(bars):
        raise DataError(f"dataset {version.name} has no {bank.execution} bar at or after its start {version.start}")
    adjustment = version.adjustment
    scale = None if adjustment is None else adjustment.price_scale(bars.time)
    feed = _feed(version.instrument, bars, bank.trade_days(), start, bank, scale)
    if (roll_dates := version.roll_dates) is not None:
        feed = feed.with_rolls(roll_dates)
    rates = version.funding()
    return feed if rates is None else feed.with_funding(rates)


def feed_from_bars(
    bars: pd.DataFrame,
    *,
    instrument: Instrument,
    timeframe: str,
    higher: Mapping[str, pd.DataFrame] | None = None,
    start: int = 0,
    roll_dates: pd.DatetimeIndex | None = None,
    adjust: Adjustment = "forward",
    recent: LruArrays | None = None,
    references: Mapping[str, ReferenceBars] | None = None,
) -> Feed:
    """Return the feed of a bars frame; its columns are computed lazily in memory.

    ``bars`` are those of the execution ``timeframe``; the first ``start`` of them are lead-in. ``higher`` holds bars of
    coarser timeframes by label; a timeframe that is not in ``higher`` is resampled from ``bars`` when needed.
    ``roll_dates`` are the contract rolls of a dated future. The feed rolls there, and its columns, including bar fields
    in rules, are computed from prices without the gaps between contracts (``futures.adjustment``, anchored at bar
    ``start``, one level for all timeframes) unless ``adjust`` is ``none``; fills always use unadjusted prices. The
    frames are copied, not changed. ``references`` are bars of other symbols for features. ``recent`` caches the columns
    and may be shared by several feeds.

    Raises DataError for an invalid frame or a ``start`` outside it, ConfigError for an unknown ``adjust``.
    """
    if not 0 <= start < len(bars):
        raise DataError(f"start is {start}; it must be the position of one of the {len(bars)} bars")
    if adjust not in get_args(Adjustment):
        raise ConfigError(unknown("adjustment", adjust, get_args(Adjustment)))
    execution = Timeframe.parse(timeframe)
    traded, seen, higher, scale = BarArrays.of(bars, execution), bars, dict(higher or {}), None
    if roll_dates is not None and adjust == "forward":
        adjustment = RollAdjustment.measure(
            {timeframe: bars, **higher}, roll_dates, anchor=bars.index[start], instrument=instrument
        )
        seen = adjustment.adjusted(bars, execution)
        higher = {
            label: adjustment.adjusted(frame, Timeframe.parse(label), (bars, execution))
            for label, frame in higher.items()
        }
        scale = adjustment.price_scale(traded.time)
    columns = MemoryColumns(
        seen,
        execution,
        session=instrument.session,
        higher=higher,
        calendar=instrument.calendar,
        recent=LruArrays(_MEMORY_BYTES) if recent is None else recent,
        references=references,
    )
    feed = _feed(instrument, traded, trade_days(bars.index, instrument.session), start, columns, scale)
    return feed if roll_dates is None else feed.with_rolls(roll_dates)


def window_feed(
    bars: pd.DataFrame,
    start: int,
    end: int,
    *,
    instrument: Instrument,
    timeframe: str,
    roll_dates: pd.DatetimeIndex,
    days: Integers | None = None,
    recent: LruArrays | None = None,
) -> Feed:
    """Return the feed of bars ``start`` to ``end - 1`` of a dated future's series, adjusted for its contract rolls.

    Like a dataset of that period it has up to ``LEAD_IN`` lead-in bars of each timeframe and is anchored at bar
    ``start``: bars before the lead-in affect no value. Coarser timeframes are resampled. ``days`` are the trade
    dates of ``bars``, if they are known. ``recent`` may be shared.
    """
    execution = Timeframe.parse(timeframe)
    known = bars.iloc[:end]
    first = max(0, start - LEAD_IN)
    adjustment = RollAdjustment.measure({timeframe: known}, roll_dates, anchor=bars.index[start], instrument=instrument)

    def coarser(wanted: Timeframe) -> pd.DataFrame:
        joined = resample_bars(adjustment.adjusted(known, execution), wanted, session=instrument.session)
        return joined.iloc[max(0, int(joined.index.searchsorted(bars.index[start])) - LEAD_IN) :]

    window = known.iloc[first:]
    columns = MemoryColumns(
        adjustment.adjusted(window, execution),
        execution,
        session=instrument.session,
        higher={},
        calendar=instrument.calendar,
        recent=LruArrays(_MEMORY_BYTES) if recent is None else recent,  # an empty one is false
        coarser=coarser,
    )
    traded = BarArrays.of(window, execution)
    known_days = trade_days(window.index, instrument.session) if days is None else days[first:end]
    scale = adjustment.price_scale(traded.time)
    return _feed(instrument, traded, known_days, start - first, columns, scale).with_rolls(roll_dates)


def _feed(
    instrument: Instrument,
    bars: BarArrays,
    days: Integers,
    start: int,
    columns: ColumnSource,
    price_scale: Floats | None,
) -> Feed:
    return Feed(
        instrument=instrument,
        timeframe=bars.timeframe.label,
        bar_microseconds=bars.timeframe.microseconds,
        time=bars.time,
        open=bars.fields["open"],
        high=bars.fields["high"],
        low=bars.fields["low"],
        close=bars.fields["close"],
        volume=bars.fields["volume"],
        day=read_only(days),
        start=start,
        columns=columns,
        price_scale=price_scale,
    )


def _microseconds(moment: pd.Timestamp) -> int:
    return (moment - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(1, unit="us")
