"""Every command shows its help by -h, with one style of values."""

import re

import pytest
import typer
from typer.testing import CliRunner

from forge_core.cli.console import progress
from forge_core.cli.main import app


def commands(command=None, words=()):
    command = command or typer.main.get_command(app)
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


ALL = list(commands())


@pytest.mark.parametrize("words", [words for words, _ in ALL], ids=" ".join)
def test_help_is_shown_by_h(words):
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output
    assert "Usage" in short.output


def test_values_are_named_in_capitals_and_flags_have_none():
    for words, command in ALL:
        for parameter in command.params if not hasattr(command, "commands") else ():
            if getattr(parameter, "is_flag", False):
                assert parameter.metavar == "", (words, parameter.name)
            else:
                assert re.fullmatch(r"[A-Z_]+|[a-z_]+(\|[a-z_]+)+", parameter.metavar), (words, parameter.name)


def test_progress_is_silent_before_two_seconds_and_says_what_is_left_after(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("forge_core.cli.console.time.monotonic", lambda: now[0])
    lines = []
    monkeypatch.setattr("forge_core.cli.console.errors.print", lambda text, **_: lines.append(text))
    with progress("backtests") as show:
        now[0] = 101.0
        show(1, 10)
        assert lines == []
        now[0] = 104.0
        show(4, 10)
    assert lines[0] == "backtests: 4 of 10, about 6 s left"
