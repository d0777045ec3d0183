"""The wheel: its version and its contents."""

import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("forge_core", "forge_pipelines")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel from a copy outside of git, as from an unpacked archive."""
    copy = tmp_path_factory.mktemp("archive")
    for name in (*PACKAGES, "datasets", "studies", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "out"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    (built,) = WheelBuilder(str(copy)).build(directory=str(copy / "dist"))
    return Path(built)


def test_a_wheel_built_outside_of_git_has_the_fallback_version(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    fallback = project["tool"]["hatch"]["version"]["raw-options"]["fallback_version"]
    assert wheel.name == f"forge_evolve-{fallback}-py3-none-any.whl"


def test_the_wheel_holds_every_module_types_and_the_project_files_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    typed = {f"{package}/py.typed" for package in PACKAGES}
    project = {
        f"forge_core/project/{path.relative_to(ROOT).as_posix()}"
        for folder in ("datasets", "studies")
        for path in (ROOT / folder).rglob("*.yaml")
    }
    assert modules | typed | project <= names
    others = names - modules - typed - project
    assert not [name for name in others if name.endswith((".py", ".pyc")) or not name.startswith(PACKAGES)], others
