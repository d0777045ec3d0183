"""Homes of the tests' own, and one with a finished sweep over made-up futures that many of them look at."""

from pathlib import Path

import pytest

from forge_core.paths import Home
from forge_core.sweeps.plan import SweepPlan
from tests.sweeps.made import SPEC, finished, futures_home, sweep


@pytest.fixture
def futures(home: Home) -> Home:
    """A home of its own with bars and switch dates of two futures."""
    return futures_home(home)


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    """A finished sweep; look at it, do not change it."""
    home = futures_home(Home(Path(tmp_path_factory.mktemp("finished"))))
    return finished(sweep(**SPEC), home)
