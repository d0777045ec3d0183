"""A run that is killed: nothing of it lives on, another may take the study up, and it ends with the same tables."""

import contextlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest
from filelock import FileLock, Timeout

from forge_core.evolution.steps import load_study, run_study
from forge_pipelines.lib.console import RESUME_HINT
from tests.pipelines.evolve_and_die import CODE
from tests.pipelines.workspace import TINY, Workspace, wait_for

STUDY = TINY.replace("generations: 6", "generations: 12")


def processes_of(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def holds_a_lock(workspace: Workspace) -> bool:
    """Whether somebody is writing to one of Dagster's databases or to a claim just now."""
    for lock in (workspace.study.parent / ".claims").glob("*.lock"):
        try:
            FileLock(lock, timeout=0).acquire().lock.release()
        except Timeout:
            return True
    for path in Path(workspace.environment["DAGSTER_HOME"]).rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path, timeout=0.1)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            database.rollback()
    return False


def suspend(pid: int, workspace: Workspace) -> list[psutil.Process]:
    """Stop a process and its descendants at a moment at which none of them holds what another run waits for."""
    while True:
        family = processes_of(pid)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        if not holds_a_lock(workspace):
            return [process for process in family if process.is_running()]
        resume(family)
        time.sleep(0.02)


def resume(family: list[psutil.Process]) -> None:
    """Let them go on, the first of them last."""
    for process in reversed(family):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def results(workspace: Workspace):
    return workspace.tables(), workspace.champion()


@pytest.fixture
def undisturbed(tmp_path_factory, monkeypatch):
    """What the study gives when one process runs it from beginning to end, without Dagster."""

    def run(study: str):
        workspace = Workspace.make(tmp_path_factory.mktemp("undisturbed"), study)
        for name, value in workspace.environment.items():
            monkeypatch.setenv(name, value)
        run_study(load_study("tiny"))
        return results(workspace)

    return run


def test_killed_and_run_again_it_ends_with_the_tables_of_an_undisturbed_run(tmp_path_factory, undisturbed):
    interrupted = Workspace.make(tmp_path_factory.mktemp("interrupted"), STUDY)
    first = interrupted.start()
    wait_for(lambda: (interrupted.study / "island=1" / "generation=0001.parquet").exists())
    assert len(processes_of(first.pid)) >= 4  # the run, the fork server, two islands
    family = suspend(first.pid, interrupted)
    try:
        assert not (interrupted.study / "champion.json").exists()
        refused = interrupted.run()
    finally:  # whatever comes of it, nothing of it stays
        resume(family)
        first.kill()
    assert refused.code != 0
    named = re.search(r"study 'tiny' is being evolved by run (\S+) \(process (\d+)\)", refused.output)
    assert named is not None, refused.output
    assert int(named[2]) == first.pid
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not (interrupted.study / "champion.json").exists()

    again = interrupted.run(FORGE_WORKERS="1")  # one island after the other: that changes nothing either
    assert again.code == 0, again.output
    with interrupted.instance() as instance:
        assert instance.get_run_by_id(named[1]).status == dg.DagsterRunStatus.FAILURE
    assert results(interrupted) == undisturbed(STUDY)


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_stopped_it_says_in_one_line_how_to_resume(tmp_path, how):
    workspace = Workspace.make(tmp_path, STUDY)
    run = workspace.start()
    wait_for(lambda: (workspace.study / "island=1" / "generation=0001.parquet").exists())
    if how == "ctrl-c":  # a terminal sends it to every process of its group
        os.killpg(run.pid, signal.SIGINT)
    else:
        run.terminate()
    output, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Traceback" not in output, output
    assert "Stack Trace" not in output, output
    assert output.count(RESUME_HINT) == 1, output
    with workspace.instance() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_generation_whose_recording_is_cut_off_is_recorded_once(tmp_path, undisturbed, moment):
    workspace = Workspace.make(tmp_path)
    died = workspace.run(f"{sys.executable} -m tests.pipelines.evolve_and_die 2 {moment}")
    assert died.code == CODE, died.output
    assert (workspace.study / "generations" / "0002.parquet").is_file()
    assert not (workspace.study / "generations" / "0003.parquet").exists()
    recorded = ["tiny-g0001"] if moment == "before" else ["tiny-g0001", "tiny-g0002"]
    assert recorded_generations(workspace) == recorded
    resumed = workspace.run()
    assert resumed.code == 0, resumed.output
    assert recorded_generations(workspace) == [f"tiny-g{number:04d}" for number in range(1, 7)]
    assert results(workspace) == undisturbed(TINY)


def recorded_generations(workspace: Workspace) -> list[str]:
    """Return the partition of every event of ``generation_fitness``."""
    with workspace.instance() as instance:
        records = instance.fetch_materializations(dg.AssetKey("generation_fitness"), limit=100).records
    return sorted(record.partition_key for record in records)


LONGER = TINY.replace("generations: 6", "generations: 40").replace("population: 16", "population: 60")
KILLS = 20


def kill(kind: str, run: psutil.Process, chance: random.Random) -> None:
    """Kill by SIGKILL a worker of ``run``, its own process alone, or everything."""
    family = processes_of(run.pid)
    workers = [process for process in family if process.ppid() not in (run.pid, run.ppid())]
    for victim in {"worker": [chance.choice(workers or family)], "run": [run], "everything": family}[kind]:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()


@pytest.mark.long
def test_killed_twenty_times_it_ends_with_the_same_tables(tmp_path_factory, undisturbed):
    """At random moments, most of them between two tables of an island, some before the islands meet, some after."""
    expected = undisturbed(LONGER)
    chance = random.Random(7)
    kills: list[tuple[str, int]] = []
    while len(kills) < KILLS:
        workspace = Workspace.make(tmp_path_factory.mktemp("killed"), LONGER)
        code = 1
        while code != 0:
            run = workspace.start()
            island = workspace.study / f"island={chance.randint(0, 1)}"
            done = len(list(island.glob("*.parquet")))
            if len(kills) < KILLS and (done < 36 or chance.random() < 0.3):
                table = island / f"generation={min(done + chance.randint(1, 8), 40):04d}.parquet"
                while run.poll() is None and not table.exists():
                    time.sleep(0.005)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(timeout=chance.uniform(0.0, 0.1 if chance.random() < 0.7 else 3.0))
                if run.poll() is None:
                    kind = chance.choice(["worker", "run", "everything"])
                    with contextlib.suppress(psutil.NoSuchProcess):
                        kill(kind, psutil.Process(run.pid), chance)
                        kills.append((kind, len(list(island.glob("*.parquet")))))
            run.communicate(timeout=240)
            code = run.returncode
        assert results(workspace) == expected
        with workspace.instance() as instance:
            assert all(run.is_finished for run in instance.get_runs())
    print(f"killed: {kills}")
    assert {kind for kind, _ in kills} == {"worker", "run", "everything"}
    assert sum(20 < generation < 40 for _, generation in kills) >= 3
