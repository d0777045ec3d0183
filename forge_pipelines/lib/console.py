"""Console output of a run: progress, one short line per message, and the reason of a failure."""

import logging
import re
import shutil
import time
from typing import Any

import dagster as dg

_META = "dagster_meta"  # Dagster's attributes of a record; its own JSON logger writes the same
_PROGRESS = re.compile(r"generation \d+ of \d+ \(")
_SECONDS_BETWEEN_LINES = 15.0  # of progress, where the console is a file
_CLEAR = "\r\x1b[2K"

RESUME_HINT = "stopped before its end; what is written is kept: start it again, the same way, to resume"


class _ShortFormatter(logging.Formatter):
    """Formats as ``08:43:42 plan: message``; an error of the user is its message alone, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, _META)
        event, message, step = meta["dagster_event"], meta["orig_message"], meta["step_key"]
        if event is not None and event.is_step_failure:
            message = event.step_failure_data.error_display_string
        elif event is not None and event.event_type == dg.DagsterEventType.RUN_FAILURE:
            message = f"{meta['job_name']} {_reason(event.job_failure_data, message)}"
        where = f"{step.rpartition('.')[2]}: " if step else ""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{where}{message}"


class _ConsoleHandler(logging.StreamHandler):
    """Redraws the line of progress in a terminal; writes it now and then where the console is a file."""

    def __init__(self) -> None:
        super().__init__()
        self._last_progress = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        terminal = self.stream.isatty()
        if is_progress(record):
            if terminal:
                width = shutil.get_terminal_size().columns - 1
                self.stream.write(_CLEAR + self.format(record)[:width])
                self.flush()
                return
            if time.monotonic() - self._last_progress < _SECONDS_BETWEEN_LINES:
                return
            self._last_progress = time.monotonic()
        self.stream.write(f"{_CLEAR if terminal else ''}{self.format(record)}\n")
        self.flush()


def is_progress(record: logging.LogRecord) -> bool:
    """Whether a record is a line of progress, which the next one replaces."""
    return _PROGRESS.match(getattr(record, _META)["orig_message"]) is not None


def _worth_showing(record: logging.LogRecord) -> bool:
    """Show messages, and of Dagster's own events warnings and errors.

    Steps that are skipped are neither. A failure that the user has to mend and an interruption are shown once, with the
    run's failure.
    """
    meta = getattr(record, _META)
    event = meta["dagster_event"]
    if event is None:
        return not meta["orig_message"].startswith("Skipping step ")
    if event.is_step_failure and (_user_message(event) is not None or _is_interruption(event.step_failure_data.error)):
        return False
    return record.levelno >= logging.WARNING


def _reason(failure: Any, message: str) -> str:
    """Return in one line why a run failed, from the data of its failure event."""
    if failure is None:
        return f"failed: {message}"
    if _is_interruption(failure.error):
        return RESUME_HINT
    first = failure.first_step_failure_event
    if first is None:
        return f"failed: {failure.error.message.strip() if failure.error else message}"
    data = first.step_failure_data
    if _is_interruption(data.error):
        return RESUME_HINT
    text = _user_message(first) or (data.error.cause or data.error).message.strip()
    return f"failed in {first.step_key.rpartition('.')[2]}: {text}"


def _user_message(event: dg.DagsterEvent) -> str | None:
    known = event.step_failure_data.user_failure_data
    return known.description if known else None


def _is_interruption(error: Any) -> bool:
    interruptions = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
    return error is not None and (error.cls_name in interruptions or _is_interruption(error.cause))


CONSOLE_CONFIG = {"console": {"config": {"log_level": "INFO"}}}
"""The ``loggers`` part of a run's config: Dagster uses its own console logger unless the config names one."""


@dg.logger(
    config_schema={"log_level": dg.Field(str, default_value="INFO", description="The lowest level that is shown.")},
    description="Progress and failures in short lines; every event is kept in the run's log.",
)
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger that writes to the console."""
    logger = logging.Logger("forge", level=context.logger_config["log_level"].upper())
    handler = _ConsoleHandler()
    handler.setFormatter(_ShortFormatter())
    handler.addFilter(_worth_showing)
    logger.addHandler(handler)
    return logger
