"""Memory and processor time of this process, for reports."""

import resource
import sys
from pathlib import Path
from typing import NamedTuple

_ROLLUP = Path("/proc/self/smaps_rollup")


def peak_memory_mb() -> float:
    """Return the largest resident set size of this process so far, in MB (1e6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def ended_children_cpu() -> float:
    """Return the processor time of this process's children that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Memory(NamedTuple):
    """Unique set size of a process in MB: the memory that its end would free.

    ``own`` is memory that it wrote (private and dirty). ``mapped`` are pages of files that it alone has mapped just
    now, mostly columns of the bank: they are part of the page cache, evictable, and not counted once a second
    process maps them.
    """

    own: float
    mapped: float


def unique_memory() -> Memory:
    """Return the unique set size of this process in its two parts; zeros if the system does not report it."""
    if not _ROLLUP.is_file():
        return Memory(0.0, 0.0)
    fields = dict(line.split()[:2] for line in _ROLLUP.read_text().splitlines()[1:])
    return Memory(*(int(fields.get(name, 0)) * 1024 / 1e6 for name in ("Private_Dirty:", "Private_Clean:")))
