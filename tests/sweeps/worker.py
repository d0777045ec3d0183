"""A sweep in a process of its own, for tests that kill it."""

from pathlib import Path
from typing import Any

from forge_core.paths import Home
from forge_core.sweeps import task
from forge_core.sweeps.steps import SweepSpec, run_sweep
from tests.sweeps.made import quiet


def work(home: str, spec: dict[str, Any], chunk: int) -> None:
    """Run a sweep that writes a file every ``chunk`` tests or so."""
    task.CHUNK_ROWS = chunk
    run_sweep(SweepSpec.model_validate(spec), Home(Path(home)), workers=1, log=quiet())
