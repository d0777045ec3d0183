"""Resources: the store is opened by one at a time and always closed, outputs go where they are configured."""

import dagster as dg
import pytest
from dagster_duckdb import DuckDBResource

from forge_core.errors import DataError
from forge_core.evolution.run.status import study_status
from forge_core.market.datasets.build import latest_version
from forge_core.parallelism import worker_count
from forge_core.paths import Home
from forge_pipelines.definitions import defs
from forge_pipelines.defs.market.assets import raw_ohlcv, regime_dataset
from forge_pipelines.defs.market.checks import raw_ohlcv_checks, regime_dataset_checks
from forge_pipelines.lib.io_managers import JsonOutputs
from forge_pipelines.lib.resources import BarStoreResource, HomeResource, WorkersResource
from tests.pipelines.workspace import Workspace, load_definitions


def test_the_store_is_a_duckdb_resource_of_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path))
    resource = defs.resources["store"]
    assert isinstance(resource, DuckDBResource)
    with dg.build_resources({"store": resource}) as built, built.store.get_connection() as connection:
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (0,)
    assert Home.current().store.is_file()


def test_home_store_and_workers_are_resources_that_name_their_environment_variables(monkeypatch, tmp_path):
    for name in ("FORGE_HOME", "FORGE_WORKERS", "FORGE_OUTPUTS"):
        monkeypatch.setenv(name, "3")
    resources = load_definitions().resources
    assert resources["home"].path.env_var_name == "FORGE_HOME"
    assert resources["workers"].count.env_var_name == "FORGE_WORKERS"
    assert resources["io_manager"].folder.env_var_name == "FORGE_OUTPUTS"
    for name in ("FORGE_HOME", "FORGE_WORKERS", "FORGE_OUTPUTS"):
        monkeypatch.delenv(name)
    resources = load_definitions().resources
    assert resources["home"].path == resources["workers"].count == resources["io_manager"].folder == ""
    assert resources["home"].open() == Home.current()
    assert resources["workers"].number() == worker_count()


def test_assets_and_checks_work_in_the_home_of_their_resource(monkeypatch, tmp_path, instance):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "another"))
    home = HomeResource(path=str(tmp_path / "mine"))
    resources = {"home": home, "store": BarStoreResource(home=home)}
    for asset, checks, partition in (
        (raw_ohlcv, raw_ohlcv_checks, "SP500"),
        (regime_dataset, regime_dataset_checks, "SP500_BEAR_2008"),
    ):
        result = dg.materialize([asset, checks], partition_key=partition, instance=instance, resources=resources)
        assert result.success
        assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    assert latest_version("SP500_BEAR_2008", home.open()) is not None
    assert not (tmp_path / "another").exists()


def test_a_study_evolves_in_the_home_of_its_resource_with_the_workers_of_its_resource(monkeypatch, tmp_path, instance):
    workspace = Workspace.make(tmp_path)
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORGE_WORKERS", "not a number")
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "another"))
    home = HomeResource(path=str(workspace.home))
    resources = {"home": home, "store": BarStoreResource(home=home), "workers": WorkersResource(count="1")}
    job = (
        load_definitions().resolve_job_def("evolve").graph.to_job(resource_defs=resources, tags={"forge/study": "tiny"})
    )
    assert job.execute_in_process(instance=instance).success
    assert study_status("tiny", home.open()).state == "complete"
    assert not (tmp_path / "another").exists()


def test_a_connection_is_closed_after_an_exception_and_the_store_stays_usable(tmp_path):
    resource = BarStoreResource(database=str(tmp_path / "bars.duckdb"), wait_seconds=0.0, home=HomeResource())
    with pytest.raises(ZeroDivisionError), resource.get_connection():
        raise ZeroDivisionError
    with resource.open() as store:
        assert store.coverage().empty
    with pytest.raises(DataError, match="is not open"):
        _ = store.connection


def test_outputs_of_ops_are_json_in_the_folder_that_is_configured(tmp_path):
    @dg.op
    def give() -> dict:
        return {"hash": "abc"}

    @dg.op
    def take(value: dict) -> dict:
        return value

    @dg.job(resource_defs={"io_manager": JsonOutputs(folder=str(tmp_path))})
    def hand_on():
        take(give())

    with dg.DagsterInstance.ephemeral() as instance:
        assert hand_on.execute_in_process(instance=instance).output_for_node("take") == {"hash": "abc"}
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json"}
