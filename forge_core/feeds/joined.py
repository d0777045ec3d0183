"""Concatenation of several feeds of one symbol, so that one kernel program runs on all of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forge_core.features.bank.lru import LruArrays
from forge_core.features.column import Column, read_only
from forge_core.features.quantized import open_quantized, quantize
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed, Floats, Integers

_MEMORY_BYTES = 256 * 2**20  # of joined columns
_DAYS = 1_000_000  # offset between the trade dates of two feeds, which keeps them distinct


def offsets_of(feeds: Sequence[Feed]) -> Integers:
    """Return the position of each feed's bar 0 in their joined feed."""
    return np.concatenate(([0], np.cumsum([len(feed) for feed in feeds])))[:-1].astype(np.int64)


def join_feeds(feeds: Sequence[Feed]) -> Feed:
    """Return the concatenation of ``feeds`` of one instrument and timeframe.

    Use it with ``engine.windows`` only: each window must lie within one feed, and its first signal must be given,
    because the columns have no warm-up. The trade dates increase from feed to feed.
    """

    def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
        return read_only(np.concatenate(parts))

    def optional(name: str) -> NDArray[Any] | None:
        parts = [getattr(feed, name) for feed in feeds]
        if all(part is None for part in parts):
            return None
        empty = 1.0 if name == "price_scale" else 0
        dtype = next(part.dtype for part in parts if part is not None)
        return joined([np.full(len(f), empty, dtype) if p is None else p for f, p in zip(feeds, parts, strict=True)])

    return replace(
        feeds[0],
        time=joined([feed.time for feed in feeds]),
        open=joined([feed.open for feed in feeds]),
        high=joined([feed.high for feed in feeds]),
        low=joined([feed.low for feed in feeds]),
        close=joined([feed.close for feed in feeds]),
        volume=joined([feed.volume for feed in feeds]),
        day=joined([feed.day + _DAYS * k for k, feed in enumerate(feeds)]),
        start=0,
        columns=_JoinedColumns(feeds),
        rolls=optional("rolls"),
        funding=optional("funding"),
        price_scale=optional("price_scale"),
    )


def first_bars(feed: Feed) -> Integers:
    """Return the position of the first bar of each feed that ``feed`` was joined from; 0 if it was not joined."""
    return np.concatenate(([0], 1 + np.flatnonzero(np.diff(feed.day) >= _DAYS // 2))).astype(np.int64)


class _JoinedColumns:
    """Concatenated columns of several feeds."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = feeds
        self._recent = LruArrays(_MEMORY_BYTES)

    def column(self, reference: FeatureRef) -> Floats:
        return self.quantized_column(reference).data

    def quantized_column(self, reference: FeatureRef) -> Column:
        found: Column | None = self._recent.get(reference)
        if found is None:
            values = read_only(np.concatenate([feed.columns.column(reference) for feed in self._feeds]))
            found = Column(values, open_quantized(quantize(values), values.size))
            self._recent.put(reference, found)
        return found

    def warmup(self, reference: FeatureRef) -> int:
        return 0
