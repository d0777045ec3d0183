"""The pages' examples run on the sample: blocks of Python, and the commands that need no other bars."""

import gc
import re
import shlex
import shutil

import pytest
import yaml
from typer.testing import CliRunner

from forge_core.cli.main import app
from tests.docs.pages import ROOT, blocks, command_lines
from tests.features.sample_bars import walk

# Commands that need bars which do not come with Forge, a network, or a finished study or sweep.
NEEDS_MORE = re.compile(
    r"USDT|ZS|\.zip|prices\.csv|\.parquet|refresh|NAME|\bstudy |sweep (status|top|export|luck)|contract_"
)
PYTHON = [block for block in blocks() if block.language == "python" and not block.text.startswith("# extensions/")]
LINES = sorted({line for _, line in command_lines("forge") if not NEEDS_MORE.search(line)})


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with the shipped files, whose quick start is cut down to a few evaluations, and an empty home."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("datasets", "studies"):
        shutil.copytree(ROOT / name, folder / name)
    path = folder / "studies" / "quickstart.yaml"
    study = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(study | {"population": 12, "generations": 2}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGE_PROJECT", str(folder))
        patch.setenv("FORGE_HOME", str(folder / "data"))
        patch.setenv("FORGE_EXTENSIONS", str(folder / "extensions"))
        patch.chdir(folder)
        yield folder


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.page)
def test_every_block_of_python_runs(block, project, capsys):
    names = {"__name__": "example", "bars": walk()}
    exec(compile(block.text, block.page, "exec"), names)
    names.clear()
    gc.collect()  # a class of an example is no longer a subclass that others find


@pytest.mark.parametrize("line", LINES)
def test_every_command_that_needs_the_sample_alone_runs(line, project):
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output


def test_commands_are_run():
    assert sum("play" in line for line in LINES) >= 2
    assert len(LINES) >= 6


@pytest.mark.long
def test_the_readme_shows_the_output_of_the_quick_start(tmp_path, monkeypatch):
    from forge_core.evolution.steps import load_study, run_study, status_text

    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "data"))
    run_study(load_study("quickstart"))
    (shown,) = [
        block.text for block in blocks() if block.page == "README.md" and block.text.startswith("study quickstart:")
    ]
    assert shown == status_text("quickstart").replace(f"{tmp_path}/", "") + "\n"
