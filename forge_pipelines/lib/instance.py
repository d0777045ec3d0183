"""Storage of the Dagster instance inside the project, from whichever folder a command is started.

``dagster.yaml`` names these classes. Dagster's own take a relative ``base_dir`` from the current folder, which gives
every folder a history of its own.
"""

import os
from pathlib import Path
from typing import Any, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from filelock import FileLock

from forge_core.paths import project_root

_OPEN_WAIT = 120.0  # seconds for another process that creates the files


def resolve(base_dir: str) -> str:
    """Return ``base_dir`` below ``DAGSTER_HOME``, or else below the project."""
    root = Path(os.environ["DAGSTER_HOME"]) if os.environ.get("DAGSTER_HOME") else project_root()
    return str(root / base_dir)


def _resolved(config: Any) -> dict[str, Any]:
    return {**config, "base_dir": resolve(config["base_dir"])}


class ProjectStorage(DagsterSqliteStorage):
    """Runs, events and schedules in SQLite files of the project.

    One process at a time opens them: two that create them at once write two versions of the schema into each, and
    Dagster opens such a file never again ("more than one head present").
    """

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage that ``dagster.yaml`` configures."""
        config = _resolved(config_value)
        folder = Path(config["base_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".open.lock", timeout=_OPEN_WAIT):
            return cls(**config, inst_data=inst_data)


class ProjectArtifacts(LocalArtifactStorage):
    """Op outputs in files of the project."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage that ``dagster.yaml`` configures."""
        return cls(**_resolved(config_value), inst_data=inst_data)


class ProjectLogs(LocalComputeLogManager):
    """Console output of runs in files of the project."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the manager that ``dagster.yaml`` configures."""
        return cls(**_resolved(config_value), inst_data=inst_data)
