"""The ``evolve`` job in this process: what it does when data, history or both are partly there."""

import shutil

import dagster as dg
import pytest

from forge_core.market.datasets.build import latest_version
from forge_core.paths import Home
from forge_pipelines.lib.study_lock import lock_study
from tests.pipelines.workspace import TINY, Workspace, load_definitions

IMPOSSIBLE = TINY.replace("min_trades: 1", "min_trades: 1000000")


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Lay out a project with a study and let this process work in it."""

    def laid_out(study: str = TINY) -> Workspace:
        workspace = Workspace.make(tmp_path, study)
        for name, value in workspace.environment.items():
            monkeypatch.setenv(name, value)
        return workspace

    return laid_out


def evolve(instance: dg.DagsterInstance, **config) -> dg.ExecuteInProcessResult:
    job = load_definitions().resolve_job_def("evolve")
    return job.execute_in_process(instance=instance, run_config={"study": "tiny"} | config, raise_on_error=False)


def materialized(result: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    events = result.get_asset_materialization_events()
    return [(e.asset_key.to_user_string(), e.partition) for e in events]


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.description


def test_history_that_was_deleted_is_recorded_anew_and_nothing_is_computed_twice(make, instance):
    workspace = make()
    first = evolve(instance)
    assert first.success
    written = {path: path.stat().st_mtime_ns for path in workspace.study.rglob("generation=*.parquet")}
    with dg.DagsterInstance.ephemeral() as empty:
        again = evolve(empty)
    assert again.success
    assert sorted(materialized(again)) == sorted(materialized(first))
    assert {path: path.stat().st_mtime_ns for path in workspace.study.rglob("generation=*.parquet")} == written


def test_tables_that_were_lost_are_written_as_they_were(make, instance):
    workspace = make()
    evolve(instance)
    before, champion = workspace.tables(), workspace.champion()
    for path in [*workspace.study.rglob("*0005.parquet"), *workspace.study.rglob("*0006.parquet")]:
        path.unlink()
    (workspace.study / "champion.json").unlink()
    again = evolve(instance)
    assert again.success
    assert materialized(again) == []  # the same content: the instance knows it
    assert (workspace.tables(), workspace.champion()) == (before, champion)


def test_a_newer_version_of_a_dataset_changes_nothing_for_a_study_that_was_begun(make, instance):
    make()
    evolve(instance)
    version = latest_version("SP500_BEAR_2008")
    folder = Home.current().dataset("SP500_BEAR_2008")
    newer = dg.AssetMaterialization(
        "regime_dataset", partition="SP500_BEAR_2008", tags={"dagster/data_version": "another"}
    )
    instance.report_runless_asset_event(newer)
    again = evolve(instance)
    assert again.success
    assert materialized(again) == []
    assert (folder / version.content_hash).is_dir()


def test_data_that_were_deleted_are_built_again(make, instance):
    workspace = make()
    evolve(instance)
    champion = workspace.champion()
    shutil.rmtree(workspace.home / "datasets")
    shutil.rmtree(workspace.home / "features")
    shutil.rmtree(workspace.study)
    again = evolve(instance)
    assert again.success
    assert workspace.champion()["yaml"] == champion["yaml"]


def test_what_a_run_asks_for_is_part_of_the_study(make, instance):
    workspace = make()
    assert evolve(instance, generations=2, population=8).success
    assert workspace.tables()["generations/0001.parquet"].num_rows == 8
    refused = evolve(instance, generations=3, population=8)
    assert "study.generations: was 2, is 3" in failure(refused)


def test_a_study_that_another_run_works_on_is_refused(make, instance):
    make()
    lock_study("tiny", "another-run", instance, Home.current())
    assert "is being evolved by run another-run" in failure(evolve(instance))


def test_a_study_that_finds_nothing_ends_with_an_empty_front_and_says_so(make, instance):
    make(IMPOSSIBLE)
    result = evolve(instance)
    assert result.success
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert not checks["not_empty"].passed
    assert "no Play met every constraint" in checks["not_empty"].description
    event = instance.get_latest_materialization_event(dg.AssetKey("champion"))
    assert event.asset_materialization.metadata["front_size"].value == 0
