"""Environment, hypothesis profile and fixtures of all tests."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from forge_core.paths import Home

# Settings of the user do not reach the tests, and no test reads or writes the user's data.
for name in ("FORGE_PROJECT", "FORGE_STUDY", "FORGE_SWEEP", "FORGE_WORKERS", "DAGSTER_HOME"):
    os.environ.pop(name, None)
os.environ["FORGE_EXTENSIONS"] = ""  # none
os.environ["FORGE_HOME"] = tempfile.mkdtemp(prefix="forge-tests-")
atexit.register(shutil.rmtree, os.environ["FORGE_HOME"], ignore_errors=True)

# No test accesses the network: a symbol without bars asks an archive that does not exist.
os.environ.setdefault("FORGE_BINANCE_URL", "http://127.0.0.1:9")

# No deadline, since a machine under load is slow; every run takes the same examples.
settings.register_profile("forge", deadline=None, derandomize=True, database=None)
settings.load_profile("forge")


SLOW_FIRST = ("pipelines", "evidence", "sweeps", "evolution")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders with slow files first, so that no worker starts a slow file when the others are done."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return SLOW_FIRST.index(folder) if folder in SLOW_FIRST else len(SLOW_FIRST)

    items.sort(key=rank)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home for one test, which is also the current one."""
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "home"))
    return Home.current()
