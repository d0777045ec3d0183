"""The studies and sweeps that can be materialized, as their files declare them: the source of the partitions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge_core.errors import ForgeError
from forge_core.evolution.storage.manifest import read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.paths import Home
from forge_core.study_files import read_study_file, study_files


@dataclass(frozen=True)
class StudyOutline:
    """The parts of a study that its partitions need: how many generations, and the datasets it reads."""

    name: str
    generations: int
    train: tuple[str, ...]
    holdout: tuple[str, ...]


def study_outlines(home: Home | None = None) -> dict[str, StudyOutline]:
    """Return every study that has a file in ``studies/`` or a manifest in the home, by name.

    A study that has started counts as its manifest says, another one as its file says. Files are read without full
    validation, and one that cannot be read has no generations: materializing it reports what is wrong with it.
    """
    home = home or Home.current()
    outlines = {name: _outline_of_file(name, path) for name, path in study_files("evolution").items()}
    for path in sorted((home.root / "studies").glob("[!.]*/manifest.json")):
        folder = StudyFolder(path.parent)
        try:
            manifest = read_manifest(folder)
        except ForgeError:
            continue
        if manifest is not None:
            outlines[path.parent.name] = _outline_of_manifest(path.parent.name, manifest["study"], folder)
    return dict(sorted(outlines.items()))


def sweep_names(home: Home | None = None) -> list[str]:
    """Return every sweep that has a file in ``studies/`` or a plan in the home."""
    return sorted({*study_files("sweep"), *planned_sweeps(home)})


def planned_sweeps(home: Home | None = None) -> list[str]:
    """Return every sweep that was ever run."""
    folder = (home or Home.current()).mass_tests / "sweeps"
    return sorted(path.stem for path in folder.glob("*.json"))


def sweep_symbols() -> list[str]:
    """Return every symbol that a sweep's file names; files that cannot be read are left out."""
    symbols: set[str] = set()
    for path in study_files("sweep").values():
        try:
            _, value, _ = read_study_file(path, "sweep")
        except ForgeError:
            continue
        symbols.update(_names(value.get("symbols") if isinstance(value, dict) else None))
    return sorted(symbols)


def _outline_of_file(name: str, path: Path) -> StudyOutline:
    try:
        _, value, _ = read_study_file(path, "evolution")
    except ForgeError:
        value = None
    return _outline(name, value if isinstance(value, dict) else {})


def _outline_of_manifest(name: str, study: Mapping[str, Any], folder: StudyFolder) -> StudyOutline:
    outline = _outline(name, study)
    if study.get("stall") is None or not folder.champion.is_file():
        return outline
    written = sum(1 for _ in (folder.root / "generations").glob("*.parquet"))  # it may have stopped early
    return StudyOutline(name, min(outline.generations, written), outline.train, outline.holdout)


def _outline(name: str, value: Mapping[str, Any]) -> StudyOutline:
    generations = value.get("generations")
    count = generations if isinstance(generations, int) and 0 <= generations < 100_000 else 0
    return StudyOutline(name, count, _names(value.get("train")), _names(value.get("holdout")))


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(name) for name in value) if isinstance(value, Iterable) and not isinstance(value, str) else ()
