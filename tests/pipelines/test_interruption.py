"""A run that is killed: nothing of it lives on, another may take the study up, and it ends with the same tables."""

import random
import re
import subprocess

import dagster as dg
import psutil
import pytest

from forge_core.evolution.steps import load_study, run_study
from tests.pipelines.workspace import TINY, Workspace, wait_for

STUDY = TINY.replace("generations: 6", "generations: 12")


def processes_of(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


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
    family = processes_of(first.pid)
    assert len(family) >= 4  # the run, the fork server, two islands
    for process in family:
        process.suspend()

    refused = interrupted.run()
    assert refused.code != 0
    named = re.search(r"study 'tiny' is being evolved by run (\S+) \(process (\d+)\)", refused.output)
    assert named is not None, refused.output
    assert int(named[2]) == first.pid

    for process in reversed(family):  # the run itself last
        process.resume()
    first.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not (interrupted.study / "champion.json").exists()

    again = interrupted.run(FORGE_WORKERS="1")  # one island after the other: that changes nothing either
    assert again.code == 0, again.output
    with interrupted.instance() as instance:
        assert instance.get_run_by_id(named[1]).status == dg.DagsterRunStatus.FAILURE
    assert results(interrupted) == undisturbed(STUDY)


LONGER = TINY.replace("generations: 6", "generations: 40").replace("population: 16", "population: 60")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_killed_anywhere_it_ends_with_the_same_tables(seed, tmp_path_factory, undisturbed):
    chance = random.Random(seed)
    workspace = Workspace.make(tmp_path_factory.mktemp("killed"), LONGER)
    process = workspace.start()
    try:
        process.wait(timeout=chance.uniform(2.0, 14.0))
    except subprocess.TimeoutExpired:
        victim = chance.choice(processes_of(process.pid))
        victim.kill()
    process.communicate(timeout=240)
    again = workspace.run()
    assert again.code == 0, again.output
    assert results(workspace) == undisturbed(LONGER)
