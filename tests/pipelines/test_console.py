"""What the console shows of a run, and how many processes it has."""

import logging
import sys

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from forge_core.errors import ConfigError
from forge_pipelines.lib.console import CONSOLE_CONFIG, RESUME_HINT, console_logger
from forge_pipelines.lib.errors import user_errors


@dg.op
def speak(context: dg.OpExecutionContext) -> None:
    context.log.debug("whispered")
    context.log.info("said")
    context.log.warning("warned")


@dg.op
def refuse() -> None:
    with user_errors():
        raise ConfigError("a thing is wrong: do it like this")


@dg.op
def stumble() -> None:
    raise ZeroDivisionError("a bug of ours")


@dg.op
def interrupt() -> None:
    raise DagsterExecutionInterruptedError


@dg.op
def advance(context: dg.OpExecutionContext) -> None:
    for number in range(1, 10):
        context.log.info(f"generation {number} of 9 ({number / 9:.0%}): x")
    context.log.info("done")


def console(op: dg.OpDefinition, capfd: pytest.CaptureFixture) -> list[str]:
    """Run one op and return the lines its run shows, without their time."""

    @dg.job(logger_defs={"console": console_logger})
    def work():
        op()

    logging.disable(logging.NOTSET)
    with dg.DagsterInstance.ephemeral() as instance:
        work.execute_in_process(instance=instance, run_config={"loggers": CONSOLE_CONFIG}, raise_on_error=False)
    return [line[9:] if line[2:3] == ":" else line for line in capfd.readouterr().err.splitlines()]


def test_what_is_said_is_shown_and_nothing_else(capfd):
    assert console(speak, capfd) == ["speak: said", "WARNING speak: warned"]


def test_an_error_of_the_user_is_one_line_the_last(capfd):
    assert console(refuse, capfd) == ["ERROR work failed in refuse: a thing is wrong: do it like this"]


def test_an_error_of_ours_is_shown_with_its_traceback_and_its_message_last(capfd):
    *shown, last = console(stumble, capfd)
    assert 'raise ZeroDivisionError("a bug of ours")' in "\n".join(shown)
    assert last == "ERROR work failed in stumble: ZeroDivisionError: a bug of ours"


def test_an_interruption_is_one_line_that_says_how_to_resume(capfd):
    assert console(interrupt, capfd) == [f"ERROR work {RESUME_HINT}"]


def test_progress_is_not_repeated_in_a_file(capfd):
    assert console(advance, capfd) == ["advance: generation 1 of 9 (11%): x", "advance: done"]


def test_progress_is_redrawn_in_a_terminal(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    console(advance, capfd)
    assert Terminal.shown.count("\n") == 1
    assert [part.rpartition("advance: ")[2] for part in Terminal.shown.split("\r\x1b[2K")[1:]] == [
        *(f"generation {number} of 9 ({number / 9:.0%}): x" for number in range(1, 10)),
        "done\n",
    ]


class Terminal:
    """A terminal that keeps what is written to it."""

    shown = ""

    def write(self, text: str) -> None:
        Terminal.shown += text

    def flush(self) -> None:
        """Nothing is buffered."""

    def isatty(self) -> bool:
        return True
