"""A home with the sample's datasets, shared by the tests; each test uses study names of its own."""

from pathlib import Path

import pytest

from forge_core.paths import Home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(Path(tmp_path_factory.mktemp("home")))
