"""The YAML files in ``studies/``: what to evolve and what to sweep, told apart by what they declare."""

import re
from pathlib import Path
from typing import Literal

from forge_core.paths import project_root

_OF_A_SWEEP = re.compile(rb"^strategies\s*:", re.MULTILINE)  # a top-level key, even if the rest is damaged


def study_files(kind: Literal["evolution", "sweep"]) -> dict[str, Path]:
    """Return the files of one kind by name, sorted; a sweep is what has ``strategies``."""
    files = sorted((project_root() / "studies").glob("*.yaml"))
    return {path.stem: path for path in files if bool(_OF_A_SWEEP.search(path.read_bytes())) == (kind == "sweep")}
