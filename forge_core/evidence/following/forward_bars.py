"""Bars after everything a study saw, from the store."""

import numpy as np
import pandas as pd

from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.subject import Subject
from forge_core.market.datasets.build import cut_dataset, open_version
from forge_core.market.datasets.versions import DatasetVersion
from forge_core.market.reference.catalog import DatasetSpec, ReferenceSpec
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home


def seen_until(subject: Subject) -> pd.Timestamp:
    """Return the end of the latest dataset of a study, train or holdout: no day before it is new."""
    return max(_version(subject, name).end for name in (*subject.spec.train, *subject.spec.holdout))


def forward_markets(subject: Subject, store: BarStore, home: Home) -> dict[str, Market]:
    """Return the bars of each symbol that the study was trained on, tradable from ``seen_until`` on.

    Each is cut as the latest train dataset of its symbol, up to the last bar of the store. Symbols without a bar to
    trade are left out. Raises DataError as ``cut_dataset`` does.
    """
    start = seen_until(subject)
    latest: dict[str, DatasetVersion] = {}
    for version in sorted((_version(subject, name) for name in subject.spec.train), key=lambda each: each.end):
        latest[version.symbol] = version
    markets = {}
    for symbol, version in latest.items():
        finest = version.timeframes[0]
        span = store.span(symbol, finest)
        if span is None or span[1] < start:
            continue
        spec = DatasetSpec(
            name=version.name,
            symbol=symbol,
            start=version.start.to_pydatetime(),
            end=(span[1] + Timeframe.parse(finest).timedelta).to_pydatetime(),
            timeframes=version.timeframes,
            regime=version.manifest["regime"],
            adjust="forward" if version.adjusts else "none",
            references={other: ReferenceSpec(max_age=age) for other, age in version.references.items()},
        )
        draft = cut_dataset(spec, store, home)
        market = Market.of_draft(draft, version.instrument, subject.spec.timeframe, start)
        if market.first < len(market.bars):
            markets[symbol] = market
    return markets


def final_days(markets: dict[str, Market]) -> np.ndarray:
    """Return the trade dates that will not change when bars are added: those before the last date of every symbol.

    The last one may be incomplete, and ends with positions closed at its last bar.
    """
    if not markets:
        return np.empty(0, np.int64)
    days = np.unique(np.concatenate([market.days for market in markets.values()]))
    return days[days < min(int(market.days[-1]) for market in markets.values())]


def _version(subject: Subject, name: str) -> DatasetVersion:
    return open_version(name, subject.plan.manifest["datasets"][name]["hash"], subject.plan.home)
