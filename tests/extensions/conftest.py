"""A folder of extensions for one test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forge_core.extension_files import Extensions, forget_extensions, load_extensions


class Folder:
    """The folder; ``write`` adds a file and loads all files again, as a new process does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Extensions:
        (self.path / name).write_text(text, encoding="utf-8")
        return self.load()

    def load(self) -> Extensions:
        forget_extensions()
        return load_extensions()

    def refusal(self, text: str, name: str = "mine.py") -> str:
        (refusal,) = self.write(name, text).refused
        return refusal.message.removeprefix(f"{self.path}/")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    path = tmp_path / "extensions"
    path.mkdir()
    monkeypatch.setenv("FORGE_EXTENSIONS", str(path))
    forget_extensions()
    yield Folder(path)
    forget_extensions()
