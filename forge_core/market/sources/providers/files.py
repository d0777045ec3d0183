"""Source ``files``: the files of the import folder, in any format that can be imported."""

from pathlib import Path

from forge_core.errors import DataError, ForgeError
from forge_core.market.importing.formats.names import name_of_file
from forge_core.market.importing.importer import SUFFIXES, identify, import_files
from forge_core.market.reference.instruments import load_instruments
from forge_core.market.sources.protocol import FILES, Log
from forge_core.market.store.bar_store import BarStore
from forge_core.market.store.upsert import UpsertReport
from forge_core.paths import Home


def import_new_files(symbol: str, home: Home, failures: list[ForgeError], log: Log) -> list[UpsertReport]:
    """Import the files of one symbol that are new or have changed since their import, each as a whole or not at all.

    Errors of refused files are appended to ``failures``; such files are tried again by each call.
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
        log(f"{report} ({report.detected})")
        reports.append(report.stored)
    return reports


def import_files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that can be imported, by name, without hidden ones (such as unfinished copies)."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in paths if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]


def stamp(path: Path) -> str:
    """Return size and modification time of a file as text; '' if it does not exist."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def symbol_of_file(path: Path) -> str:
    """Return the symbol of a file, from its content and name; raise ForgeError if neither has one."""
    try:
        return identify(path).symbol
    except ForgeError:
        named = name_of_file(path)  # the error of a damaged file is reported by the refresh of the symbol in its name
        if named is None or named.symbol not in load_instruments():
            raise
        return named.symbol


def _is_of(symbol: str, path: Path) -> bool:
    try:
        return symbol_of_file(path) == symbol
    except ForgeError:  # of no symbol; reported by the sensor of the import folder
        return False
