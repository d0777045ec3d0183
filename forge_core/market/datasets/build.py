"""Datasets: named market regimes cut from the store and exported as files that never change."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from forge_core.errors import DataError, ForgeError
from forge_core.files import write_json, write_table
from forge_core.market.bars.funding import FUNDING_FILE, funding_table
from forge_core.market.bars.model import BAR_COLUMNS, MIN_ROWS, bars_hash, find_gaps, resample_bars, validate_bars
from forge_core.market.datasets.dataset_funding import dataset_funding, funding_entry, lacks_funding
from forge_core.market.datasets.versions import (
    MANIFEST,
    DatasetVersion,
    bars_file,
    bars_table,
    latest_version,
    manifest_hash,
    open_version,
    record_version,
)
from forge_core.market.futures.adjustment import RollAdjustment
from forge_core.market.futures.roll_dates import RollDates, load_roll_dates
from forge_core.market.futures.rolls import roll_doubt
from forge_core.market.reference.catalog import LEAD_IN, DatasetSpec, get_dataset_spec
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import FILES
from forge_core.market.sources.refresh import acquisition_hint, refresh_bars
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

__all__ = ["LEAD_IN", "DatasetVersion", "build_dataset", "ensure_dataset", "latest_version", "open_version"]

_BUILDING = ".building-"
_CLOSED_AT_MOST = pd.Timedelta(days=7)  # allowed time without bars at either end of the period
_NATIVE_SHARE = 0.99  # of the bars that resampling gives, to count as covering the period


def ensure_dataset(name: str, home: Home | None = None, log: Callable[[str], None] | None = None) -> DatasetVersion:
    """Open the latest version of a dataset; build it if there is none, with missing bars from the symbol's source.

    ``log`` gets a line per step. Raises ConfigError for an unknown name, and DataError if bars are not available (with
    the command that imports them) or invalid, or the version on disk is damaged.
    """
    home = home or Home.current()
    spec = get_dataset_spec(name)
    if (version := latest_version(name, home)) is not None:
        return version
    failure = fetch_missing_bars(spec, home, log=log)
    with BarStore(home.store) as store:
        version = build_dataset(spec, store, home, failure)
    if log:
        rows = ", ".join(f"{entry['rows']} {label}" for label, entry in version.manifest["timeframes"].items())
        log(f"{name}: version {version.content_hash} built ({rows} bars)")
    return version


def fetch_missing_bars(
    spec: DatasetSpec, home: Home, *, wait: float = 5.0, log: Callable[[str], None] | None = None
) -> ForgeError | None:
    """Import missing bars of a dataset from the import folder, and those of the traded timeframe from the symbol's
    source; coarser timeframes can be resampled.

    Returns the error of a failure instead of raising it: the store may have enough bars, which ``build_dataset``
    checks. ``wait``: seconds to wait for another process to close the store.
    """
    for symbol in spec.references:
        failure = fetch_missing_bars(_of_reference(spec, symbol), home, wait=wait, log=log)
        if failure is not None:
            return failure
    instrument = get_instrument(spec.symbol)
    with BarStore(home.store, wait=wait) as store:
        missing = [label for label in spec.timeframes if not _spans(store.span(spec.symbol, label), spec, label)]
        unfunded = instrument.kind == "perpetual" and lacks_funding(spec, store)
    if not missing and not unfunded:
        return None
    only = None if spec.timeframes[0] in missing or unfunded else FILES
    try:
        refresh_bars(instrument, home, dataset=spec, only=only, wait=wait, log=log)
    except ForgeError as error:
        return error
    return None


def build_dataset(
    spec: DatasetSpec, store: BarStore, home: Home | None = None, failure: ForgeError | None = None
) -> DatasetVersion:
    """Build a dataset from the store and export it atomically to ``<home>/datasets/<name>/<hash>/``.

    If the same content was built before, its folder is returned unchanged. Raises the errors of ``cut_dataset``.
    """
    home = home or Home.current()
    return _export(cut_dataset(spec, store, home, failure), home)


class DatasetDraft(NamedTuple):
    """A dataset from the current store, not yet exported: manifest, bars by timeframe, funding rates, and bars of other
    symbols by symbol and timeframe."""

    manifest: dict[str, Any]
    bars: dict[str, pd.DataFrame]
    rates: "pd.Series[float] | None"
    references: Mapping[tuple[str, str], pd.DataFrame] = MappingProxyType({})

    @property
    def content_hash(self) -> str:
        """The hash of the version it would be."""
        return manifest_hash(self.manifest)


def cut_dataset(spec: DatasetSpec, store: BarStore, home: Home, failure: ForgeError | None = None) -> DatasetDraft:
    """Return the draft of a dataset from the store.

    Each timeframe has the bars that open and close within [start, end) and up to ``LEAD_IN`` bars before. Coarser
    timeframes are the store's own if these cover the period, else resampled from all execution bars before the end.
    Bars after the end are not used.

    Raises DataError if the store does not cover the period (except for ``_CLOSED_AT_MOST`` at either end; the message
    then quotes ``failure``, the error of the import), for fewer than ``MIN_ROWS`` execution bars, for a timeframe
    without bars in the period, for a perpetual with missing funding rates, or for a future without roll dates.
    """
    instrument = get_instrument(spec.symbol)
    exported, entries = _cut_bars(spec, store, home, failure)
    manifest = {
        "name": spec.name,
        **spec.model_dump(include={"symbol", "regime", "characteristics"}),
        "start": spec.start.isoformat(),
        "end": spec.end.isoformat(),
        "schema": {"timestamp": "open time, UTC, microseconds"} | dict.fromkeys(BAR_COLUMNS, "float64"),
        "timeframes": entries,
    }
    references: dict[tuple[str, str], pd.DataFrame] = {}
    for symbol, reference in spec.references.items():
        bars, described = _cut_bars(_of_reference(spec, symbol), store, home, failure)
        for label, entry in described.items():
            entry["file"] = bars_file(label, symbol)
            references[symbol, label] = bars[label]
        manifest.setdefault("references", {})[symbol] = {"max_age": reference.max_age, "timeframes": described}
    rates = None
    if instrument.kind == "perpetual":
        rates = dataset_funding(spec, store)
        manifest["funding"] = funding_entry(spec, store, rates)
    if instrument.kind == "future":
        manifest["rolls"] = _rolls(spec, exported, load_roll_dates(home))
    return DatasetDraft(manifest, exported, rates, references)


def _of_reference(spec: DatasetSpec, symbol: str) -> DatasetSpec:
    """Return the same period of another symbol."""
    return spec.model_copy(update={"symbol": symbol, "references": {}})


def _cut_bars(
    spec: DatasetSpec, store: BarStore, home: Home, failure: ForgeError | None
) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, Any]]]:
    """Return the bars of each timeframe of a dataset's symbol, and their entries in the manifest."""
    instrument = get_instrument(spec.symbol)
    execution = Timeframe.parse(spec.timeframes[0])
    all_bars = store.read(spec.symbol, execution.label, end=spec.end)
    _check_covered(all_bars, spec, instrument, home, failure)
    exported: dict[str, pd.DataFrame] = {}
    entries: dict[str, dict[str, Any]] = {}
    for label in spec.timeframes:
        timeframe = Timeframe.parse(label)
        native, bars = True, all_bars
        if timeframe != execution:
            bars, native = _coarser(all_bars, store.read(spec.symbol, label, end=spec.end), timeframe, spec, instrument)
        bars, lead_in = _cut(bars, timeframe, spec)
        if len(bars) == lead_in:
            raise DataError(f"dataset {spec.name}: there is no complete {label} bar in its period")
        if timeframe == execution and len(bars) < MIN_ROWS:
            raise DataError(
                f"dataset {spec.name}: {len(bars)} {label} bars ({lead_in} of them lead-in) are too few to test on; "
                f"at least {MIN_ROWS} are needed"
            )
        validate_bars(bars, symbol=spec.symbol, timeframe=label, instrument=instrument)
        sources = store.sources(spec.symbol, label if native else execution.label, bars.index[0], spec.end)
        exported[label] = bars
        entries[label] = {
            "file": bars_file(label),
            "rows": len(bars),
            "lead_in_rows": lead_in,
            "first": bars.index[0].isoformat(),
            "last": bars.index[-1].isoformat(),
            "origin": "native" if native else f"resampled from {execution}",
            "sources": sources,
            "gaps": _describe_gaps(find_gaps(bars, timeframe, instrument.session)),
            "hash": bars_hash(bars),
        }
    return exported, entries


def _rolls(spec: DatasetSpec, bars: dict[str, pd.DataFrame], dates: RollDates) -> dict[str, Any]:
    """Return the manifest's entry of the contract rolls in the exported bars; raise DataError if none are known."""
    roll_dates = dates.of(spec.symbol)
    first = min(frame.index[0] for frame in bars.values())
    within = roll_dates[(roll_dates > first) & (roll_dates < pd.Timestamp(spec.end))]
    origin = dates.origin(spec.symbol)
    traded = bars[spec.timeframes[0]]
    levels = None
    if spec.adjust != "none":
        anchor = traded.index[int(traded.index.searchsorted(pd.Timestamp(spec.start)))]
        levels = RollAdjustment.measure(bars, within, anchor=anchor, instrument=get_instrument(spec.symbol)).document()
    return {
        "adjust": spec.adjust,
        "levels": levels,
        "times": [time.isoformat() for time in within],
        "origin": origin,
        "doubt": roll_doubt(traded, within, spec.name, origin),
    }


def _cut(bars: pd.DataFrame, timeframe: Timeframe, spec: DatasetSpec) -> tuple[pd.DataFrame, int]:
    """Return the lead-in and the bars of the period, and the number of lead-in bars."""
    before = bars[bars.index < spec.start].tail(LEAD_IN)
    return pd.concat([before, _inside(bars, timeframe, spec)]), len(before)


def _inside(bars: pd.DataFrame, timeframe: Timeframe, spec: DatasetSpec) -> pd.DataFrame:
    """Return the bars that open and close in the period, so that consecutive datasets share no moment."""
    last_open = pd.Timestamp(spec.end) - timeframe.timedelta
    return bars[(bars.index >= spec.start) & (bars.index <= last_open)]


def _coarser(
    execution_bars: pd.DataFrame, native: pd.DataFrame, timeframe: Timeframe, spec: DatasetSpec, instrument: Instrument
) -> tuple[pd.DataFrame, bool]:
    """Return the bars of a coarser timeframe, and whether they are the store's own."""
    resampled = resample_bars(execution_bars, timeframe, session=instrument.session)
    own, made = _inside(native, timeframe, spec), _inside(resampled, timeframe, spec)
    if own.empty or made.empty:
        return (resampled, False) if own.empty else (native, True)
    covers = own.index[0] <= made.index[0] and own.index[-1] >= made.index[-1]
    return (native, True) if covers and len(own) >= _NATIVE_SHARE * len(made) else (resampled, False)


def _spans(span: tuple[pd.Timestamp, pd.Timestamp] | None, spec: DatasetSpec, label: str) -> bool:
    """Whether bars from the first to the last of ``span`` cover the whole period."""
    length = Timeframe.parse(label).timedelta
    return (
        span is not None
        and span[0] <= spec.start + _CLOSED_AT_MOST + length
        and span[1] + length >= spec.end - _CLOSED_AT_MOST - length
    )


def _check_covered(
    bars: pd.DataFrame, spec: DatasetSpec, instrument: Instrument, home: Home, failure: ForgeError | None
) -> None:
    """Raise DataError unless the execution bars cover the whole period."""
    label = spec.timeframes[0]
    inside = bars[bars.index >= spec.start]
    if inside.empty or not _spans((inside.index[0], inside.index[-1]), spec, label):
        there = f"those from {bars.index[0]} to {bars.index[-1]}" if len(bars) else "none of them"
        raise DataError(
            f"dataset {spec.name} needs {spec.symbol} {label} bars from {spec.start.date()} to {spec.end.date()}, "
            f"and the store has {there}: {acquisition_hint(instrument, label, home)}"
            + (f" ({failure})" if failure else "")
        )


def _describe_gaps(gaps: pd.DataFrame) -> dict[str, Any]:
    """Return gaps in the form of the manifest."""
    listed = [
        {"start": start.isoformat(), "end": end.isoformat(), "missing": int(missing)}
        for start, end, missing in gaps.itertuples(index=False)
    ]
    return {"count": len(listed), "missing": int(gaps["missing"].sum()), "list": listed}


def _export(cut: DatasetDraft, home: Home) -> DatasetVersion:
    """Write a version into a temporary folder and rename it, unless the version exists already."""
    name, version_hash = cut.manifest["name"], cut.content_hash
    folder = home.dataset(name)
    if not (folder / version_hash).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_BUILDING}*"):  # of killed processes; others cannot build now
            shutil.rmtree(leftover)
        building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=folder))
        try:
            for label, table in cut.bars.items():
                write_table(building / bars_file(label), bars_table(table))
            for (symbol, label), table in cut.references.items():
                write_table(building / bars_file(label, symbol), bars_table(table))
            if cut.rates is not None:
                write_table(building / FUNDING_FILE, funding_table(cut.rates))
            write_json(building / MANIFEST, {**cut.manifest, "content_hash": version_hash})
            building.chmod(0o755)
            building.rename(folder / version_hash)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    version = open_version(name, version_hash, home)
    record_version(folder, version_hash)
    return version
