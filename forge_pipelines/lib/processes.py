"""Whose process runs a step: the run's. A step knows it and dies with it."""

import multiprocessing
import os
import threading

import dagster as dg
import psutil

_CLOCK_STEP = 5.0  # seconds a process's start time may seem to move when the machine's clock is set


def run_process_id() -> int:
    """Return the process id of the run that this step belongs to.

    Under the multiprocess executor the parent that Python names is the process that asked for the step, the run's;
    the operating system's parent is the fork server. A step that runs in the run's own process has no such parent.
    """
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def start_time(pid: int) -> float | None:
    """Return when process ``pid`` began (seconds since 1970-01-01 UTC), or None when it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def is_running(pid: int, started: float) -> bool:
    """Whether the very process that began at ``started`` still lives: a reused process id does not count."""
    now = start_time(pid)
    return now is not None and abs(now - started) < _CLOCK_STEP


def report_killed(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    """Report a run failed whose process is gone: it was killed and could not do so itself."""
    instance.report_run_failed(run, f"Process {pid} of this run is gone: it was killed.")


def die_with_run() -> None:
    """End this step process at once when its run's process ends, even when that is killed with SIGKILL.

    The fork server outlives the run while steps live, so the step watches the run itself: its end closes the pipe
    behind ``parent_process``. Leaving without clean-up is as a SIGKILL of the step would be, which every write bears.
    """
    parent = multiprocessing.parent_process()
    if parent is None or any(thread.name == _WATCH for thread in threading.enumerate()):
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name=_WATCH, daemon=True).start()


_WATCH = "die-with-run"
