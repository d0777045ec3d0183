"""``dagster job execute -j evolve`` as a user types it: the tables it writes and what the instance knows afterwards."""

import re
from collections.abc import Iterator

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from tests.pipelines.workspace import REPOSITORY, Outcome, Workspace, load_definitions

GENERATIONS = {f"tiny-g{number:04d}" for number in range(1, 7)}


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Outcome]:
    """A workspace in which the tiny study was evolved, and what the command printed."""
    workspace = Workspace.make(tmp_path_factory.mktemp("evolved"))
    outcome = workspace.run()
    assert outcome.code == 0, outcome.output
    return workspace, outcome


@pytest.fixture
def instance(evolved: tuple[Workspace, Outcome]) -> Iterator[dg.DagsterInstance]:
    with evolved[0].instance() as opened:
        yield opened


def newest(instance: dg.DagsterInstance, asset: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


def materializations(workspace: Workspace) -> list[int]:
    with workspace.instance() as opened:
        keys = opened.get_asset_keys()
        return [e.storage_id for key in keys for e in opened.fetch_materializations(key, limit=1000).records]


def test_it_writes_a_table_for_every_generation_and_a_front(evolved):
    tables = evolved[0].tables()
    assert {name for name in tables if name.startswith("generations/")} == {
        f"generations/{number:04d}.parquet" for number in range(1, 7)
    }
    assert tables["pareto_front.parquet"].num_rows >= 1
    assert tables["generations/0001.parquet"].num_rows == 16


def test_it_tells_how_far_it_is_and_what_it_found(evolved):
    lines = evolved[1].output.splitlines()
    progress = [line.split("generation ")[1] for line in lines if " of 6 (" in line]
    assert progress
    assert all(re.match(r"\d of 6 \(\d+%(, \d+ s left)?\): \d+ of 16 survivors feasible", line) for line in progress)
    assert len(set(progress)) == len(progress)
    assert any("epoch 2 of 2" in line for line in lines)
    assert any(line.startswith("holdout   NASDAQ_BULL_2016") for line in lines)
    assert not any("Skipping step" in line for line in lines)
    assert not any("BetaWarning" in line for line in lines)


@pytest.mark.parametrize(
    ("asset", "partitions"),
    [
        ("raw_ohlcv", {"SP500", "NASDAQ"}),
        ("regime_dataset", {"SP500_BEAR_2008", "NASDAQ_BULL_2016"}),
        ("indicator_bank", {"SP500_BEAR_2008", "NASDAQ_BULL_2016"}),
        ("generation_fitness", GENERATIONS),
        ("pareto_front", {"tiny"}),
        ("champion", {"tiny"}),
    ],
)
def test_the_instance_knows_every_partition(instance, asset, partitions):
    assert instance.get_materialized_partitions(dg.AssetKey(asset)) == partitions


def test_each_generation_is_recorded_once_and_before_the_epoch_is_over(instance):
    records = instance.fetch_materializations(dg.AssetKey("generation_fitness"), limit=100).records
    assert sorted(record.partition_key for record in records) == sorted(GENERATIONS)
    (run,) = instance.get_runs()
    steps = {record.partition_key: record.event_log_entry.step_key for record in records}
    assert all(step.startswith("evolve_island") for step in steps.values()), steps
    assert run.is_finished


def test_no_asset_is_stale_after_its_own_run(instance):
    graph = load_definitions().resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    partitions = {"raw_ohlcv": "SP500", "regime_dataset": "SP500_BEAR_2008", "indicator_bank": "SP500_BEAR_2008"}
    for name, partition in {
        **partitions,
        "generation_fitness": "tiny-g0006",
        "pareto_front": "tiny",
        "champion": "tiny",
    }.items():
        assert resolver.get_stale_causes(dg.AssetKey(name), partition) == [], name


def test_the_pages_show_figures_tables_and_pictures(evolved, instance):
    dataset = newest(instance, "regime_dataset").metadata
    assert dataset["price"].value.startswith("![price](data:image/png;base64,")
    assert dataset["regime"].value in ("bear", "bull")
    generation = newest(instance, "generation_fitness").metadata
    assert generation["evaluated"].value > 0
    assert generation["hypervolume"].value >= 0
    front = newest(instance, "pareto_front").metadata
    assert front["dagster/row_count"].value == evolved[0].champion()["front_size"]
    champion = newest(instance, "champion").metadata
    header = champion["metrics"].value.splitlines()[0]
    assert "train: SP500_BEAR_2008 | holdout: NASDAQ_BULL_2016" in header
    assert "timeframe: 1d" in champion["yaml"].value
    assert champion["equity_picture"].value.startswith("![equity](data:image/png;base64,")


def test_the_champion_is_checked(instance):
    for asset, names in (("pareto_front", {"not_empty"}), ("champion", {"profit_on_holdout", "trades_on_holdout"})):
        keys = [dg.AssetCheckKey(dg.AssetKey(asset), name) for name in names]
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        assert set(records) == set(keys)


def test_the_run_is_tagged_with_its_study(instance):
    (run,) = instance.get_runs(filters=dg.RunsFilter(tags={"forge/study": "tiny"}))
    assert run.status == dg.DagsterRunStatus.SUCCESS


def test_the_run_is_on_the_timeline_which_shows_only_runs_of_a_code_location(instance):
    (run,) = instance.get_runs()
    location = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert run.remote_job_origin.location_name == location
    label = f"{run.remote_job_origin.repository_origin.repository_name}@{location}"
    assert [r.run_id for r in instance.get_runs(dg.RunsFilter(tags={".dagster/repository": label}))] == [run.run_id]


def test_again_it_says_that_the_study_is_complete_and_changes_nothing(evolved):
    workspace, _ = evolved
    before = {path: path.stat().st_mtime_ns for path in workspace.study.rglob("generation*.parquet")}
    events = materializations(workspace)
    outcome = workspace.run()
    assert outcome.code == 0
    assert "study tiny is complete" in outcome.output
    assert {path: path.stat().st_mtime_ns for path in workspace.study.rglob("generation*.parquet")} == before
    assert materializations(workspace) == events


def test_a_wrong_name_is_answered_with_the_right_one_and_nothing_is_written(evolved, tmp_path):
    home = tmp_path / "home"
    outcome = evolved[0].run(FORGE_STUDY="tinny", FORGE_HOME=str(home))
    assert outcome.code != 0
    assert "unknown study 'tinny' (did you mean 'tiny'?)" in outcome.output
    assert "Traceback" not in outcome.output
    assert "Stack Trace" not in outcome.output
    assert not home.exists()
