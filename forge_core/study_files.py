"""The YAML files in ``studies/``: studies to evolve and sweeps, distinguished by the keys they declare."""

import re
from pathlib import Path
from typing import Any, Literal

from forge_core.configuration import Location, parse_yaml
from forge_core.errors import ConfigError, StudyError, unknown
from forge_core.paths import project_root
from forge_core.yaml_limits import read_text_file

Kind = Literal["evolution", "sweep"]

_NOUNS: dict[Kind, str] = {"evolution": "study", "sweep": "sweep"}
_OF_A_SWEEP = re.compile(r"^strategies\s*:", re.MULTILINE)  # a top-level key, even if the rest is damaged


def study_files(kind: Kind) -> dict[str, Path]:
    """Return the files of one kind by name, sorted; a sweep has the key ``strategies``."""
    files = sorted((project_root() / "studies").glob("*.yaml"))
    return {path.stem: path for path in files if _declares_a_sweep(path) == (kind == "sweep")}


def _declares_a_sweep(path: Path) -> bool:
    """Whether a file is a sweep's; one that cannot be read is taken for a study, and named when it is opened."""
    try:
        return bool(_OF_A_SWEEP.search(read_text_file(path)))
    except ConfigError:
        return False


def read_study_file(name_or_path: str | Path, kind: Kind) -> tuple[Path, Any, dict[Location, int]]:
    """Read a file by its name in ``studies/``, or from a path that ends in ``.yaml``.

    Returns its path, its value (named after the file, if it has no name) and the line of each location in it. Raises
    StudyError for an unknown name or a missing file, ConfigError for invalid YAML or a name that is not the file's.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        known = study_files(kind)
        if str(name_or_path) not in known:
            raise StudyError(unknown(_NOUNS[kind], str(name_or_path), known))
        path = known[str(name_or_path)]
    elif not path.exists():
        raise StudyError(f"there is no {_NOUNS[kind]} file {path}")
    value, lines = parse_yaml(read_text_file(path), str(path))
    if isinstance(value, dict):
        value = {"name": path.stem, **value}
        if value["name"] != path.stem:
            where = f"{path}:{lines.get(('name',), 1)}"
            raise ConfigError(f"{where}: name: the file is called {path.name}, so the name must be {path.stem!r}")
    return path, value, lines
