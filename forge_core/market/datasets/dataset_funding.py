"""Funding rates of the dataset of a perpetual."""

from typing import Any

import pandas as pd

from forge_core.errors import DataError
from forge_core.market.bars.funding import FUNDING_FILE, MAX_INTERVAL, funding_hash, funding_holes
from forge_core.market.reference.catalog import DatasetSpec
from forge_core.market.store.bar_store import BarStore

_MICROSECOND = pd.Timedelta(1, unit="us")


def dataset_funding(spec: DatasetSpec, store: BarStore) -> "pd.Series[float]":
    """Return the funding rates paid in (start, end] of a perpetual's dataset.

    Raises DataError with a hint how to import them if there is none for more than ``MAX_INTERVAL`` anywhere in the
    period: missing funding is never assumed to be zero.
    """
    start, end = pd.Timestamp(spec.start), pd.Timestamp(spec.end)
    rates = store.funding(spec.symbol, start + _MICROSECOND, end + _MICROSECOND)
    holes = funding_holes(rates, start, end)
    if holes:
        first, last = holes[0]
        some = "none" if rates.empty else f"{len(rates)} of them, but none"
        more = f" (and {len(holes) - 1} more holes)" if len(holes) > 1 else ""
        raise DataError(
            f"dataset {spec.name} needs funding rates of {spec.symbol} from {start.date()} to {end.date()}, and the "
            f"store has {some} between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M}{more}, where one is paid every "
            f"{MAX_INTERVAL / pd.Timedelta(hours=1):g} hours or less: import them with `forge import FILE --symbol "
            f"{spec.symbol}`; FILE may be Binance's fundingRate zips, freqtrade's funding_rate files, or a table of "
            "timestamp and funding_rate"
        )
    return rates


def lacks_funding(spec: DatasetSpec, store: BarStore) -> bool:
    """Return whether funding rates of the dataset are missing in the store."""
    try:
        dataset_funding(spec, store)
    except DataError:
        return True
    return False


def funding_entry(spec: DatasetSpec, store: BarStore, rates: "pd.Series[float]") -> dict[str, Any]:
    """Return the manifest entry of the rates."""
    return {
        "file": FUNDING_FILE,
        "rows": len(rates),
        "first": rates.index[0].isoformat(),
        "last": rates.index[-1].isoformat(),
        "sources": store.funding_sources(spec.symbol, rates.index[0], rates.index[-1] + _MICROSECOND),
        "hash": funding_hash(rates),
    }
