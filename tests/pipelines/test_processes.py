"""Runs and their processes: killed ones are reported, wherever Dagster is started there is one history."""

import contextlib
import socket
import sqlite3
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest
import yaml

from forge_pipelines.definitions import defs
from forge_pipelines.lib.code_location import LOCATION
from forge_pipelines.lib.executor import executor
from forge_pipelines.lib.instance import resolve
from forge_pipelines.lib.processes import HOST_TAG, PROCESS_TAG, STARTED_TAG, report_killed_runs, tag_process
from forge_pipelines.lib.steps import step
from tests.pipelines.workspace import REPOSITORY

GONE = {PROCESS_TAG: "999999", STARTED_TAG: "1.0", HOST_TAG: socket.gethostname()}


@dg.job
def work():
    pass


def run(instance: dg.DagsterInstance, tags: dict[str, str], status=dg.DagsterRunStatus.STARTED) -> str:
    return instance.create_run_for_job(work, status=status, tags=tags).run_id


@pytest.mark.parametrize("job", ["evolve", "mass_test", "refresh_ohlcv"])
def test_every_job_runs_on_the_executor_that_tags_its_process(job):
    assert defs.resolve_job_def(job).executor_def.name == executor.name


def test_the_sensor_reports_runs_whose_process_is_gone_and_no_others():
    with dg.DagsterInstance.ephemeral() as instance:
        killed, stopping = run(instance, GONE), run(instance, GONE, dg.DagsterRunStatus.CANCELING)
        living, elsewhere = run(instance, {}), run(instance, GONE | {HOST_TAG: "another-host"})
        tag_process(instance, living)
        unknown = run(instance, {})
        sensor = defs.resolve_sensor_def("killed_runs")
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.minimum_interval_seconds <= 30
        context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def())
        said = sensor.evaluate_tick(context).skip_message
        assert killed in said
        assert stopping in said
        failed = {r.run_id for r in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))}
        assert failed == {killed, stopping}
        started = {r.run_id for r in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))}
        assert started == {living, elsewhere, unknown}
        assert report_killed_runs(instance) == []


def test_a_step_that_runs_out_of_memory_says_what_to_do_in_one_message():
    with (
        pytest.raises(dg.Failure, match=r"out of memory \(too large\): .*ulimit -v.* start the run again") as failed,
        step(),
    ):
        raise MemoryError("too large")
    assert not failed.value.allow_retries
    assert failed.value.__cause__ is None


def test_the_code_location_has_one_name_whichever_command_loads_it():
    declared = tomllib.loads((REPOSITORY / "dg.toml").read_text())["project"]
    assert declared["code_location_name"] == declared["code_location_target_module"] == LOCATION
    (loaded,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    assert loaded == {"python_module": LOCATION}  # its name is the module's


def test_history_is_in_the_project_wherever_a_command_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("FORGE_PROJECT", raising=False)
    assert resolve(".dagster") == str(REPOSITORY / ".dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    assert resolve(".dagster") == str(tmp_path / "home" / ".dagster")


def test_processes_that_open_a_new_instance_at_once_leave_it_usable(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    together = threading.Barrier(8)

    def open_instance() -> int:
        together.wait()
        with dg.DagsterInstance.get() as instance:
            return instance.get_runs_count()

    with ThreadPoolExecutor(8) as pool:
        assert [opened.result() for opened in [pool.submit(open_instance) for _ in range(8)]] == [0] * 8
    databases = list((tmp_path / ".dagster").rglob("*.db"))
    assert len(databases) >= 3
    for path in databases:
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,), path


def test_the_instance_of_the_project_keeps_everything_in_one_folder(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        instance.create_run_for_job(work)
        assert instance.storage_directory().startswith(str(tmp_path / ".dagster"))
        with dg.DagsterInstance.from_ref(instance.get_ref()) as again:
            assert again.get_runs_count() == 1
    assert list((tmp_path / ".dagster").rglob("runs.db"))
