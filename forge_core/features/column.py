"""Feature columns: computed on the bars of their own timeframe and aligned to the execution bars."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import DataError, PlayError
from forge_core.features.alignment import first_visible, take_aligned
from forge_core.features.quantized import Quantized
from forge_core.features.reference import PRICE_FIELDS, FeatureRef
from forge_core.features.registry import get_feature
from forge_core.features.transforms import apply_transform, transform_bars
from forge_core.market.reference.clock import clock_column
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe
from forge_core.simd.memory import PicklesFieldsOnly, RecordLayout, address

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


# A column for the kernels: addresses of its values and codes (0: none), the first word without NaN, whether codes are
# lossless, low and step
COLUMN = RecordLayout(values=int, codes=int, first_word=int, lossless=int, low=float, step=float)


@dataclass(frozen=True)
class Column(PicklesFieldsOnly):
    """One feature column.

    ``data`` is float64, C-contiguous and read-only, one value per execution bar, NaN in the warm-up. ``quantized`` are
    its codes, if there are any: rules evaluate them faster, with the same result.
    """

    data: Floats
    quantized: Quantized | None = None

    @cached_property
    def address(self) -> int:
        """Address of the data."""
        return address(self.data, np.float64)

    @cached_property
    def packed(self) -> bytes:
        """The column as the bytes of a ``COLUMN``."""
        codes, values = self.quantized, self.address
        if codes is None:
            return COLUMN.pack(values=values, codes=0, first_word=0, lossless=0, low=0.0, step=0.0).tobytes()
        return COLUMN.pack(
            values=values,
            codes=codes.address,
            first_word=codes.first_word,
            lossless=codes.lossless,
            low=codes.low,
            step=codes.step,
        ).tobytes()

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.data.nbytes + (0 if self.quantized is None else self.quantized.data.nbytes)


class ColumnSource(Protocol):
    """Computes or looks up columns aligned to the execution bars."""

    def column(self, reference: FeatureRef) -> Floats:
        """Return the column's values, float64, one per execution bar, NaN in the warm-up."""
        ...

    def quantized_column(self, reference: FeatureRef) -> Column:
        """Return the column with its codes, if there are any."""
        ...

    def warmup(self, reference: FeatureRef) -> int:
        """Return the first execution bar after the column's warm-up."""
        ...


@dataclass(frozen=True)
class BarArrays:
    """Bars of one timeframe: ``time`` is the open time in microseconds UTC, ``fields`` are open .. volume (float64)."""

    timeframe: Timeframe
    time: Integers
    fields: Mapping[str, Floats]

    @classmethod
    def of(cls, bars: pd.DataFrame, timeframe: Timeframe) -> "BarArrays":
        """Copy a bars frame into read-only arrays; raises DataError when it is not a valid one."""
        missing = [name for name in PRICE_FIELDS if name not in bars.columns]
        if missing:
            raise DataError(f"{timeframe} bars have no column {missing[0]!r}; their columns are {list(bars.columns)}")
        index = bars.index
        if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
            raise DataError(f"{timeframe} bars need a DatetimeIndex in UTC (their open times), got {index.dtype}")
        time = microseconds(index).copy()
        backward = np.flatnonzero(np.diff(time) <= 0)
        if backward.size:
            raise DataError(
                f"{timeframe} bars are not strictly ascending: {index[backward[0] + 1]} follows {index[backward[0]]}; "
                "sort them and remove duplicates"
            )
        fields = {name: read_only(bars[name].to_numpy(dtype=np.float64, copy=True)) for name in PRICE_FIELDS}
        return cls(timeframe, read_only(time), fields)

    def __len__(self) -> int:
        return self.time.size


UTC_DAYS = Session()


@dataclass(frozen=True)
class ReferenceBars:
    """Bars of another symbol by timeframe label; others are resampled from the finest, by its ``session``.

    ``max_age``: number of missing bars after which its last known one no longer counts.
    """

    bars: Mapping[str, pd.DataFrame]
    max_age: int = 3
    session: Session = UTC_DAYS


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous, read-only view or copy of ``array``, so that kernels are compiled for one type."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def feature_timeframe(reference: FeatureRef, execution: Timeframe) -> Timeframe:
    """Return the reference's own timeframe; raises PlayError when it is finer than ``execution``."""
    timeframe = Timeframe.parse(reference.timeframe)
    if timeframe < execution:
        raise PlayError(
            f"{reference} is computed on {timeframe} bars, finer than the execution timeframe {execution}; "
            f"use {execution} or a coarser one"
        )
    return timeframe


def compute_columns(
    reference: FeatureRef, bars: BarArrays, index: Integers | None, session: Session, calendar: str = ""
) -> dict[FeatureRef, Floats]:
    """Compute all outputs of the feature of ``reference``, each a read-only float64 column of the execution bars.

    One call of an indicator computes all its outputs, so all are returned; a transformed column is returned
    alone. ``bars`` are
    those of the reference's own timeframe, ``index`` is the ``aligned_index`` to the execution bars, None if they are
    the same. ``session`` and ``calendar`` are the instrument's, for calendar
    features. Raises PlayError for an unknown feature, parameter
    or output.
    """
    definition = get_feature(reference.name)
    definition.output(reference.output)
    if len(bars):
        inputs = bars.fields
        if definition.kind == "calendar":
            closes = bars.time + bars.timeframe.microseconds
            inputs = {definition.name: clock_column(definition.name, closes, session, calendar)}
        computed = definition.compute(inputs, dict(reference.params))
    else:  # no bar has closed yet, and a kernel may read bar 0
        computed = {output.name: np.empty(0) for output in definition.outputs}
    native = {output: read_only(values) for output, values in computed.items()}
    if reference.transform:
        scale, close = definition.output(reference.output).scale, bars.fields["close"]
        columns = {reference: read_only(apply_transform(native[reference.output], close, scale, reference.transform))}
    else:
        columns = {replace(reference, output=output): values for output, values in native.items()}
    if index is None:
        return columns
    return {key: read_only(take_aligned(values, index)) for key, values in columns.items()}


def first_value(reference: FeatureRef, bars: BarArrays, execution: BarArrays) -> int:
    """Return the first execution bar after the column's warm-up, ``len(execution)`` if there is none.

    That is the bar at which one native bar more than the lookback of the feature and its transform has closed. A streak
    has the warm-up of its column: where it has no value yet, ``rising n`` is false.
    """
    before = get_feature(reference.name).lookback(dict(reference.params)) + transform_bars(reference.transform)
    if before >= len(bars):
        return len(execution)
    closes = int(bars.time[before]) + bars.timeframe.microseconds
    return first_visible(execution.time, execution.timeframe.microseconds, closes)
