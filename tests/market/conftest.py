from pathlib import Path

import pytest

from forge_core.paths import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home of this test's own, which is also the current one."""
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "home"))
    return Home.current()
