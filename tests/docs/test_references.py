"""What the pages name exists: files, links, commands and their options, make targets, jobs."""

import re
import shlex

import click
import pytest
import typer

from forge_core.cli.main import app
from tests.docs.pages import PAGES, ROOT, command_lines, prose

PATHS = re.compile(r"`((?:forge_core|forge_pipelines|tests|benchmarks|docs|studies|datasets)/[\w./-]*\w)`")
LINKS = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(forge [a-z][^`]*)`")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MODULES = re.compile(r"`([\w/]+\.py)`")
CURRENT = [path for path in PAGES if path.name != "CHANGELOG.md"]  # which names files as they were
FILES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("forge_core", "forge_pipelines", "tests", "benchmarks", "docs")
    for path in (ROOT / folder).rglob("*.py")
]


def page_id(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CURRENT, ids=page_id)
def test_every_file_that_a_page_names_exists(path):
    text = path.read_text()
    missing = {name for name in PATHS.findall(text) if not (ROOT / name).exists()}
    assert {name for name in missing if not name.startswith("benchmarks/out")} == set()
    modules = {name for name in MODULES.findall(text) if not any(f"/{file}".endswith(f"/{name}") for file in FILES)}
    assert modules == set()


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_link_leads_to_a_page_and_a_heading(path):
    broken = []
    for groups in LINKS.findall(prose(path)):
        target = "".join(groups)
        if target.startswith(("http", "mailto")):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists() or (anchor and anchor not in headings(file)):
            broken.append(target)
    assert broken == []


def headings(path):
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def commands():
    """Return every ``forge`` command of the pages, of blocks and of the text, each once."""
    quoted = [found for path in CURRENT for found in INLINE.findall(prose(path))]
    return sorted({line for _, line in command_lines("forge")} | set(quoted))


@pytest.mark.parametrize("line", commands())
def test_every_forge_command_of_the_pages_exists_with_its_options(line):
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        assert words[0] in command.commands, f"forge has no command {words[0]!r}: {line}"
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    assert [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known] == []


@pytest.mark.parametrize("line", sorted({line for _, line in command_lines("make")}))
def test_every_make_target_of_the_pages_exists(line):
    targets = [word for word in shlex.split(line)[1:] if "=" not in word]
    assert targets
    assert set(targets) <= TARGETS


def test_every_job_of_the_pages_exists():
    from forge_pipelines.definitions import defs

    named = {re.search(r"-j (\w+)", line)[1] for _, line in command_lines("dagster job execute")}
    assert named >= {"evolve", "mass_test"}
    assert named <= {job.name for job in defs.jobs}
