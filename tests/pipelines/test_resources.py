"""Resources: the store is opened by one at a time and always closed, outputs go where they are configured."""

import dagster as dg
import pytest
from dagster_duckdb import DuckDBResource

from forge_core.errors import DataError
from forge_core.paths import Home
from forge_pipelines.definitions import defs
from forge_pipelines.lib.io_managers import JsonOutputs
from forge_pipelines.lib.resources import BarStoreResource


def test_the_store_is_a_duckdb_resource_of_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path))
    resource = defs.resources["store"]
    assert isinstance(resource, DuckDBResource)
    with resource.get_connection() as connection:
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (0,)
    assert Home.current().store.is_file()


def test_a_connection_is_closed_after_an_exception_and_the_store_stays_usable(tmp_path):
    resource = BarStoreResource(database=str(tmp_path / "bars.duckdb"), wait_seconds=0.0)
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
