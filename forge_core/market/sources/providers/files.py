"""The import folder: files that somebody puts there, of any format that can be imported."""

from pathlib import Path

from forge_core.errors import DataError, ForgeError
from forge_core.market.importing.formats.names import name_of_file
from forge_core.market.importing.importer import SUFFIXES, identify, import_files
from forge_core.market.reference.instruments import load_instruments
from forge_core.market.sources.protocol import FILES, Log
from forge_core.market.store.bar_store import BarStore
from forge_core.market.store.upsert import UpsertReport
from forge_core.paths import Home


def take_files(symbol: str, home: Home, failures: list[ForgeError], log: Log) -> list[UpsertReport]:
    """Import the files of one symbol that are new or have changed since they were taken, each as a whole or not at all.

    Adds to ``failures`` why a file was refused; it is tried again the next time, until it is mended or removed.
    """
    files = import_files_in(home.imports)
    if not files:
        return []
    with BarStore(home.store) as store:
        ingested = store.ingested_files(symbol, FILES, FILES)
    reports: list[UpsertReport] = []
    for path in files:
        seen = stamp(path)
        if ingested.get(path.name) == seen or not _is_of(symbol, path):
            continue
        try:
            (report,) = import_files([path], symbol, home=home)
        except ForgeError as error:
            failures.append(error if path.name in str(error) else DataError(f"{path.name}: {error}"))
            continue
        with BarStore(home.store) as store:
            store.record_ingested(symbol, FILES, FILES, {path.name: seen})
        log(f"{report} ({report.told})")
        reports.append(report.stored)
    return reports


def import_files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that could be imported, by name; not hidden ones, as of a copy under way."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in paths if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]


def stamp(path: Path) -> str:
    """Return what changes when a file does, its size and the time of its last change; '' if it is gone."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def symbol_of_file(path: Path) -> str:
    """Return the symbol that a file is of, by its content and name; raises ForgeError where that cannot be told."""
    try:
        return identify(path).symbol
    except ForgeError:
        named = name_of_file(path)  # of a damaged file the name may still tell whose refresh has to say so
        if named is None or named.symbol not in load_instruments():
            raise
        return named.symbol


def _is_of(symbol: str, path: Path) -> bool:
    try:
        return symbol_of_file(path) == symbol
    except ForgeError:  # nobody's: the sensor of the import folder tells
        return False
