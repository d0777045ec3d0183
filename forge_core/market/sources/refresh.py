"""Refresh of a symbol's stored bars from its sources."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import filelock
import pandas as pd

from forge_core.errors import ConfigError, DataError, ForgeError
from forge_core.market.importing.importer import SUFFIXES
from forge_core.market.reference.catalog import DatasetSpec, load_catalog
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import (
    FILES,
    FUNDING,
    Fetched,
    FetchedFunding,
    FundingSource,
    Log,
    Request,
    Source,
    open_source,
)
from forge_core.market.sources.providers.files import import_new_files
from forge_core.market.store.bar_store import BarStore
from forge_core.market.store.upsert import UpsertReport
from forge_core.paths import Home, safe_name

RECHECK = pd.Timedelta(days=7)
"""Period for which a refresh checks whether the source has revised ingested files."""

_LONGEST_WAIT = 3600.0  # seconds to wait for another refresh of the same symbol
_BEGINNING, _FAR = pd.Timestamp(0, tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_FUNDING_INTERVAL = Timeframe.parse("8h")


class _Result(NamedTuple):
    """Result of one request; ``series`` is a timeframe or ``funding``."""

    series: str
    fetched: Fetched | FetchedFunding


class _Selection(NamedTuple):
    """Arguments of ``refresh_bars`` for each source, with the same defaults for None."""

    timeframes: frozenset[str] | None
    since: pd.Timestamp | None
    dataset: DatasetSpec | None
    recheck: pd.Timedelta | None
    now: pd.Timestamp


def refresh_bars(
    instrument: Instrument,
    home: Home,
    *,
    timeframes: Iterable[str] | None = None,
    since: pd.Timestamp | None = None,
    dataset: DatasetSpec | None = None,
    only: str | None = None,
    recheck: pd.Timedelta | None = RECHECK,
    now: pd.Timestamp | None = None,
    wait: float = 5.0,
    log: Log | None = None,
) -> list[UpsertReport]:
    """Store the missing bars of one symbol: from files of the import folder first, then from its source.

    A source on demand gets requests for the timeframes that the catalog's datasets declare or the store has (or
    ``timeframes``), from the lead-in of the earliest dataset (or ``since``) to ``now``; with ``dataset``, for the
    timeframes and the period of that dataset only. ``only`` is the name of the only source to use. The store is closed
    during downloads. A second refresh of the same symbol waits for the first. ``wait``: seconds to wait for another
    process to close the store, each time.

    Raises ForgeError if something failed. The result of a source on demand is stored as a whole or not at all. Valid
    files are stored even if others are refused, and one source even if the other fails.
    """
    log = log or (lambda line: None)
    labels = frozenset(timeframes) if timeframes is not None else frozenset(dataset.timeframes) if dataset else None
    selection = _Selection(labels, since, dataset, recheck, now or pd.Timestamp.now("UTC"))
    reports: list[UpsertReport] = []
    failures: list[ForgeError] = []
    available: set[str] = set()
    with _refresh_lock(instrument.symbol, home, log):
        for name in [only] if only else dict.fromkeys([FILES, instrument.source]):
            try:
                if name == FILES:
                    reports += import_new_files(instrument.symbol, home, failures, log)
                    continue
                source = open_source(name, instrument, home)
                available.update(source.timeframes())
                reports += _refresh_from(source, name, instrument, selection, home.store, wait, failures, log)
            except ForgeError as error:
                failures.append(error)
    if available and not failures and timeframes is not None and (unknown := sorted(set(timeframes) - available)):
        names = ", ".join(sorted(available, key=Timeframe.parse))
        raise ConfigError(f"{instrument.symbol}: no source has {unknown[0]} bars; available: {names}")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise DataError("; ".join(str(failure) for failure in failures)) from failures[0]
    return reports


def acquisition_hint(instrument: Instrument, timeframe: str, home: Home) -> str:
    """Return the command that imports bars which neither the store nor the symbol's source has."""
    command = f"forge import FILE --symbol {instrument.symbol} --timeframe {timeframe}"
    if instrument.source == FILES:
        return f"put {instrument.symbol}_{timeframe}{SUFFIXES[0]} (or .csv) into {home.imports} or run `{command}`"
    return f"import them with `{command}`"


@contextmanager
def _refresh_lock(symbol: str, home: Home, log: Log) -> Iterator[None]:
    """Hold the refresh lock of a symbol; the operating system releases it if this process is killed."""
    folder = home.downloads / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{safe_name(symbol, 'symbol')}.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log(f"{symbol}: waiting for another refresh of this symbol")
            lock.acquire(timeout=_LONGEST_WAIT)
    except filelock.Timeout as error:
        raise DataError(
            f"{symbol}: another refresh of it has run for {_LONGEST_WAIT / 60:.0f} minutes: stop it or try later"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _refresh_from(
    source: Source,
    name: str,
    instrument: Instrument,
    selection: _Selection,
    path: Path,
    wait: float,
    failures: list[ForgeError],
    log: Log,
) -> list[UpsertReport]:
    """Fetch the missing bars from one source and store them; the store is closed while fetching."""
    if not source.timeframes():
        return []
    with BarStore(path, wait=wait) as store:
        requests = _requests(source, name, instrument, selection, store)
    results = _fetch(source, requests, failures, log)
    if not results:
        return []
    with BarStore(path, wait=wait) as store:
        return _store(results, name, instrument.symbol, store, log)


def _requests(
    source: Source, name: str, instrument: Instrument, selection: _Selection, store: BarStore
) -> dict[str, Request]:
    """Return the requests to a source: one per timeframe, and one for funding rates if it has them."""
    symbol = instrument.symbol
    recheck = None if selection.recheck is None else selection.now - selection.recheck
    requests = {}
    for label in _labels(source, symbol, selection, store):
        start, end = _period(symbol, label, selection, store) if source.on_demand else (_BEGINNING, _FAR)
        stored, ingested = store.open_times(symbol, label, start, end), store.ingested_files(symbol, label, name)
        requests[label] = Request(Timeframe.parse(label), start, end, selection.now, stored, ingested, recheck)
    if requests and isinstance(source, FundingSource) and instrument.kind == "perpetual":
        start, end = min(r.start for r in requests.values()), max(r.end for r in requests.values())
        paid, ingested = (
            microseconds(store.funding(symbol, start, end).index),
            store.ingested_files(symbol, FUNDING, name),
        )
        requests[FUNDING] = Request(_FUNDING_INTERVAL, start, end, selection.now, paid, ingested, recheck)
    return requests


def _labels(source: Source, symbol: str, selection: _Selection, store: BarStore) -> list[str]:
    """Return the timeframes to request from a source, finest first."""
    wanted = selection.timeframes
    if wanted is None and source.on_demand:
        coverage = store.coverage()
        known = set(coverage.loc[coverage["symbol"] == symbol, "timeframe"])
        wanted = frozenset(known.union(*(spec.timeframes for spec in _datasets_of(symbol))))
    return [label for label in source.timeframes() if wanted is None or label in wanted]


def _period(symbol: str, label: str, selection: _Selection, store: BarStore) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return start and end of the request to a source on demand."""
    if selection.dataset is not None:
        return selection.dataset.lead_in_start(label), min(pd.Timestamp(selection.dataset.end), selection.now)
    if selection.since is not None:
        return selection.since, selection.now
    specs = _datasets_of(symbol)
    named = [spec for spec in specs if label in spec.timeframes]
    starts = [spec.lead_in_start(label) for spec in named or specs]
    if not named and (span := store.span(symbol, label)) is not None:
        starts = [span[0]]
    if not starts:
        raise ConfigError(f"{symbol} {label}: no dataset of the catalog declares a start: give a date with --since")
    return min(starts), selection.now


def _fetch(source: Source, requests: Mapping[str, Request], failures: list[ForgeError], log: Log) -> list[_Result]:
    """Fetch all requests from a source; raise its error if it is on demand, else collect the error in ``failures``."""
    results: list[_Result] = []
    for series, request in requests.items():
        try:
            fetch = source.fetch_funding if series == FUNDING and isinstance(source, FundingSource) else source.fetch
            results += [_Result(series, fetched) for fetched in fetch(request, log)]
        except ForgeError as error:
            if source.on_demand:
                raise
            failures.append(error)
    return results


def _store(results: list[_Result], source: str, symbol: str, store: BarStore, log: Log) -> list[UpsertReport]:
    """Store all results or none, and record their files as ingested."""
    reports = []
    with store.transaction():
        for series, fetched in results:
            if isinstance(fetched, FetchedFunding):
                incoming, upsert = len(fetched.rates), partial(store.upsert_funding, symbol, fetched.rates)
            else:
                incoming = len(fetched.bars)
                upsert = partial(store.upsert, symbol, series, fetched.bars, revise=fetched.revision)
            if incoming:
                reports.append(upsert(source=fetched.origin))
            store.record_ingested(symbol, series, source, fetched.parts)
    for report in reports:
        log(str(report))
    for _, fetched in results:
        for path in fetched.spent:
            path.unlink(missing_ok=True)
    return reports


def _datasets_of(symbol: str) -> list[DatasetSpec]:
    return [spec for spec in load_catalog().values() if spec.symbol == symbol]
