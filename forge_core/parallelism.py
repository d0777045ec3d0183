"""Number of workers: how many processes or threads Forge runs at the same time."""

import os

from forge_core.errors import ConfigError

SETTING = "FORGE_WORKERS"


def worker_count(setting: str | None = None) -> int:
    """Return the number of workers: ``setting``, else ``FORGE_WORKERS``, else ``default_workers`` of the usable cores.

    Raises ConfigError unless the setting is a whole number of 1 or more.
    """
    setting = (os.environ.get(SETTING, "") if setting is None else setting).strip()
    if not setting:
        return default_workers(usable_cores())
    if not setting.isdecimal() or int(setting) < 1:
        raise ConfigError(f"{SETTING} is {setting!r}: set it to a whole number of 1 or more, or unset it")
    return int(setting)


def default_workers(cores: int) -> int:
    """Return the default number of workers on ``cores``: one core stays free from 8 on, two from 14 on."""
    return cores - (cores >= 8) - (cores >= 14)


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_per_task(tasks: int, workers: int | None = None) -> int:
    """Return the workers of each of ``tasks`` that run at the same time, at least 1: ``workers`` divided by them.

    They are processes that backtest a generation's Plays, or threads of a mass test. ``workers`` is by default
    ``worker_count()``.
    """
    workers = worker_count() if workers is None else workers
    return max(1, workers // min(workers, tasks))
