"""What a run says on the console: its progress, one short line each, and why it failed."""

import logging

import dagster as dg

_META = "dagster_meta"  # what Dagster knows of a record, as its own JSON logger writes it too


class _ShortFormatter(logging.Formatter):
    """``08:43:42 plan: message``; of a failure that the user has to mend the message alone, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, _META)
        event = meta["dagster_event"]
        message = meta["orig_message"]
        if event is not None and event.is_step_failure:
            failure = event.step_failure_data
            known = failure.user_failure_data
            message = known.description if known else failure.error_display_string
        where = f"{meta['step_key']}: " if meta["step_key"] else ""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{where}{message}"


def _worth_showing(record: logging.LogRecord) -> bool:
    """Show what was said, and of Dagster's own events those that are bad news; rounds without an epoch are neither."""
    meta = getattr(record, _META)
    said = meta["dagster_event"] is None and not meta["orig_message"].startswith("Skipping step ")
    return said or record.levelno >= logging.WARNING


CONSOLE_CONFIG = {"console": {"config": {"log_level": "INFO"}}}
"""The ``loggers`` part of a run's config: Dagster uses its own console logger unless the config names one."""


@dg.logger(
    config_schema={"log_level": dg.Field(str, default_value="INFO", description="The least level that is shown.")},
    description="Progress and failures in short lines; every event is kept in the run's log.",
)
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger that writes to the console."""
    logger = logging.Logger("forge", level=context.logger_config["log_level"].upper())
    handler = logging.StreamHandler()
    handler.setFormatter(_ShortFormatter())
    handler.addFilter(_worth_showing)
    logger.addHandler(handler)
    return logger
