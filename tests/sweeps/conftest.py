"""Homes of the tests' own, and one with a finished sweep over made-up futures that many of them look at."""

from pathlib import Path

import pytest

from forge_core.paths import Home
from forge_core.sweeps.plan import SweepPlan
from tests.sweeps.made import SPEC, finished, futures_home, sweep


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, which is also the current one."""
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "home"))
    return Home.current()


@pytest.fixture
def futures(home: Home) -> Home:
    """A home of its own with bars and switch dates of two futures."""
    return futures_home(home)


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    """A finished sweep; look at it, do not change it."""
    home = futures_home(Home(Path(tmp_path_factory.mktemp("finished"))))
    return finished(sweep(**SPEC), home)
