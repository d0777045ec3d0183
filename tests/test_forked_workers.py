"""Worker processes: every task once, errors as they were raised, and no process left behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from forge_core.errors import DataError
from forge_core.forked_workers import ForkedWorkers, WorkerDied, can_fork, shared_array

pytestmark = pytest.mark.skipif(not can_fork(), reason="processes are forked on Linux only")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("count", [1, 3])
def test_every_task_is_done_once_also_of_more_than_the_pipe_holds(count: int) -> None:
    done, by = shared_array((10_000,), np.int64), shared_array((10_000,), np.int64)

    def task(number: int) -> None:
        done[number] += number + 1
        by[number] = os.getpid()

    with ForkedWorkers(count, task, "a test") as workers:
        workers.run(0)
        workers.run(7)
        assert done[:8].tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
        done[:] = 0
        workers.run(10_000)
        assert done.tolist() == list(range(1, 10_001))
        assert set(by.tolist()) <= set(workers.processes)
        assert os.getpid() not in by
        processes = workers.processes
    assert all(gone(pid) for pid in processes)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DataError("close.npy is damaged"), DataError, "^close.npy is damaged$"),
        (OSError(28, "No space left on device", "x.npy"), OSError, r"\[Errno 28\] No space left on device: 'x.npy'"),
        (MemoryError("too much"), MemoryError, "too much"),
        (KeyError("close"), RuntimeError, "(?s)a worker process failed.*def task.*KeyError: 'close'|KeyError: 'close'"),
    ],
)
def test_an_error_of_a_task_is_raised_in_the_parent(error: Exception, kind: type, message: str) -> None:
    def task(number: int) -> None:
        if number == 5:
            raise error

    with ForkedWorkers(2, task, "a test") as workers:
        workers.run(5)
        processes = workers.processes
        with pytest.raises(kind, match=message):
            workers.run(50)
    assert all(gone(pid) for pid in processes)


def test_a_killed_worker_is_reported_with_the_signal() -> None:
    def task(number: int) -> None:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    with ForkedWorkers(2, task, "island 1 of study 'x'") as workers:
        processes = workers.processes
        with pytest.raises(WorkerDied, match=r"island 1 of study 'x': worker process [0-9]+ ended by signal SIGKILL"):
            workers.run(10)
    assert all(gone(pid) for pid in processes)


_ORPHANS = """
import sys, time
from forge_core.forked_workers import ForkedWorkers
workers = ForkedWorkers(2, lambda number: time.sleep(0.05), "a test")
print(*workers.processes, flush=True)
workers.run(100_000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_however_that_ends(number: signal.Signals) -> None:
    """Ctrl-C and a kill in the middle of a batch: queued tasks are dropped."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _ORPHANS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    processes = [int(word) for word in parent.stdout.readline().split()]
    assert len(processes) == 2
    parent.send_signal(number)
    parent.wait(timeout=60)
    deadline = time.monotonic() + 60
    while not all(gone(pid) for pid in processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_holds_no_lock_and_no_file_of_its_parent(tmp_path) -> None:
    """Otherwise a killed parent's lock would last until its workers have ended."""
    counts = shared_array((1,), np.int64)
    with (tmp_path / "lock").open("w") as file:

        def task(number: int) -> None:
            counts[0] = len(os.listdir("/proc/self/fd")) - 1  # the listing's own
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(file.fileno())
            counts[0] += 100

        with ForkedWorkers(1, task, "a test") as workers:
            workers.run(1)
    assert counts[0] == 100 + 5  # the standard streams and two pipes
