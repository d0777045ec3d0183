"""The executor of runs: a process per step, ``FORGE_WORKERS`` at the same time."""

import dagster as dg

from forge_core.errors import ConfigError
from forge_core.parallelism import worker_count

PRELOAD_MODULE = "forge_pipelines.lib.preload"


def max_concurrent() -> int:
    """Return how many steps run at the same time; 1 while ``FORGE_WORKERS`` is invalid.

    Definitions then load, and the first step of a run fails with the message (``worker_count``).
    """
    try:
        return worker_count()
    except ConfigError:
        return 1


RETRY = dg.RetryPolicy(max_retries=2, delay=1)
"""For a step whose process is killed: each goes on from what is on disk."""

# Every step is a fork of one warm process: that is what makes a step cost under a second.
executor = dg.multiprocess_executor.configured(
    {
        "max_concurrent": max_concurrent(),
        "start_method": {"forkserver": {"preload_modules": [PRELOAD_MODULE]}},
        "tag_concurrency_limits": [{"key": "forge/writes", "value": "store", "limit": 1}],
    },
    name="warm_processes",
)
