"""Filling of gaps in a series with bars resampled from finer ones in the store."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, DataError
from forge_core.market.bars.model import find_gaps, resample_bars
from forge_core.market.bars.resampling import most_common_step
from forge_core.market.reference.instruments import Session, get_instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from forge_core.market.store.upsert import UpsertReport


@dataclass(frozen=True)
class FillReport:
    """Result of a fill: number of bars ``missing`` before, the store's report, and number still missing."""

    missing: int
    stored: UpsertReport
    still_missing: int

    def __str__(self) -> str:
        series = f"{self.stored.symbol} {self.stored.timeframe}"
        return f"{series}: {self.stored.inserted} of {self.missing} missing bars filled"


def fill_gaps(store: BarStore, symbol: str, timeframe: str, finer: str) -> FillReport:
    """Fill the gaps of a series with bars resampled from ``finer`` ones; existing bars are not changed.

    A bar is filled only if none of its finer bars is missing. Raises ConfigError unless ``timeframe`` is a multiple of
    ``finer``, and DataError if either series is missing in the store, the series has no gap, or no bar can be filled.
    """
    instrument, coarse, fine = get_instrument(symbol), Timeframe.parse(timeframe), Timeframe.parse(finer)
    if coarse <= fine or coarse.microseconds % fine.microseconds:
        raise ConfigError(f"{coarse} bars cannot be resampled from {fine}: give a timeframe that divides {coarse}")
    bars = store.read(symbol, coarse.label)
    if bars.empty:
        raise DataError(f"the store has no {symbol} {coarse} bars, so there is no gap to fill")
    gaps = find_gaps(bars, coarse, instrument.session)
    if gaps.empty:
        raise DataError(f"{symbol} {coarse} has no gaps")
    made = []
    for start, end, _ in gaps.itertuples(index=False):
        around = store.read(symbol, fine.label, start - 2 * coarse.timedelta, end + 2 * coarse.timedelta)
        if len(around) < 2 or most_common_step(microseconds(around.index)) != fine.microseconds:
            continue
        whole = _whole(around, coarse, fine, instrument.session)
        made.append(whole[(whole.index >= start) & (whole.index < end)])
    filling = pd.concat(made) if made else bars.iloc[:0]
    filling = filling[~filling.index.isin(bars.index)]
    if filling.empty:
        raise DataError(
            f"none of the {len(gaps)} gaps of {symbol} {coarse} can be filled from {fine}: the store has none there, "
            "or lacks some that one needs"
        )
    stored = store.upsert(symbol, coarse.label, filling, source=f"made of {fine} bars")
    left = find_gaps(store.read(symbol, coarse.label), coarse, instrument.session)
    return FillReport(int(gaps["missing"].sum()), stored, int(left["missing"].sum()))


def _whole(finer: pd.DataFrame, coarse: Timeframe, fine: Timeframe, session: Session) -> pd.DataFrame:
    """Return the coarser bars whose finer bars are complete."""
    made = resample_bars(finer, coarse, session=session)
    times, begins = microseconds(finer.index), microseconds(made.index)
    counts = np.searchsorted(times, begins + coarse.microseconds) - np.searchsorted(times, begins)
    return made[counts == coarse.microseconds // fine.microseconds]
