"""One number of workers, wherever Forge runs something in parallel."""

import subprocess
import sys
import threading

import pytest

from forge_core import parallelism
from forge_core.errors import ConfigError
from forge_core.evolution import steps as evolution
from forge_core.parallelism import default_workers, worker_count, workers_per_task
from forge_core.paths import Home
from forge_core.sweeps import steps as sweeps
from tests.evolution.studies import small_spec
from tests.sweeps.made import quiet, sweep


@pytest.mark.parametrize(
    ("cores", "workers"), [(1, 1), (2, 2), (4, 4), (7, 7), (8, 7), (13, 12), (14, 12), (18, 16), (64, 62)]
)
def test_larger_machines_keep_a_core_or_two_free(cores: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_workers(cores) == workers
    monkeypatch.delenv("FORGE_WORKERS", raising=False)
    monkeypatch.setattr(parallelism, "usable_cores", lambda: cores)
    assert worker_count() == workers
    monkeypatch.setenv("FORGE_WORKERS", " 14 ")
    assert worker_count() == 14


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5"])
def test_an_invalid_number_of_workers_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_WORKERS", setting)
    with pytest.raises(ConfigError, match=f"FORGE_WORKERS is {setting!r}: set it to a whole number of 1 or more"):
        worker_count()


@pytest.mark.parametrize(
    ("workers", "tasks", "threads"), [("1", 2, 1), ("2", 2, 1), ("8", 2, 4), ("8", 3, 2), ("2", 8, 1), ("6", 1, 6)]
)
def test_tasks_that_run_together_share_the_workers(
    workers: str, tasks: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGE_WORKERS", workers)
    assert workers_per_task(tasks) == threads


def test_a_sweep_runs_as_many_tasks_as_there_are_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four tasks that wait for each other in pairs, two run at a time."""
    running, most, lock, both = 0, 0, threading.Lock(), threading.Barrier(2)

    def run_task(*_: object) -> dict:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(timeout=60)
        with lock:
            running -= 1
        return {}

    tasks = [{"symbol": symbol, "interval": "1d"} for symbol in "abcd"]
    monkeypatch.setattr(sweeps, "plan_sweep", lambda *_: {})
    monkeypatch.setattr(sweeps, "pending_tasks", lambda plan: tasks)
    monkeypatch.setattr(sweeps, "run_sweep_task", run_task)
    monkeypatch.setattr(sweeps, "finish_sweep", lambda plan, reports: {"errors": []})
    monkeypatch.setenv("FORGE_WORKERS", "2")
    sweeps.run_sweep(sweep(), log=quiet())
    assert most == 2
    monkeypatch.setenv("FORGE_WORKERS", "none")
    with pytest.raises(ConfigError, match="FORGE_WORKERS is 'none'"):
        sweeps.run_sweep(sweep(), log=quiet())


def test_a_study_evaluates_in_as_many_processes_as_there_are_workers(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = []

    def evolve(*_: object, **options: object) -> dict:
        workers.append(options["workers"])
        return {}

    monkeypatch.setattr(evolution, "evolve_island", evolve)
    plan = evolution.plan_study(small_spec("workers", train=["SP500_BULL_2013"]), Home(tmp_path))
    monkeypatch.setenv("FORGE_WORKERS", "6")
    evolution.run_island(plan, 0, 1)
    assert workers == [3]


def test_definitions_load_with_an_invalid_number_of_workers_and_the_step_says_so() -> None:
    """The message comes from the first step, not as a traceback while the definitions are loaded."""
    script = (
        "import os; os.environ['FORGE_WORKERS'] = 'two'\n"
        "from forge_pipelines.lib.executor import max_concurrent\n"
        "assert max_concurrent() == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
