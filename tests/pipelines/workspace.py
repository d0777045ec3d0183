"""A project of its own for a test, in which the commands are run as a user runs them."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = "forge_pipelines.definitions"
COMMAND = "dagster job execute -j evolve"

TINY = """
description: Small enough for a test
train: [SP500_BEAR_2008]
holdout: [NASDAQ_BULL_2016]
timeframe: 1d
space: {level: 1}
objectives: [{metric: total_return}, {metric: max_drawdown}]
constraints: {min_trades: 1}
population: 16
generations: 6
islands: 2
epochs: 2
seed: 3
"""


@dataclass(frozen=True)
class Workspace:
    """A temporary project, home and Dagster instance below ``root``."""

    root: Path

    @classmethod
    def make(cls, root: Path, study: str = TINY) -> "Workspace":
        """Lay out the project: Forge's own datasets, and ``study`` as ``tiny``."""
        shutil.copytree(REPOSITORY / "datasets", root / "project" / "datasets")
        (root / "project" / "studies").mkdir()
        (root / "project" / "studies" / "tiny.yaml").write_text(study)
        (root / "dagster").mkdir()
        (root / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        return cls(root)

    @property
    def home(self) -> Path:
        """The folder Forge writes to."""
        return self.root / "home"

    @property
    def study(self) -> Path:
        """The folder of the study ``tiny``."""
        return self.home / "studies" / "tiny"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command; only an activated one names the module that Dagster loads."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "FORGE"))}
        paths = {"FORGE_PROJECT": self.root / "project", "FORGE_HOME": self.home, "DAGSTER_HOME": self.root / "dagster"}
        return inherited | {name: str(path) for name, path in paths.items()} | {"FORGE_STUDY": "tiny"}

    def start(
        self, command: str = COMMAND, *, output: Any = subprocess.PIPE, **environment: str
    ) -> "subprocess.Popen[str]":
        """Start ``command`` from the repository's root, in the activated environment where ``make`` made one."""
        values, shell = self.environment | environment, f"exec {command}"
        if (Path(sys.prefix) / ".installed").exists():
            shell = f"source {sys.prefix}/bin/activate && {shell}"
        else:  # an environment that was made another way: what activating adds is set here
            values["DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME"] = MODULE
            values["PATH"] = f"{sys.prefix}/bin{os.pathsep}{values['PATH']}"
        return subprocess.Popen(
            ["bash", "-c", shell],
            cwd=REPOSITORY,
            env=values,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str = COMMAND, **environment: str) -> "Outcome":
        """Run ``command`` to its end."""
        process = self.start(command, **environment)
        output, _ = process.communicate(timeout=240)
        return Outcome(process.returncode, output)

    def instance(self) -> dg.DagsterInstance:
        """Open the Dagster instance that the commands wrote to."""
        return dg.DagsterInstance.from_config(str(self.root / "dagster"))

    def tables(self) -> dict[str, pa.Table]:
        """Read every table of the study by its path."""
        return {
            str(path.relative_to(self.study)): pq.read_table(path) for path in sorted(self.study.rglob("*.parquet"))
        }

    def champion(self) -> dict:
        """Read the champion's report."""
        return json.loads((self.study / "champion.json").read_text())


def load_definitions() -> dg.Definitions:
    """Load Forge's definitions as a new process would: partitions come from the files of the project and the home."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "forge_pipelines"}
    try:
        return importlib.import_module(MODULE).defs
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "forge_pipelines"]:
            del sys.modules[name]
        sys.modules.update(before)


@dataclass(frozen=True)
class Outcome:
    """What a command ended with and printed."""

    code: int
    output: str


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until ``condition`` holds; fail the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this took too long"
        time.sleep(0.02)
