"""Pruning of unused dataset versions."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forge_core.errors import DataError
from forge_core.files import read_json
from forge_core.market.datasets.versions import MANIFEST, latest_version
from forge_core.paths import Home

_PRUNED = ".pruned-"


@dataclass(frozen=True)
class PrunedVersion:
    """An unused version: its dataset, hash, and bytes on disk including its features."""

    dataset: str
    content_hash: str
    size: int


def unneeded_versions(home: Home) -> list[PrunedVersion]:
    """Return the versions that are neither the latest of their dataset nor pinned by a study.

    A study, also a finished one, pins the versions in its manifest, so that its results can be computed again. Raises
    DataError if a study's manifest cannot be read: it may pin any version.
    """
    pinned = {*_pinned(home)}
    unneeded = []
    for folder in sorted(path for path in (home.root / "datasets").glob("*") if path.is_dir()):
        latest = latest_version(folder.name, home)
        for version in sorted(path for path in folder.iterdir() if (path / MANIFEST).is_file()):
            needed = (folder.name, version.name) in pinned or (
                latest is not None and version.name == latest.content_hash
            )
            if not needed and not version.name.startswith("."):
                size = sum(_size(path) for path in (version, home.features / version.name))
                unneeded.append(PrunedVersion(folder.name, version.name, size))
    return unneeded


def prune_versions(home: Home) -> list[PrunedVersion]:
    """Remove the unused versions, each atomically, with their features; return those removed."""
    removed = unneeded_versions(home)
    for version in removed:
        folder = home.dataset(version.dataset) / version.content_hash
        away = folder.with_name(f"{_PRUNED}{version.content_hash}")
        shutil.rmtree(away, ignore_errors=True)
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)
        shutil.rmtree(home.features / version.content_hash, ignore_errors=True)
    return removed


def _pinned(home: Home) -> Iterator[tuple[str, str]]:
    """Yield name and hash of each version pinned by a study."""
    for manifest in sorted((home.root / "studies").glob("*/manifest.json")):
        try:
            datasets = read_json(manifest)["datasets"]
            yield from ((name, str(entry["hash"])) for name, entry in datasets.items())
        except (DataError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{manifest} cannot be read ({error}), so which versions its study needs is not known, and none is "
                f"removed; mend it, or archive the study with `forge study reset {manifest.parent.name}`"
            ) from error


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
