"""Processes of runs and steps: which one a run belongs to, and runs whose process was killed."""

import multiprocessing
import os
import socket
import threading

import dagster as dg
import psutil

PROCESS_TAG, STARTED_TAG, HOST_TAG = "forge/process", "forge/process_started", "forge/host"
_CLOCK_STEP = 5.0  # seconds a process's start time may seem to move when the machine's clock is set
_WATCH = "die-with-run"


def run_process_id() -> int:
    """Return the process id of the run that this step belongs to.

    Under the multiprocess executor Python's parent process is the run's, which requested the step; the operating
    system's parent is the fork server. A step that runs in the run's own process has no such parent.
    """
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def start_time(pid: int) -> float | None:
    """Return the start time of process ``pid`` (seconds since 1970-01-01 UTC), None when it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def is_running(pid: int, started: float) -> bool:
    """Whether the process that started at ``started`` is alive: a reused process id does not count."""
    now = start_time(pid)
    return now is not None and abs(now - started) < _CLOCK_STEP


def tag_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Write the process that executes a run, this one, to the run's tags."""
    pid = os.getpid()
    tags = {PROCESS_TAG: str(pid), STARTED_TAG: str(start_time(pid) or 0.0), HOST_TAG: socket.gethostname()}
    instance.add_run_tags(run_id, tags)


def report_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every run of this host as failed whose process is gone; return their ids.

    A run that is killed with SIGKILL cannot report its end, and while it counts as started it takes a place in the
    queue. Of a run on another host nothing is known here.
    """
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    reported = []
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses, tags={HOST_TAG: socket.gethostname()})):
        pid, started = int(run.tags[PROCESS_TAG]), float(run.tags[STARTED_TAG])
        if not is_running(pid, started):
            report_killed(instance, run, pid)
            reported.append(run.run_id)
    return reported


def report_killed(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    """Report a run as failed whose process was killed."""
    instance.report_run_failed(run, f"Process {pid} of this run is gone: it was killed. Start the run again to resume.")


def die_with_run() -> None:
    """Terminate this step process when its run's process ends, even when that is killed with SIGKILL.

    The fork server outlives the run while steps live, so the step watches the run itself: its end closes the pipe
    behind ``parent_process``. Leaving without clean-up is as safe as a SIGKILL of the step: files are written whole.
    """
    parent = multiprocessing.parent_process()
    if parent is None or any(thread.name == _WATCH for thread in threading.enumerate()):
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name=_WATCH, daemon=True).start()
