"""How many processes run steps: ``FORGE_WORKERS``, by default one a core."""

import os

import dagster as dg

from forge_core.errors import ConfigError

PRELOAD_MODULE = "forge_pipelines.lib.preload"


def worker_count() -> int:
    """Return ``FORGE_WORKERS`` (ConfigError unless 1 or more), or the number of cores this process may use."""
    setting = os.environ.get("FORGE_WORKERS", "").strip()
    if not setting:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not setting.isdecimal() or int(setting) < 1:
        raise ConfigError(f"FORGE_WORKERS is {setting!r}: it must be a whole number of 1 or more")
    return int(setting)


def threads_per_island(islands: int) -> int:
    """Return how many threads an island evaluates with: the workers shared out over the islands that run at once."""
    workers = worker_count()
    return max(1, workers // min(workers, islands))


TRY_AGAIN = dg.RetryPolicy(max_retries=2, delay=1)
"""For a step whose process is killed: each goes on from what is on disk."""

# Every step is a fork of one warm process: that is what makes a step cost under a second.
executor = dg.multiprocess_executor.configured(
    {
        "max_concurrent": worker_count(),
        "start_method": {"forkserver": {"preload_modules": [PRELOAD_MODULE]}},
        "tag_concurrency_limits": [{"key": "forge/writes", "value": "store", "limit": 1}],
    },
    name="warm_processes",
)
