"""Refreshing: asking the sources of a symbol for what the store lacks."""

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
from forge_core.market.sources.providers.files import take_files
from forge_core.market.store.bar_store import BarStore
from forge_core.market.store.upsert import UpsertReport
from forge_core.paths import Home, safe_name

RECHECK = pd.Timedelta(days=7)
"""How far back a refresh asks whether the source has revised what was taken from it."""

_LONGEST_WAIT = 3600.0  # seconds for another refresh of the same symbol
_BEGINNING, _FAR = pd.Timestamp(0, tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_FUNDING_INTERVAL = Timeframe.parse("8h")


class _Brought(NamedTuple):
    """What one request brought: ``series`` is a timeframe or ``funding``."""

    series: str
    fetched: Fetched | FetchedFunding


class _Wish(NamedTuple):
    """What is wanted of each source; None stands for what ``refresh_bars`` says of its arguments."""

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
    """Put into the store what it lacks of one symbol: files of the import folder first, then what its source has.

    A source of downloads is asked for the timeframes that the catalog's datasets name or the store has (or for
    ``timeframes``), from the lead-in of the earliest dataset (or ``since``) to ``now``; with ``dataset``, for the
    timeframes and the period of that one alone. ``only`` names the one source to be asked. The store is not held open
    meanwhile; a second refresh of the same symbol waits for the first. ``wait`` is how many seconds to wait for another
    process to let go of the store, each time.

    Raises ForgeError saying what failed. What a source of downloads gives is stored as a whole or not at all; good
    files are stored also when others are refused, and one source also when the other fails.
    """
    log = log or (lambda line: None)
    labels = frozenset(timeframes) if timeframes is not None else frozenset(dataset.timeframes) if dataset else None
    wish = _Wish(labels, since, dataset, recheck, now or pd.Timestamp.now("UTC"))
    reports: list[UpsertReport] = []
    failures: list[ForgeError] = []
    offered: set[str] = set()
    with _alone(instrument.symbol, home, log):
        for name in [only] if only else dict.fromkeys([FILES, instrument.source]):
            try:
                if name == FILES:
                    reports += take_files(instrument.symbol, home, failures, log)
                    continue
                source = open_source(name, instrument, home)
                offered.update(source.timeframes())
                reports += _refresh_from(source, name, instrument, wish, home.store, wait, failures, log)
            except ForgeError as error:
                failures.append(error)
    if offered and not failures and timeframes is not None and (unknown := sorted(set(timeframes) - offered)):
        names = ", ".join(sorted(offered, key=Timeframe.parse))
        raise ConfigError(f"{instrument.symbol}: no source has {unknown[0]} bars; there are {names}")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise DataError("; ".join(str(failure) for failure in failures)) from failures[0]
    return reports


def acquisition_hint(instrument: Instrument, timeframe: str, home: Home) -> str:
    """Return what the user can do to get bars that the store and the symbol's source lack."""
    command = f"forge import FILE --symbol {instrument.symbol} --timeframe {timeframe}"
    if instrument.source == FILES:
        return f"put {instrument.symbol}_{timeframe}{SUFFIXES[0]} (or .csv) into {home.imports} or run `{command}`"
    return f"import them with `{command}`"


@contextmanager
def _alone(symbol: str, home: Home, log: Log) -> Iterator[None]:
    """Keep other refreshes of a symbol out; the operating system lets go of the lock if this process is killed."""
    folder = home.downloads / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{safe_name(symbol, 'symbol')}.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log(f"{symbol}: another refresh of it is under way; waiting for it")
            lock.acquire(timeout=_LONGEST_WAIT)
    except filelock.Timeout as error:
        raise DataError(
            f"{symbol}: another refresh of it has gone on for {_LONGEST_WAIT / 60:.0f} minutes; stop it, or try later"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _refresh_from(
    source: Source,
    name: str,
    instrument: Instrument,
    wish: _Wish,
    path: Path,
    wait: float,
    failures: list[ForgeError],
    log: Log,
) -> list[UpsertReport]:
    """Ask one source, and store what it gives; the store is open only before and after."""
    if not source.timeframes():
        return []
    with BarStore(path, wait=wait) as store:
        requests = _requests(source, name, instrument, wish, store)
    brought = _ask(source, requests, failures, log)
    if not brought:
        return []
    with BarStore(path, wait=wait) as store:
        return _keep(brought, name, instrument.symbol, store, log)


def _requests(source: Source, name: str, instrument: Instrument, wish: _Wish, store: BarStore) -> dict[str, Request]:
    """Return what to ask of a source: a request a timeframe, and one for funding where it has that."""
    symbol = instrument.symbol
    recheck = None if wish.recheck is None else wish.now - wish.recheck
    requests = {}
    for label in _labels(source, symbol, wish, store):
        start, end = _period(symbol, label, wish, store) if source.on_demand else (_BEGINNING, _FAR)
        stored, ingested = store.open_times(symbol, label, start, end), store.ingested_files(symbol, label, name)
        requests[label] = Request(Timeframe.parse(label), start, end, wish.now, stored, ingested, recheck)
    if requests and isinstance(source, FundingSource) and instrument.kind == "perpetual":
        start, end = min(r.start for r in requests.values()), max(r.end for r in requests.values())
        paid, ingested = (
            microseconds(store.funding(symbol, start, end).index),
            store.ingested_files(symbol, FUNDING, name),
        )
        requests[FUNDING] = Request(_FUNDING_INTERVAL, start, end, wish.now, paid, ingested, recheck)
    return requests


def _labels(source: Source, symbol: str, wish: _Wish, store: BarStore) -> list[str]:
    """Return the timeframes to ask a source for, finest first."""
    wanted = wish.timeframes
    if wanted is None and source.on_demand:
        coverage = store.coverage()
        known = set(coverage.loc[coverage["symbol"] == symbol, "timeframe"])
        wanted = frozenset(known.union(*(spec.timeframes for spec in _datasets_of(symbol))))
    return [label for label in source.timeframes() if wanted is None or label in wanted]


def _period(symbol: str, label: str, wish: _Wish, store: BarStore) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return from when and until when a source on demand is asked for bars."""
    if wish.dataset is not None:
        return wish.dataset.lead_in_start(label), min(pd.Timestamp(wish.dataset.end), wish.now)
    if wish.since is not None:
        return wish.since, wish.now
    specs = _datasets_of(symbol)
    named = [spec for spec in specs if label in spec.timeframes]
    starts = [spec.lead_in_start(label) for spec in named or specs]
    if not named and (span := store.span(symbol, label)) is not None:
        starts = [span[0]]
    if not starts:
        raise ConfigError(f"{symbol} {label}: no dataset of the catalog says from when bars are wanted; name a date")
    return min(starts), wish.now


def _ask(source: Source, requests: Mapping[str, Request], failures: list[ForgeError], log: Log) -> list[_Brought]:
    """Return what a source gives. Of one on demand, that is all that was asked for, or its error is raised."""
    brought: list[_Brought] = []
    for series, request in requests.items():
        try:
            fetch = source.fetch_funding if series == FUNDING and isinstance(source, FundingSource) else source.fetch
            brought += [_Brought(series, fetched) for fetched in fetch(request, log)]
        except ForgeError as error:
            if source.on_demand:
                raise
            failures.append(error)
    return brought


def _keep(brought: list[_Brought], source: str, symbol: str, store: BarStore, log: Log) -> list[UpsertReport]:
    """Store what was brought, all of it or nothing, and note what it came in."""
    reports = []
    with store.transaction():
        for series, fetched in brought:
            if isinstance(fetched, FetchedFunding):
                offered, upsert = len(fetched.rates), partial(store.upsert_funding, symbol, fetched.rates)
            else:
                offered = len(fetched.bars)
                upsert = partial(store.upsert, symbol, series, fetched.bars, revise=fetched.revision)
            if offered:
                reports.append(upsert(source=fetched.origin))
            store.record_ingested(symbol, series, source, fetched.parts)
    for report in reports:
        log(str(report))
    for _, fetched in brought:
        for path in fetched.spent:
            path.unlink(missing_ok=True)
    return reports


def _datasets_of(symbol: str) -> list[DatasetSpec]:
    return [spec for spec in load_catalog().values() if spec.symbol == symbol]
