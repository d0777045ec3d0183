"""What this process takes: for reports, never for results."""

import resource
import sys
from pathlib import Path

_ROLLUP = Path("/proc/self/smaps_rollup")


def peak_memory_mb() -> float:
    """Return the largest resident set size of this process so far, in MB (1e6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def unique_memory_mb() -> float:
    """Return the unique set size, what ending this process would free, in MB; 0 where the system does not tell."""
    if not _ROLLUP.is_file():
        return 0.0
    fields = dict(line.split()[:2] for line in _ROLLUP.read_text().splitlines()[1:])
    return sum(int(fields.get(name, 0)) for name in ("Private_Clean:", "Private_Dirty:")) * 1024 / 1e6
