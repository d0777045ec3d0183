"""Bars of a backtest as the command line names them: a dataset or a file, and a window of it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from forge_core.engine.backtest import GENERIC_INSTRUMENT
from forge_core.engine.costs import Costs
from forge_core.engine.frames import checked_frame
from forge_core.errors import ConfigError, DataError
from forge_core.evidence.markets.market import Market
from forge_core.feeds.build import feed_from_bars, open_feed
from forge_core.feeds.feed import Feed
from forge_core.market.datasets.build import ensure_dataset
from forge_core.market.importing.importer import read_bars_file
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe


def dataset_feed(name: str, timeframe: str, start: str | None = None, end: str | None = None) -> Feed:
    """Return the feed of a dataset, traded from ``start`` to before ``end`` (UTC); bars before are lead-in.

    Builds the dataset if necessary. Raises DataError for a window without bars or a timeframe that it does not have.
    """
    version = ensure_dataset(name)
    if timeframe not in version.timeframes:
        raise DataError(f"dataset {name} has no {timeframe} bars; it has {', '.join(version.timeframes)}")
    if start is None and end is None:
        return open_feed(version, timeframe=timeframe)
    first, last = _window(start, end)
    market = Market.of(version, timeframe)
    bars = market.bars if last is None else market.bars[market.bars.index < last]
    higher = dict(market.higher)
    if last is not None:
        higher = {label: frame[frame.index <= last - _length(label)] for label, frame in higher.items()}
    begin = market.start if first is None else max(first, market.start)
    if not (bars.index >= begin).any():
        raise _no_bars(name, begin, last, market.bars)
    return replace(market, bars=bars, higher=higher, start=begin).feed()


def file_feed(
    path: Path, timeframe: str, instrument: str | None = None, start: str | None = None, end: str | None = None
) -> Feed:
    """Return the feed of a file of bars, resampled to ``timeframe`` if they are finer; see ``dataset_feed``."""
    terms: Instrument = GENERIC_INSTRUMENT if instrument is None else get_instrument(instrument)
    bars = checked_frame(read_bars_file(path), timeframe, terms, resample=True)
    first, last = _window(start, end)
    kept = bars if last is None else bars[bars.index < last]
    begin = 0 if first is None else int(kept.index.searchsorted(first))
    if begin >= len(kept):
        raise _no_bars(str(path), first, last, bars)
    return feed_from_bars(kept, instrument=terms, timeframe=timeframe, start=begin)


def finer_dataset_feed(name: str, timeframe: str) -> Feed:
    """Return the dataset's finest bars, for the policy ``replay``; raises ConfigError if none are finer."""
    version = ensure_dataset(name)
    finest = min(version.timeframes, key=lambda label: Timeframe.parse(label).microseconds)
    if Timeframe.parse(finest).microseconds >= Timeframe.parse(timeframe).microseconds:
        raise ConfigError(
            f"policy 'replay' needs bars finer than {timeframe}, and the finest of dataset {name} are {finest}: "
            "give a file of finer bars with --finer"
        )
    return open_feed(version, timeframe=finest)


def adjusted_costs(
    instrument: Instrument, *, commission_bps: float | None = None, slippage_bps: float | None = None
) -> Costs | None:
    """Return the instrument's costs with another commission or slippage; None where neither is given."""
    changes: dict[str, float] = {}
    if commission_bps is not None:
        changes |= {"commission_bps": commission_bps, "commission_per_contract": 0.0}
    if slippage_bps is not None:
        changes |= {"slippage_bps": slippage_bps, "slippage_ticks": 0.0}
    return Costs.model_validate(Costs.of(instrument).model_dump() | changes) if changes else None


def _window(start: str | None, end: str | None) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    first, last = _moment(start, "start"), _moment(end, "end")
    if first is not None and last is not None and first >= last:
        raise ConfigError(f"start {start} is not before end {end}; the end is excluded")
    return first, last


def _moment(text: str | None, name: str) -> pd.Timestamp | None:
    if text is None:
        return None
    try:
        stamp = pd.Timestamp(text)
    except ValueError as error:
        raise ConfigError(
            f"{name} is {text!r}; expected a date or time such as 2024-01-31 or 2024-01-31T12:00"
        ) from error
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _length(label: str) -> pd.Timedelta:
    return pd.Timedelta(Timeframe.parse(label).microseconds, unit="us")


def _no_bars(name: str, first: pd.Timestamp | None, last: pd.Timestamp | None, bars: pd.DataFrame) -> DataError:
    return DataError(
        f"{name}: no bar between {first or bars.index[0]} and {last or bars.index[-1]}; "
        f"its bars are from {bars.index[0]} to {bars.index[-1]}"
    )
