"""The scripts of examples/ run from the first line to the last."""

import pytest

from tests.docs.pages import ROOT

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_example_script_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) > 10


def test_there_are_examples():
    assert len(SCRIPTS) >= 2
