"""What the console shows of a run, and how many processes it has."""

import logging

import dagster as dg
import pytest

from forge_core.errors import ConfigError
from forge_pipelines.lib.console import CONSOLE_CONFIG, console_logger
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


def test_an_error_of_the_user_is_one_line(capfd):
    shown = console(refuse, capfd)
    assert shown[0] == "ERROR refuse: a thing is wrong: do it like this"
    assert len(shown) == 2  # and that the run failed


def test_an_error_of_ours_is_shown_with_its_traceback(capfd):
    shown = "\n".join(console(stumble, capfd))
    assert "ZeroDivisionError: a bug of ours" in shown
    assert 'raise ZeroDivisionError("a bug of ours")' in shown
