"""Slicing of a series by calendar month of the trade date; the bars before a month are its lead-in."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.features.column import Column, ColumnSource, read_only
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed, Floats, Integers
from forge_core.market.bars.model import BAR_COLUMNS
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.sessions import microseconds, trade_days


@dataclass(frozen=True)
class Months:
    """The months of a series that have bars: labels such as ``2024-01``, ascending; bars ``starts[k]:ends[k]``."""

    labels: tuple[str, ...]
    starts: Integers
    ends: Integers

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, labels: Iterable[str]) -> "Months":
        """Return the months of ``labels``, in that order; those without bars are left out."""
        place = {label: position for position, label in enumerate(self.labels)}
        chosen = [place[label] for label in labels if label in place]
        return Months(tuple(self.labels[k] for k in chosen), self.starts[chosen], self.ends[chosen])


def cut_months(bars: pd.DataFrame, session: Session) -> Months:
    """Return the months of ``bars``; a bar belongs to the month of its trade date."""
    month = trade_days(bars.index, session).astype("datetime64[D]").astype("datetime64[M]")
    starts = np.flatnonzero(np.concatenate(([True], month[1:] != month[:-1]))) if len(bars) else np.empty(0, np.int64)
    labels = tuple(str(value) for value in month[starts])
    return Months(labels, starts.astype(np.int64), np.append(starts[1:], len(bars)).astype(np.int64)[: len(labels)])


def data_hashes(bars: pd.DataFrame, ends: Integers, funding: Floats | None = None) -> list[str]:
    """Return for each of ``ends`` (ascending) the hash of all bars before it: times, values and funding.

    A month's result depends on these bars only, so later bars do not change its hash.
    """
    columns = [microseconds(bars.index).view(np.float64), *(bars[name].to_numpy(np.float64) for name in BAR_COLUMNS)]
    if funding is not None:
        columns.append(funding)
    digest, hashes, begin = hashlib.sha256(), [], 0
    for end in ends:
        digest.update(np.column_stack([values[begin:end] for values in columns]).data)
        hashes.append(digest.hexdigest()[:16])
        begin = int(end)
    return hashes


@dataclass(frozen=True)
class _Head:
    """Columns of a series up to a bar."""

    source: ColumnSource
    end: int

    def column(self, reference: FeatureRef) -> Floats:
        return read_only(self.source.column(reference)[: self.end])

    def quantized_column(self, reference: FeatureRef) -> Column:
        return Column(self.column(reference), self.source.quantized_column(reference).quantized)

    def warmup(self, reference: FeatureRef) -> int:
        return min(self.source.warmup(reference), self.end)


def month_feed(feed: Feed, start: int, end: int) -> Feed:
    """Return one month of a series as a feed of its own: bars ``0:end``, traded from bar ``start`` on.

    Arrays and columns are truncated views of the series', not recomputed: no value depends on later bars.
    """

    def head(values: NDArray[Any]) -> NDArray[Any]:
        return values[:end]

    month = replace(
        feed,
        time=head(feed.time),
        open=head(feed.open),
        high=head(feed.high),
        low=head(feed.low),
        close=head(feed.close),
        volume=head(feed.volume),
        day=head(feed.day),
        start=start,
        columns=_Head(feed.columns, end),
        rolls=None if feed.rolls is None else head(feed.rolls),
        funding=None if feed.funding is None else head(feed.funding),
        price_scale=None if feed.price_scale is None else head(feed.price_scale),
    )
    vars(month)["rows"] = head(feed.rows)  # computed once per series
    return month
