"""Bank: feature columns of a dataset on disk, memory-mapped and shared by all processes."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import psutil

from forge_core.errors import DataError
from forge_core.extension_files import registrations
from forge_core.features.bank.files import (
    BankStats,
    PruneReport,
    StoredColumn,
    bank_contents,
    bank_folder,
    bank_stats,
    prune_bank,
)
from forge_core.features.bank.lazy_columns import LazyColumns
from forge_core.features.bank.lru import LruArrays
from forge_core.features.bank.npy_file import NOTHING, DamagedArray, NpyArray, open_array, write_array
from forge_core.features.column import BarArrays, Column, Integers, feature_timeframe, read_only
from forge_core.features.quantized import block_size, open_quantized, quantize
from forge_core.features.reference import PRICE_FIELDS, FeatureRef
from forge_core.features.registry import get_feature
from forge_core.features.version import BARS_VERSION, feature_version
from forge_core.files import canonical_json, check_free_space, content_hash
from forge_core.market.bars.model import resample_bars, trade_days
from forge_core.market.futures.adjustment import RollAdjustment
from forge_core.market.reference.instruments import Instrument, Session, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home

__all__ = [
    "OPEN_MAPS",
    "Bank",
    "BankStats",
    "BuildReport",
    "PruneReport",
    "StoredColumn",
    "bank_contents",
    "bank_stats",
    "prune_bank",
]

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 2.0
_COLUMN_OVERHEAD = 5_000  # bytes of a file besides its numbers: description, footer, alignment

_MAPS_SHARE = 4  # OPEN_MAPS uses up to 1/4 of the memory and of the maps that a process may have
_USUAL_MAP_LIMIT = 65_530


def _open_maps() -> LruArrays:
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))
    except (OSError, ValueError):  # another system than Linux
        limit = _USUAL_MAP_LIMIT
    max_bytes = psutil.virtual_memory().total // _MAPS_SHARE
    return LruArrays(max_bytes, least_bytes=max_bytes // max(limit // _MAPS_SHARE, 1))


OPEN_MAPS = _open_maps()
"""Cache of the mapped columns of this process, over all its banks, up to a quarter of the memory.

A search of level 5 on four years of 15m bars reads about 1,600 columns of 1.4 MB. A column that is not cached is mapped
again for each evaluation. Mapped pages are part of the page cache, which all processes share, and are evicted when
memory is short.
"""


@dataclass(frozen=True)
class BuildReport:
    """Result of ``Bank.build``: columns requested, columns computed, and the time taken."""

    asked: int
    computed: int
    seconds: float


class _Entry(NamedTuple):
    """One file of the bank: its path, and its content described in canonical JSON."""

    path: Path
    description: str


class BarsVersion(Protocol):
    """Bars of one symbol that do not change: a dataset version, or the series of a mass test."""

    @property
    def name(self) -> str:
        """Name of the bars, for messages."""
        ...

    @property
    def content_hash(self) -> str:
        """Hash of all bars."""
        ...

    @property
    def instrument(self) -> Instrument:
        """Instrument of the bars."""
        ...

    @property
    def timeframes(self) -> Sequence[str]:
        """Labels of the timeframes that ``bars`` has, finest first."""
        ...

    @property
    def adjustment(self) -> RollAdjustment | None:
        """Adjustment of the bars for features, None for traded prices."""
        ...

    @property
    def references(self) -> Mapping[str, int]:
        """Other symbols for features, with their largest age in missing bars."""
        ...

    def bars(self, timeframe: str) -> pd.DataFrame:
        """Return the bars of one timeframe."""
        ...

    def reference_bars(self, symbol: str, timeframe: str) -> pd.DataFrame:
        """Return the bars of another symbol."""
        ...


class Bank(LazyColumns):
    """Columns of one version of bars for one execution timeframe, one file each.

    A file is ``<home>/features/<dataset hash>/<feature hash>.npy``: the values, followed by their codes
    (``features.quantized``). The feature hash covers the dataset hash, the execution timeframe, the reference and the
    version of the code that computes it (``features.version``). The file also contains these (``bank_contents`` lists
    them). The first process that needs a column computes it and renames its file into place. A damaged file is computed
    again. If the folder cannot be written, the columns are kept in memory.

    The execution bars and those of the coarser timeframes in use are stored too, as ``bars-<hash>.npy``. A timeframe
    that is not in the dataset is resampled from its finest. For a dated future these are the bars that features are
    computed from, by default without the gaps between contracts; ``traded_bars`` are those with the prices of fills.
    """

    def __init__(
        self, version: BarsVersion, execution: str, home: Home | None = None, *, recent: LruArrays = OPEN_MAPS
    ) -> None:
        self.version = version
        self.folder = bank_folder(home or Home.current(), version.content_hash)
        session = version.instrument.session
        self._adjustment = version.adjustment
        self._references = version.references
        owner = f"{self.folder} {execution} {session.model_dump_json()} {version.instrument.calendar} {registrations()}"
        super().__init__(Timeframe.parse(execution), session, version.instrument.calendar, recent, owner)
        self._native = {Timeframe.parse(label).microseconds: label for label in version.timeframes}
        self._verified: set[str] = set()
        self._warned = False

    def build(self, references: Iterable[FeatureRef], log: Callable[[str], None] | None = None) -> BuildReport:
        """Compute every column of ``references`` that is not stored yet, in order; ``log`` receives the progress.

        Raises, before any work, PlayError for an invalid feature or one finer than the execution timeframe, and
        DataError if the disk has no room for the columns.
        """
        wanted = list(dict.fromkeys(references))
        for reference in wanted:
            definition = get_feature(reference.name)
            definition.output(reference.output)
            definition.resolve(dict(reference.params))
            feature_timeframe(reference, self.execution)
        missing = sum(not self._column_entry(reference).path.exists() for reference in wanted)
        if missing:
            count = len(self.bars(self.execution))
            column = 8 * (count + block_size(count)) + _COLUMN_OVERHEAD
            check_free_space(self.folder, missing * column, f"the bank of {self.version.name} ({missing} columns)")
        began = last_logged = time.monotonic()
        computed = 0
        for count, reference in enumerate(wanted, 1):
            with self._lock(reference):
                if self._open_column(reference) is None:
                    self._compute(reference)
                    computed += 1
            if log and (time.monotonic() - last_logged >= _PROGRESS_SECONDS or count == len(wanted)):
                last_logged = time.monotonic()
                log(f"{self.version.name} {self.execution}: {count} of {len(wanted)} columns, {computed} computed")
        return BuildReport(len(wanted), computed, time.monotonic() - began)

    def trade_days(self) -> Integers:
        """Return the trade date of each execution bar by the instrument's session, days since 1970-01-01 (int64)."""
        entry = self._bars_entry("day", self.execution, session=True)
        stored = self._open(entry, np.int64)
        if stored is None:
            index = pd.to_datetime(self.bars(self.execution).time, unit="us", utc=True)
            stored = self._store(entry, NpyArray(trade_days(index, self._session), NOTHING))
        return stored.data

    def _produce(self, reference: FeatureRef) -> dict[FeatureRef, Column]:
        stored = self._open_column(reference)
        return self._compute(reference) if stored is None else {reference: stored}

    def _compute(self, reference: FeatureRef) -> dict[FeatureRef, Column]:
        return {
            key: _column(self._store(self._column_entry(key), NpyArray(values, quantize(values))))
            for key, values in self._computed(reference).items()
        }

    def _open_column(self, reference: FeatureRef) -> Column | None:
        count = len(self.bars(self.execution))
        stored = self._open(self._column_entry(reference), np.float64, size=count, extra=block_size(count))
        return None if stored is None else _column(stored)

    def traded_bars(self) -> BarArrays:
        """Return the execution bars at traded prices; those of features may have no gaps between contracts."""
        if self._adjustment is None:
            return self.bars(self.execution)
        return self._arrays("traded ", self.execution, lambda: self._frame(self.execution, self.version.bars))

    @property
    def references(self) -> Mapping[str, int]:
        """Other symbols that features can be computed from, with their largest age in missing bars."""
        return self._references

    def _load_reference(self, symbol: str, timeframe: Timeframe) -> BarArrays:
        def load(label: str) -> pd.DataFrame:
            return self.version.reference_bars(symbol, label)

        session = get_instrument(symbol).session
        prefix = f"{symbol} {session.model_dump_json()} "
        return self._arrays(prefix, timeframe, lambda: self._frame(timeframe, load, session))

    def _load_bars(self, timeframe: Timeframe) -> BarArrays:
        return self._arrays("", timeframe, lambda: self._frame(timeframe, self._seen))

    def _arrays(self, prefix: str, timeframe: Timeframe, frame: Callable[[], pd.DataFrame]) -> BarArrays:
        """Open the bars stored under ``prefix``, or store those of ``frame``."""
        resampled = timeframe.microseconds not in self._native
        entries = {
            field: self._bars_entry(prefix + field, timeframe, session=resampled) for field in ("time", *PRICE_FIELDS)
        }
        opened = {field: self._open(entry, _bar_dtype(field)) for field, entry in entries.items()}
        arrays = {field: array.data for field, array in opened.items() if array is not None}
        if len(arrays) < len(entries):
            loaded = BarArrays.of(frame(), timeframe)
            values = {"time": loaded.time, **loaded.fields}
            arrays = {
                field: self._store(entry, NpyArray(values[field], NOTHING)).data for field, entry in entries.items()
            }
        return BarArrays(timeframe, arrays["time"], {field: arrays[field] for field in PRICE_FIELDS})

    def _frame(
        self, timeframe: Timeframe, bars: Callable[[str], pd.DataFrame], session: Session | None = None
    ) -> pd.DataFrame:
        """Return the bars of ``timeframe``, resampled if necessary; ``bars`` loads a timeframe of the dataset."""
        label = self._native.get(timeframe.microseconds)
        if label is not None:
            return bars(label)
        finest = self._native[min(self._native)]
        if timeframe < Timeframe.parse(finest):
            raise DataError(f"dataset {self.version.name} has no {timeframe} bars: its finest timeframe is {finest}")
        return resample_bars(bars(finest), timeframe, session=session or self._session)

    def _seen(self, label: str) -> pd.DataFrame:
        """Return the dataset's bars that features are computed from, adjusted for contract rolls."""
        bars, timeframe = self.version.bars(label), Timeframe.parse(label)
        if self._adjustment is None:
            return bars
        finest = self._native[min(self._native)]
        finer = None if label == finest else (self.version.bars(finest), Timeframe.parse(finest))
        return self._adjustment.adjusted(bars, timeframe, finer)

    def _column_entry(self, reference: FeatureRef) -> _Entry:
        used = {self.execution.microseconds, Timeframe.parse(reference.timeframe).microseconds}
        definition = get_feature(reference.name)
        by_clock = definition.kind == "calendar"
        return self._entry(
            **({"calendar": self._calendar} if by_clock else {}),
            **({"reference": get_instrument(reference.symbol).session.model_dump_json()} if reference.symbol else {}),
            session=by_clock or not used <= self._native.keys(),
            execution=self.execution.label,
            feature=reference.canonical,
            version=feature_version(definition.name),
        )

    def _bars_entry(self, field: str, timeframe: Timeframe, *, session: bool) -> _Entry:
        return self._entry("bars-", session=session, bars=field, timeframe=timeframe.label, version=BARS_VERSION)

    def _entry(self, prefix: str = "", *, session: bool, **content: str) -> _Entry:
        """Return the file of a content; ``session`` adds the session to its hash where the numbers depend on it."""
        description: dict[str, object] = {"dataset": self.version.content_hash, **content}
        if session:
            description["session"] = self._session.model_dump()
        text = canonical_json(description)
        return _Entry(self.folder / f"{prefix}{content_hash(text)}.npy", text)

    def _open(self, entry: _Entry, dtype: type, *, size: int | None = None, extra: int = 0) -> NpyArray | None:
        """Map the array of ``entry``, or return None when it is missing or damaged.

        The first time, its hash is checked and its time of use is updated for pruning.
        """
        known = entry.path.name in self._verified
        try:
            stored = open_array(entry.path, dtype, entry.description, size=size, extra=extra, verify=not known)
        except FileNotFoundError:
            return None
        except (DamagedArray, OSError) as error:
            logger.warning("%s cannot be read (%s); computing it again", entry.path, error)
            return None
        if not known:
            self._verified.add(entry.path.name)
            with suppress(OSError):
                os.utime(entry.path)
        return stored

    def _store(self, entry: _Entry, array: NpyArray) -> NpyArray:
        """Write ``array``, unless another process has written it, and return the map; on failure the array itself."""
        expected = {"size": array.data.size, "extra": array.extra.size}
        dtype = array.data.dtype.type
        stored = self._open(entry, dtype, **expected)
        if stored is not None:
            return stored
        try:
            write_array(entry.path, array, entry.description)
            stored = open_array(entry.path, dtype, entry.description, **expected, verify=False)
        except (DamagedArray, DataError, OSError) as error:
            if not self._warned:
                self._warned = True
                cause = error.__cause__ or error
                logger.warning("%s cannot be written (%s); columns are kept in memory", entry.path, cause)
            return NpyArray(*(read_only(part) for part in array))
        self._verified.add(entry.path.name)
        return stored


def _column(stored: NpyArray) -> Column:
    return Column(stored.data, open_quantized(stored.extra, stored.data.size))


def _bar_dtype(field: str) -> type:
    return np.int64 if field == "time" else np.float64
