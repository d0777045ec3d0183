"""A home whose small studies are run once for all tests of a module."""

from pathlib import Path

import pytest

from forge_core.evolution.steps import run_study
from forge_core.paths import Home
from tests.evolution.studies import small_spec


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(Path(tmp_path_factory.mktemp("evidence")))


@pytest.fixture(scope="session")
def proved_home(home: Home) -> Home:
    """A home with the complete studies ``two`` (two objectives) and ``one`` (one objective, stall, three islands)."""
    run_study(small_spec("two", holdout=["SP500_BULL_2003"]), home)
    one = {"objectives": "single:sharpe", "islands": 3, "population": 12, "epochs": 3, "generations": 6}
    run_study(small_spec("one", **one, timeframe="1d", stall=1), home)
    return home
