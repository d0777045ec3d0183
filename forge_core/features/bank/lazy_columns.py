"""Lazy columns: computed on first use and cached in memory."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

import pandas as pd

from forge_core.errors import DataError, PlayError
from forge_core.features.alignment import aligned_index, fresh_index, take_aligned
from forge_core.features.bank.lru import LruArrays
from forge_core.features.catalogue.relative import REFERENCE_CLOSE, RELATIVE
from forge_core.features.column import (
    BarArrays,
    Column,
    Floats,
    Integers,
    ReferenceBars,
    compute_columns,
    feature_timeframe,
    first_value,
    read_only,
)
from forge_core.features.quantized import open_quantized, quantize
from forge_core.features.reference import PRICE_FIELDS, FeatureRef, price_field
from forge_core.market.bars.model import resample_bars
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe

_LOCKS = 64
_WARMUPS = 8192


class LazyColumns(ABC):
    """A ``features.column.ColumnSource`` over the bars of one symbol, safe to share between threads.

    Two threads that request outputs of the same indicator call wait for one computation. ``recent`` caches the most
    recently used columns; ``owner`` is part of the keys, so that several sources can share one cache.
    """

    def __init__(
        self, execution: Timeframe, session: Session, calendar: str, recent: LruArrays, owner: Hashable
    ) -> None:
        self.execution = execution
        self._session = session
        self._calendar = calendar
        self._recent = recent
        self._owner = owner
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self._bars: dict[int, BarArrays] = {}
        self._bars_lock = threading.Lock()
        self._reference_bars: dict[tuple[str, int], BarArrays] = {}
        self._prices: dict[FeatureRef, Column] = {}
        self._warmups: dict[FeatureRef, int] = {}

    def column(self, reference: FeatureRef) -> Floats:
        """Return the column, float64, read-only, one value per execution bar, NaN in the warm-up.

        Raises PlayError for an unknown feature, parameter or output, or a timeframe finer than execution.
        """
        if self._is_price(reference):
            return self.bars(self.execution).fields[reference.name]
        return self.quantized_column(reference).data

    def quantized_column(self, reference: FeatureRef) -> Column:
        """Return the column with its codes, if it is stored with them; raises as ``column`` does."""
        if self._is_price(reference):
            return self._price(reference)
        found = self._recent.get((self._owner, reference))
        if found is not None:
            return found
        with self._lock(reference):
            found = self._recent.get((self._owner, reference))
            if found is not None:
                return found
            columns = self._produce(reference)
            for other, column in columns.items():
                if other != reference:
                    self._recent.put((self._owner, other), column)
            self._recent.put((self._owner, reference), columns[reference])
            return columns[reference]

    def warmup(self, reference: FeatureRef) -> int:
        """Return the first execution bar after the column's warm-up (lead-in bars count)."""
        first = self._warmups.get(reference)
        if first is None:
            timeframe = feature_timeframe(reference, self.execution)
            first = first_value(reference, self._bars_of(reference, timeframe), self.bars(self.execution))
            if len(self._warmups) >= _WARMUPS:
                self._warmups.clear()
            self._warmups[reference] = first
        return first

    def bars(self, timeframe: Timeframe) -> BarArrays:
        """Return the bars of ``timeframe``, loaded once; raises DataError if there are none."""
        bars = self._bars.get(timeframe.microseconds)
        if bars is None:
            with self._bars_lock:
                bars = self._bars.get(timeframe.microseconds)
                if bars is None:
                    bars = self._bars[timeframe.microseconds] = self._load_bars(timeframe)
        return bars

    @property
    def references(self) -> Mapping[str, int]:
        """Other symbols that features can be computed from, with their largest age in missing bars."""
        return {}

    def _bars_of(self, reference: FeatureRef, timeframe: Timeframe) -> BarArrays:
        """Return the bars that a column is computed from; those of a ratio of closes are the instrument's own."""
        if not reference.symbol or reference.name == RELATIVE:
            return self.bars(timeframe)
        return self._other(reference.symbol, timeframe)

    def _other(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        """Return the bars of another symbol, loaded once; raises PlayError if the data have none of it."""
        if symbol not in self.references:
            known = ", ".join(self.references) or "none"
            raise PlayError(f"the data have no bars of {symbol} (references: {known}); add it to their references")
        key = symbol, timeframe.microseconds
        bars = self._reference_bars.get(key)
        if bars is None:
            with self._bars_lock:
                bars = self._reference_bars.get(key)
                if bars is None:
                    bars = self._reference_bars[key] = self._load_reference(symbol, timeframe)
        return bars

    def _load_reference(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        raise NotImplementedError(symbol)

    def _known_index(self, symbol: str, bars: BarArrays, other: BarArrays) -> Integers:
        """Return for each of ``bars`` the newest closed bar of another symbol, -1 where it is too old."""
        length, other_length = bars.timeframe.microseconds, other.timeframe.microseconds
        return read_only(fresh_index(bars.time, length, other.time, other_length, self.references[symbol]))

    @abstractmethod
    def _load_bars(self, timeframe: Timeframe) -> BarArrays: ...

    def _is_price(self, reference: FeatureRef) -> bool:
        """Whether ``reference`` is a field of the execution bars."""
        return (
            not reference.params
            and reference.name in PRICE_FIELDS
            and reference == price_field(reference.name, self.execution.label)
        )

    def _price(self, reference: FeatureRef) -> Column:
        """Return a field of the execution bars; its codes are computed once and kept in memory."""
        column = self._prices.get(reference)
        if column is None:
            values = self.bars(self.execution).fields[reference.name]
            column = Column(values, open_quantized(quantize(values), values.size))
            self._prices[reference] = column
        return column

    def _produce(self, reference: FeatureRef) -> dict[FeatureRef, Column]:
        """Return ``reference`` and the other outputs of its indicator call, whose lock the caller holds."""
        return {key: Column(values) for key, values in self._computed(reference).items()}

    def _computed(self, reference: FeatureRef) -> dict[FeatureRef, Floats]:
        timeframe = feature_timeframe(reference, self.execution)
        bars, index = self._bars_of(reference, timeframe), None
        if not reference.symbol:
            index = self._index(timeframe)
        elif reference.name == RELATIVE:
            other = self._other(reference.symbol, timeframe)
            known = take_aligned(other.fields["close"], self._known_index(reference.symbol, bars, other))
            bars = replace(bars, fields={"close": bars.fields["close"], REFERENCE_CLOSE: known})
            index = self._index(timeframe)
        else:
            index = self._known_index(reference.symbol, self.bars(self.execution), bars)
        return compute_columns(reference, bars, index, self._session, self._calendar)

    def _index(self, timeframe: Timeframe) -> Integers | None:
        if timeframe.microseconds == self.execution.microseconds:
            return None
        key = (self._owner, timeframe)
        index = self._recent.get(key)
        if index is None:
            execution, higher = self.bars(self.execution), self.bars(timeframe)
            index = read_only(
                aligned_index(
                    execution.time, execution.timeframe.microseconds, higher.time, higher.timeframe.microseconds
                )
            )
            self._recent.put(key, index)
        return index

    def _lock(self, reference: FeatureRef) -> threading.Lock:
        """Return the lock of an indicator call, one of a fixed number; sharing a lock can delay but not deadlock."""
        call = (reference.name, reference.params, reference.timeframe, reference.transform, reference.symbol)
        return self._locks[hash(call) % _LOCKS]


class MemoryColumns(LazyColumns):
    """Columns of bars in memory.

    A coarser timeframe that is not in ``higher`` is loaded by ``coarser``, or resampled from ``bars`` by default.
    """

    def __init__(
        self,
        bars: pd.DataFrame,
        execution: Timeframe,
        *,
        session: Session,
        higher: Mapping[str, pd.DataFrame],
        recent: LruArrays,
        calendar: str = "",
        coarser: Callable[[Timeframe], pd.DataFrame] | None = None,
        references: Mapping[str, ReferenceBars] | None = None,
    ) -> None:
        super().__init__(execution, session, calendar, recent, owner=object())
        self._coarser = coarser
        self._references = dict(references or {})
        self._frame = bars
        self._bars[execution.microseconds] = BarArrays.of(bars, execution)
        for label, frame in higher.items():
            timeframe = Timeframe.parse(label)
            if timeframe.microseconds <= execution.microseconds:
                raise DataError(f"higher bars of {label} are not coarser than the execution timeframe {execution}")
            self._bars[timeframe.microseconds] = BarArrays.of(frame, timeframe)

    @property
    def references(self) -> Mapping[str, int]:
        """Other symbols that features can be computed from, with their largest age in missing bars."""
        return {symbol: other.max_age for symbol, other in self._references.items()}

    def _load_reference(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        other = self._references[symbol]
        frames = {Timeframe.parse(label).microseconds: frame for label, frame in other.bars.items()}
        if timeframe.microseconds in frames:
            return BarArrays.of(frames[timeframe.microseconds], timeframe)
        finest = min(frames)
        if timeframe.microseconds < finest:
            raise DataError(f"there are no {timeframe} bars of {symbol}, only {', '.join(other.bars)}")
        return BarArrays.of(resample_bars(frames[finest], timeframe, session=other.session), timeframe)

    def _load_bars(self, timeframe: Timeframe) -> BarArrays:
        if self._coarser is not None:
            return BarArrays.of(self._coarser(timeframe), timeframe)
        return BarArrays.of(resample_bars(self._frame, timeframe, session=self._session), timeframe)
