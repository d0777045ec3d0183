"""Paths of the project files that Forge reads and of the home folder that it writes to."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from forge_core.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def safe_name(name: str, kind: str = "name") -> str:
    """Return ``name`` if it is safe as a file, partition or SQL value, else raise ConfigError.

    Allowed: 1 to 100 of letters, digits, ``_``, ``-`` and ``.``, starting with a letter or digit.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise ConfigError(
            f"{kind} {name!r} is not allowed: use 1 to 100 letters, digits, '_', '-' or '.', "
            "beginning with a letter or digit"
        )
    return name


def project_root() -> Path:
    """Return the folder of ``datasets/`` and ``studies/``: ``FORGE_PROJECT``, the checkout, or the wheel's copy."""
    if setting := os.environ.get("FORGE_PROJECT"):
        return Path(setting).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "datasets").is_dir() else Path(__file__).resolve().parent / "project"


@dataclass(frozen=True)
class Home:
    """The folder that Forge writes to: ``FORGE_HOME``, by default ``data/`` of the project."""

    root: Path

    @classmethod
    def current(cls) -> "Home":
        """Return the home that the environment names."""
        setting = os.environ.get("FORGE_HOME")
        return cls(Path(setting).expanduser().resolve() if setting else project_root() / "data")

    @property
    def store(self) -> Path:
        """The DuckDB file of raw bars."""
        return self.root / "forge.duckdb"

    @property
    def imports(self) -> Path:
        """The folder whose files source ``files`` reads."""
        return self.root / "import"

    @property
    def downloads(self) -> Path:
        """The folder of files that are being fetched; they are deleted once their bars are stored."""
        return self.root / "downloads"

    def dataset(self, name: str) -> Path:
        """The folder of all versions of one named dataset."""
        return self.root / "datasets" / safe_name(name, "dataset")

    @property
    def features(self) -> Path:
        """The folder of the indicator bank, one sub-folder a dataset hash."""
        return self.root / "features"

    def study(self, name: str) -> Path:
        """The folder of one study's tables."""
        return self.root / "studies" / safe_name(name, "study")

    @property
    def mass_tests(self) -> Path:
        """The folder of mass tests: bars, results, plans and rankings of sweeps."""
        return self.root / "mass_tests"

    @property
    def roll_dates(self) -> Path:
        """The file of imported roll dates."""
        return self.root / "roll_dates.yaml"

    @property
    def ledger(self) -> Path:
        """The folder of the trial ledger: every Play ever evaluated, archived studies included."""
        return self.root / "ledger"
