"""Stored daily closes of a symbol, from which its regimes are derived."""

import pandas as pd

from forge_core.errors import DataError
from forge_core.market.reference.catalog import load_catalog
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.regimes.suggest import daily_closes
from forge_core.market.store.bar_store import BarStore

_COARSER = ("1h", "4h", "1d", "1w")
_MOST_TIMEFRAMES = 3


def stored_closes(store: BarStore, instrument: Instrument) -> pd.Series:
    """Return the daily closes of a symbol's longest series in the store; raise DataError if it has none."""
    coverage = store.coverage()
    series = coverage[(coverage["symbol"] == instrument.symbol) & coverage["timeframe"].map(_up_to_a_day)]
    if series.empty:
        raise DataError(f"the store has no bars of {instrument.symbol} to tell regimes from; import some first")
    longest = (series["last"] - series["first"]).to_numpy().argmax()
    return daily_closes(store.read(instrument.symbol, series["timeframe"].iloc[longest]), instrument)


def usual_timeframes(store: BarStore, symbol: str) -> list[str]:
    """Return the timeframes of the catalog's datasets of a symbol, else the finest of the store and coarser ones."""
    for spec in load_catalog().values():
        if spec.symbol == symbol:
            return spec.timeframes
    coverage = store.coverage()
    finest = Timeframe.parse(coverage.loc[coverage["symbol"] == symbol, "timeframe"].iloc[0])
    multiples = [label for label in map(Timeframe.parse, _COARSER) if label > finest and _divides(finest, label)]
    return [finest.label, *(label.label for label in multiples)][:_MOST_TIMEFRAMES]


def _up_to_a_day(label: str) -> bool:
    return Timeframe.parse(label) <= Timeframe.parse("1d")


def _divides(finer: Timeframe, coarser: Timeframe) -> bool:
    return coarser.microseconds % finer.microseconds == 0
