"""A home for each test module, its datasets and bank shared by all; each test uses study names of its own."""

from pathlib import Path
from typing import Any

import pytest

from forge_core.evolution.steps import run_study
from forge_core.paths import Home

from .studies import content, small_spec


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="module")
def home(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = Path(tmp_path_factory.mktemp("home"))
    for name in ("datasets", "features"):
        (market / name).mkdir(exist_ok=True)
        (root / name).symlink_to(market / name)
    (root / "forge.duckdb").symlink_to(market / "forge.duckdb")
    return Home(root)


@pytest.fixture(scope="module")
def done(home: Home, request: pytest.FixtureRequest) -> tuple[Home, dict[str, Any], dict[str, str]]:
    """A study run undisturbed, ``reference`` or ``results`` after its module: home, report, and all it wrote."""
    name = "results" if "results" in request.module.__name__ else "reference"
    report = run_study(small_spec(name), home)
    return home, report, content(home.study(name))
