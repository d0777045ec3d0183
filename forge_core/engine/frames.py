"""Validation of the DataFrames given to ``forge_core.backtest``, with the checks of an import."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, DataError
from forge_core.features.column import ReferenceBars
from forge_core.feeds.feed import Feed
from forge_core.market.bars.funding import MAX_INTERVAL, checked_rates, funding_holes
from forge_core.market.bars.model import BAR_COLUMNS, resample_bars, validate_bars
from forge_core.market.bars.resampling import most_common_step
from forge_core.market.importing.bar_checker import check_spacing
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe

_MIN_STEPS = 3  # with fewer the spacing is unknown
_MAX_OTHER_PRICES = 0.01  # share of bars whose finer bars have another range; sources differ around outages
_SAME_PRICE = 1e-6  # of the price
_UNITS = ((10_080, "w"), (1_440, "d"), (60, "h"), (1, "m"))


def checked_frame(
    frame: pd.DataFrame, timeframe: str, instrument: Instrument, *, resample: bool = False, role: str = "bars"
) -> pd.DataFrame:
    """Return a DataFrame as bars of ``timeframe``, or raise DataError.

    Rejects missing columns, text, NaN and infinite values, a high below or a low above another price, times without a
    zone, unsorted or duplicate times, prices that the instrument cannot have, and bars of another spacing. With
    ``resample`` finer bars are resampled to ``timeframe``.
    """
    bars = _as_bars(frame, role)
    step = most_common_step(microseconds(bars.index)) if bars.index.is_monotonic_increasing else None
    wanted = Timeframe.parse(timeframe)
    known = step is not None and len(bars) > _MIN_STEPS
    name = instrument.symbol if role == "bars" else f"{instrument.symbol} {role}"
    validate_bars(bars, symbol=name, timeframe=timeframe, instrument=instrument)
    if resample and known and step is not None and step < wanted.microseconds:
        check_spacing(bars, name, _label(step) or timeframe)
        return resample_bars(bars, wanted, session=instrument.session)
    if known and step != wanted.microseconds:
        raise DataError(
            f"{name}: the bars are mostly {_spelled(step)} apart, and {timeframe} bars are expected; "
            + (
                f"give {timeframe} bars, or `resample=True` to join these into {timeframe} bars"
                if step is not None and step < wanted.microseconds and wanted.microseconds % step == 0
                else f"give {timeframe} bars, or a Play on another timeframe"
            )
        )
    if known:
        check_spacing(bars, name, timeframe)
    return bars


def checked_higher(higher: Mapping[str, pd.DataFrame] | None, instrument: Instrument) -> dict[str, pd.DataFrame]:
    """Return the bars of coarser timeframes, each checked by ``checked_frame``."""
    return {
        label: checked_frame(frame, label, instrument, role="higher bars") for label, frame in (higher or {}).items()
    }


def checked_references(references: Mapping[str, pd.DataFrame] | None, timeframe: str) -> dict[str, ReferenceBars]:
    """Return the bars of other symbols, each checked by ``checked_frame``; raises ConfigError for an unknown symbol."""
    found = {}
    for symbol, frame in (references or {}).items():
        instrument = get_instrument(symbol)
        bars = checked_frame(frame, timeframe, instrument, role=f"bars of {symbol}")
        found[symbol] = ReferenceBars({timeframe: bars}, session=instrument.session)
    return found


def checked_roll_dates(roll_dates: pd.DatetimeIndex | None, instrument: Instrument) -> pd.DatetimeIndex | None:
    """Return the roll dates of a DataFrame's instrument; raises ConfigError if a dated future has none."""
    if roll_dates is None:
        if instrument.kind == "future":
            raise ConfigError(
                f"{instrument.symbol} is a dated future and its roll dates are missing: pass the times at which the "
                "series passes to the next contract (UTC), or an empty DatetimeIndex for one contract or prices "
                "that are adjusted already"
            )
        return None
    index = pd.DatetimeIndex(roll_dates)
    if index.tz is None and len(index):
        raise ConfigError(f"roll dates without a time zone, the first {index[0]}; localize them to UTC")
    return index if index.tz is not None else index.tz_localize("UTC")


def checked_funding(rates: pd.Series, feed: Feed) -> pd.Series:
    """Return funding rates that cover the traded bars of ``feed``; raises DataError for invalid rates and gaps."""
    rates = checked_rates(rates.sort_index(), symbol=feed.instrument.symbol)
    start = pd.Timestamp(int(feed.time[feed.start]), unit="us", tz="UTC")
    end = pd.Timestamp(int(feed.time[-1]) + feed.bar_microseconds, unit="us", tz="UTC")
    holes = funding_holes(rates, start, end)
    if holes:
        first, last = holes[0]
        more = f" (and {len(holes) - 1} more holes)" if len(holes) > 1 else ""
        raise DataError(
            f"{feed.instrument.symbol} funding: no rate between {first:%Y-%m-%d %H:%M} and "
            f"{last:%Y-%m-%d %H:%M}{more}, where one is paid every {MAX_INTERVAL / pd.Timedelta(hours=1):g} hours or "
            "less; a missing rate is never taken as zero"
        )
    return rates


def finer_timeframe(bars: pd.DataFrame) -> str:
    """Return the timeframe label of the most common step between finer ``bars``; raises DataError if there is none."""
    step = most_common_step(np.sort(microseconds(_as_bars(bars, "finer bars").index)))
    if step is None:
        raise DataError(f"{len(bars)} finer bars; expected at least two to determine their timeframe")
    label = _label(step)
    if label is None:
        raise DataError(f"finer bars are mostly {_spelled(step)} apart; expected a timeframe such as 1m or 5m")
    return label


def check_finer(finer: Feed, feed: Feed) -> None:
    """Raise DataError unless ``finer`` has finer bars of the same prices as ``feed``."""
    if finer.bar_microseconds >= feed.bar_microseconds or feed.bar_microseconds % finer.bar_microseconds:
        raise DataError(
            f"finer bars are {finer.timeframe} bars, and those traded {feed.timeframe}: give bars of a timeframe that "
            f"divides {feed.timeframe}"
        )
    first = np.searchsorted(finer.time, feed.time)
    last = np.searchsorted(finer.time, feed.time + feed.bar_microseconds)
    full = np.flatnonzero(last - first == feed.bar_microseconds // finer.bar_microseconds)
    full = full[full >= feed.start]
    if not full.size:
        raise DataError(
            f"finer bars from {_moment(finer.time[0])} to {_moment(finer.time[-1])} cover none of the {feed.timeframe} "
            f"bars from {_moment(feed.time[feed.start])} to {_moment(feed.time[-1])}"
        )
    edges = np.column_stack((first[full], last[full])).ravel()
    reach = np.append(finer.high, -np.inf), np.append(finer.low, np.inf)
    high, low = np.maximum.reduceat(reach[0], edges)[::2], np.minimum.reduceat(reach[1], edges)[::2]
    room = _SAME_PRICE * np.abs(feed.close[full])
    other = (np.abs(high - feed.high[full]) > room) | (np.abs(low - feed.low[full]) > room)
    if other.mean() > _MAX_OTHER_PRICES:
        k = int(other.argmax())
        bar = full[k]
        raise DataError(
            f"finer bars have other prices: {int(other.sum())} of {full.size} {feed.timeframe} bars differ in range, "
            f"the first at {_moment(feed.time[bar])}: {float(feed.low[bar])!r} to {float(feed.high[bar])!r}, the finer "
            f"ones {float(low[k])!r} to {float(high[k])!r}; give finer bars of the same series"
        )


def _as_bars(frame: pd.DataFrame, role: str) -> pd.DataFrame:
    """Return the columns of bars as float64 by UTC microseconds; raises DataError if they cannot be converted."""
    missing = [name for name in BAR_COLUMNS if name not in frame.columns]
    if missing:
        hint = "; fill it with zeros if the market reports none" if missing == ["volume"] else ""
        raise DataError(f"{role}: column {missing[0]!r} is missing among {list(frame.columns)}{hint}")
    index = _times(frame)
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise DataError(
            f"{role} need a DatetimeIndex in UTC or a column 'timestamp' in UTC (their open times), got {index.dtype}"
        )
    if index.hasnans:
        raise DataError(f"{role}: row {int(index.isna().argmax())} has no time (NaT)")
    columns = {}
    for name in BAR_COLUMNS:
        column = frame[name]
        if isinstance(column, pd.DataFrame):
            raise DataError(f"{role}: there are several columns {name!r}; keep one")
        try:
            columns[name] = column.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DataError(f"{role}: column {name!r} is {column.dtype}, numbers are expected ({error})") from error
    return pd.DataFrame(columns, index=index.tz_convert("UTC").as_unit("us").rename("timestamp"))


def _times(frame: pd.DataFrame) -> pd.Index:
    """Return the open times: the index, or the column ``timestamp`` of a frame without times in its index."""
    if isinstance(frame.index, pd.DatetimeIndex) or "timestamp" not in frame.columns:
        return frame.index
    column = frame["timestamp"]
    if isinstance(column, pd.DataFrame) or not isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.Index(column)
    return pd.DatetimeIndex(column)


def _label(step: int) -> str | None:
    minutes = step // 60_000_000
    if minutes <= 0 or step % 60_000_000:
        return None
    return next(f"{minutes // unit}{letter}" for unit, letter in _UNITS if minutes % unit == 0)


def _spelled(step: int | None) -> str:
    return "an unknown time" if step is None else _label(step) or str(pd.Timedelta(step, unit="us"))


def _moment(stamp: np.int64) -> str:
    return f"{pd.Timestamp(int(stamp), unit='us'):%Y-%m-%d %H:%M}"
