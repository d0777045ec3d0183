"""Contents of the bank's folders, and pruning of unused files."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from forge_core.features.bank.npy_file import DamagedArray, read_description
from forge_core.paths import Home, safe_name

MAX_AGE = timedelta(days=30)
_ABANDONED = 3600.0  # seconds after which a temporary file counts as abandoned


@dataclass(frozen=True)
class BankStats:
    """Number of feature columns, bytes of all files including bars, and the time since the oldest and newest use."""

    features: int
    bytes: int
    oldest: timedelta | None
    newest: timedelta | None


@dataclass(frozen=True)
class StoredColumn:
    """One feature column on disk: hash, reference, execution timeframe, size in bytes and time since its last use."""

    hash: str
    feature: str
    execution: str
    bytes: int
    unused: timedelta


@dataclass(frozen=True)
class PruneReport:
    """Result of ``prune_bank``: files and bytes removed and kept."""

    removed: int
    removed_bytes: int
    kept: int
    kept_bytes: int


@dataclass(frozen=True)
class _File:
    path: Path
    bytes: int
    used: float  # seconds since the epoch


def bank_folder(home: Home, dataset_hash: str) -> Path:
    """Return the folder of one dataset version's columns."""
    return home.features / safe_name(dataset_hash, "dataset hash")


def bank_stats(home: Home, dataset_hash: str | None = None) -> BankStats:
    """Return statistics of the files of one dataset version, or of all of them."""
    files = [file for file in _files(home, dataset_hash) if file.path.suffix == ".npy"]
    ages = [_age(file) for file in files]
    return BankStats(
        features=sum(_is_feature(file) for file in files),
        bytes=sum(file.bytes for file in files),
        oldest=max(ages, default=None),
        newest=min(ages, default=None),
    )


def bank_contents(home: Home, dataset_hash: str) -> list[StoredColumn]:
    """Return the feature columns of one dataset version, sorted by name; damaged files are skipped."""
    columns = []
    for file in _files(home, dataset_hash):
        if _is_feature(file):
            with suppress(OSError, DamagedArray, KeyError):
                content: dict[str, Any] = read_description(file.path)
                columns.append(
                    StoredColumn(file.path.stem, content["feature"], content["execution"], file.bytes, _age(file))
                )
    return sorted(columns, key=lambda column: (column.execution, column.feature, column.hash))


def prune_bank(home: Home, max_bytes: int | None = None, max_age: timedelta | None = MAX_AGE) -> PruneReport:
    """Remove files not used for ``max_age``, then the least recently used until the rest is within ``max_bytes``.

    None is no limit. A file is used when a process first opens it. Pruning is safe while processes run: a map outlives
    its file, a removed column is computed again when needed, and a file being written is not removed.
    """
    now = time.time()
    files = sorted(_files(home, None), key=lambda file: file.used)
    finished = [file for file in files if file.path.suffix == ".npy"]
    doomed = [file for file in files if file.path.suffix == ".tmp" and now - file.used > _ABANDONED]
    held = sum(file.bytes for file in finished)
    for file in finished:
        too_old = max_age is not None and now - file.used > max_age.total_seconds()
        too_much = max_bytes is not None and held > max_bytes
        if not (too_old or too_much):
            break
        doomed.append(file)
        held -= file.bytes
    removed = [file for file in doomed if _remove(file)]
    for folder in {file.path.parent for file in removed}:
        with suppress(OSError):  # not empty
            folder.rmdir()
    gone = {file.path for file in removed}
    kept = [file for file in files if file.path not in gone]
    return PruneReport(len(removed), sum(f.bytes for f in removed), len(kept), sum(f.bytes for f in kept))


def _files(home: Home, dataset_hash: str | None) -> Iterator[_File]:
    """Yield the bank's files, except those deleted during the scan."""
    folders = [bank_folder(home, dataset_hash)] if dataset_hash else home.features.glob("*")
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith((".npy", ".tmp")):
                        yield _File(Path(entry.path), status.st_size, status.st_mtime)


def _is_feature(file: _File) -> bool:
    return file.path.suffix == ".npy" and not file.path.name.startswith("bars-")


def _age(file: _File) -> timedelta:
    return timedelta(seconds=max(time.time() - file.used, 0.0))


def _remove(file: _File) -> bool:
    try:
        file.path.unlink()
    except FileNotFoundError:
        return False
    return True
