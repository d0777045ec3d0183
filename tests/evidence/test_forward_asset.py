"""The asset ``champion_forward``: its page, its check, and how it follows refreshes."""

from pathlib import Path

import dagster as dg
import pytest

from forge_core.evidence.following.champion_forward import read_forward
from forge_core.evolution.steps import load_study, run_study
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from tests.market.bar_tables import walk
from tests.pipelines.workspace import TINY, Workspace, load_definitions

pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")  # of Dagster's own automation tester
FORWARD, CHAMPION = dg.AssetKey("champion_forward"), dg.AssetKey("champion")


@pytest.fixture
def definitions(tmp_path, monkeypatch) -> dg.Definitions:
    """A project whose study ``tiny`` is complete: it saw days up to 2018, and the store ends with that year."""
    for name, value in Workspace.make(Path(tmp_path), TINY).environment.items():
        monkeypatch.setenv(name, value)
    run_study(load_study("tiny"))
    return load_definitions()


def test_it_follows_a_refresh_that_brings_bars(definitions: dg.Definitions) -> None:
    job = definitions.resolve_implicit_global_asset_job_def()

    def materialize(asset: str, partition: str) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(asset)], partition_key=partition, raise_on_error=False
        )

    def asked(cursor=None):
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
        return result.get_requested_partitions(FORWARD), result.cursor

    with dg.DagsterInstance.ephemeral() as instance:
        wanted, cursor = asked()
        assert wanted == set()
        for asset, partition in (("raw_ohlcv", "SP500"), ("champion", "tiny")):
            assert materialize(asset, partition).success
        wanted, cursor = asked(cursor)
        assert wanted == {"tiny"}  # without a verdict, and not for studies that have no champion
        first = materialize("champion_forward", "tiny")
        assert first.success
        wanted, cursor = asked(cursor)
        assert wanted == set()
        with BarStore(Home.current().store) as store:
            store.upsert("SP500", "1d", walk(30, "1d", "2018-12-31").iloc[1:], source="mine")
        assert materialize("raw_ohlcv", "SP500").success
        wanted, cursor = asked(cursor)
        assert wanted == {"tiny"}
        second = materialize("champion_forward", "tiny")
        (event,) = second.get_asset_materialization_events()
        found = read_forward("tiny")
        assert found is not None
        assert event.materialization.metadata["sentence"].value == found.sentence
        assert event.materialization.metadata["days"].value == found.days > 20
        assert "data:image/png" in str(event.materialization.metadata["picture"].value)
        (check,) = second.get_asset_check_evaluations()
        assert (check.asset_key, check.check_name, check.passed) == (FORWARD, "behaves_as_found", found.behaves)
        assert check.description == found.sentence


def test_its_edges_are_the_champion_the_verdict_and_the_bars(definitions: dg.Definitions) -> None:
    spec = next(spec for spec in definitions.resolve_all_asset_specs() if spec.key == FORWARD)
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {"champion", "verdict", "raw_ohlcv"}
    target = definitions.resolve_sensor_def("follow_new_bars").asset_selection
    assert FORWARD in target.resolve(definitions.resolve_asset_graph())


def test_a_study_that_is_not_complete_is_left_alone(tmp_path, monkeypatch) -> None:
    for name, value in Workspace.make(Path(tmp_path), TINY).environment.items():
        monkeypatch.setenv(name, value)
    job = load_definitions().resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, asset_selection=[FORWARD], partition_key="tiny")
        assert result.success
        assert not result.get_asset_materialization_events()
