"""What one fault may cost: processor time of this process, and memory at its peak."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST_SECONDS = 5.0
MOST_MEMORY = 500_000_000


@contextmanager
def within_limits(subject: str) -> Iterator[None]:
    """Assert that a block uses no more processor time and no more memory at its peak than a fault may cost."""
    before, started = _peak(), time.process_time()
    yield
    used, grown = time.process_time() - started, _peak() - before
    assert used < MOST_SECONDS, f"{subject}: {used:.1f} s"
    assert grown < MOST_MEMORY, f"{subject}: {grown / 1e6:.0f} MB"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
