"""One run at a time works on a study."""

import multiprocessing
import os
import time

import dagster as dg
import psutil
import pytest

from forge_core.errors import DataError, StudyError
from forge_core.files import read_json, write_json
from forge_core.paths import Home
from forge_pipelines.lib.processes import is_running, start_time
from forge_pipelines.lib.study_lock import lock_study, unlock_study
from tests.pipelines.workspace import wait_for


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def a_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.job
    def work():
        pass

    return instance.create_run_for_job(work)


def claim_file(home: Home):
    return home.root / "studies" / ".claims" / "tiny.json"


def rewrite(path, **values):
    write_json(path, {**read_json(path), **values})


def test_another_run_is_refused_while_the_process_lives(instance, home):
    lock_study("tiny", "first", instance, home)
    with pytest.raises(StudyError, match=rf"run first \(process {os.getpid()}\)"):
        lock_study("tiny", "second", instance, home)


def test_the_same_run_may_claim_again_and_other_studies_are_free(instance, home):
    lock_study("tiny", "first", instance, home)
    lock_study("tiny", "first", instance, home)
    lock_study("other", "second", instance, home)


def test_a_released_study_is_free_and_only_its_run_can_release_it(instance, home):
    lock_study("tiny", "first", instance, home)
    unlock_study("tiny", "second", home)
    assert claim_file(home).exists()
    unlock_study("tiny", "first", home)
    lock_study("tiny", "second", instance, home)


def test_a_run_that_ended_leaves_the_study_free_although_its_process_lives(instance, home):
    run = a_run(instance)
    lock_study("tiny", run.run_id, instance, home)
    instance.report_run_failed(run)
    lock_study("tiny", "second", instance, home)


def test_a_run_whose_process_is_gone_is_reported_failed(instance, home):
    run = a_run(instance)
    lock_study("tiny", run.run_id, instance, home)
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
    child.start()
    write_json(
        claim_file(home), {**read_json(claim_file(home)), "process": child.pid, "started": start_time(child.pid)}
    )
    child.join()
    lock_study("tiny", "second", instance, home)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_reused_process_id_is_not_the_process_that_claimed(instance, home):
    lock_study("tiny", "first", instance, home)
    rewrite(claim_file(home), started=psutil.boot_time() - 1000)
    lock_study("tiny", "second", instance, home)


def test_a_damaged_claim_is_named(instance, home):
    claim_file(home).parent.mkdir(parents=True)
    claim_file(home).write_text('{"run_id": "x"}')
    with pytest.raises(DataError, match=r"tiny\.json is damaged"):
        lock_study("tiny", "first", instance, home)


def test_a_process_runs_until_it_is_gone():
    child = psutil.Popen(["sleep", "30"])
    started = start_time(child.pid)
    assert is_running(child.pid, started)
    child.kill()
    wait_for(lambda: child.status() == psutil.STATUS_ZOMBIE)
    assert not is_running(child.pid, started)
    child.wait()
    assert not is_running(child.pid, started)
