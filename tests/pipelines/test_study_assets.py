"""Generations, fronts and champions materialized from their own pages: evolved, resumed and made again."""

import json

import dagster as dg
import pytest

from forge_core.evolution.steps import load_study, run_study
from tests.pipelines.workspace import TINY, Workspace, load_definitions

KEYS = [f"tiny-g{number:04d}" for number in range(1, 7)]


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """A project with the study ``tiny``, in which this process works."""
    made = Workspace.make(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Tables and champion of the study evolved in one go, without Dagster."""
    with pytest.MonkeyPatch.context() as patch:
        workspace = Workspace.make(tmp_path_factory.mktemp("undisturbed"))
        for name, value in workspace.environment.items():
            patch.setenv(name, value)
        run_study(load_study("tiny"))
        return workspace.tables(), workspace.champion()


def materialize(instance: dg.DagsterInstance, *assets: str, partition: str, last: str | None = None, **config):
    """Materialize a partition of some assets, or for one asset the range of partitions up to ``last``."""
    tags = {"dagster/asset_partition_range_start": partition, "dagster/asset_partition_range_end": last}
    graph = "evolve_generations" if assets == ("generation_fitness",) else "evolve_study"
    return (
        load_definitions()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            raise_on_error=False,
            run_config={"ops": {graph: {"ops": {"plan": {"config": config}}}}} if config else None,
            **({"tags": tags} if last else {"partition_key": partition}),
        )
    )


def recorded(result: dg.ExecuteInProcessResult, asset: str) -> list[str]:
    events = result.get_asset_materialization_events()
    return [event.partition for event in events if event.asset_key == dg.AssetKey(asset)]


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.description


def evaluations_of_holdout(workspace: Workspace) -> list[int]:
    files = (workspace.home / "ledger" / "holdout").rglob("*.json")
    return [json.loads(path.read_text())["evaluation"] for path in files]


def test_studies_and_generations_are_partitions_before_anything_has_run(workspace):
    defs = load_definitions()
    partitions = {a: defs.resolve_assets_def(a).partitions_def for a in ("champion", "generation_fitness")}
    assert partitions["champion"].get_partition_keys() == ["tiny"]
    assert partitions["generation_fitness"].get_partition_keys() == KEYS


def test_a_study_file_that_is_damaged_stays_a_partition_and_says_what_is_wrong_when_materialized(workspace, instance):
    (workspace.root / "project" / "studies" / "bad.yaml").write_text("train: [\n")
    assert "bad.yaml" in failure(materialize(instance, "champion", partition="bad"))
    assert materialize(instance, "generation_fitness", partition=KEYS[0]).success


def test_a_champion_that_was_never_evolved_is_evolved_and_one_that_lost_its_files_gets_the_same_again(
    workspace, instance, undisturbed
):
    first = materialize(instance, "champion", partition="tiny")
    assert first.success
    assert recorded(first, "champion") == ["tiny"]
    assert recorded(first, "generation_fitness") == KEYS
    assert (workspace.tables(), workspace.champion()) == undisturbed
    assert evaluations_of_holdout(workspace) == [1]
    for name in ("pareto_front.parquet", "champion.yaml", "champion.json", "generations/0003.parquet"):
        (workspace.study / name).unlink()
    again = materialize(instance, "champion", partition="tiny")
    assert again.success
    assert recorded(again, "champion") == ["tiny"]
    assert recorded(again, "generation_fitness") == []  # the same content: the instance has it
    assert (workspace.tables(), workspace.champion()) == undisturbed
    assert evaluations_of_holdout(workspace) == [1]


def test_the_front_alone_leaves_the_champion_as_it_is(workspace, instance):
    assert materialize(instance, "pareto_front", "champion", partition="tiny").success
    champion = workspace.study / "champion.json"
    champion.write_text(champion.read_text() + " ")
    (workspace.study / "champion.yaml").unlink()
    front = materialize(instance, "pareto_front", partition="tiny")
    assert front.success
    assert recorded(front, "pareto_front") == ["tiny"]
    assert recorded(front, "champion") == []
    assert champion.read_text().endswith(" ")
    assert not (workspace.study / "champion.yaml").exists()


def test_generations_are_evolved_up_to_the_last_one_chosen_and_the_rest_follows(workspace, instance, undisturbed):
    two = materialize(instance, "generation_fitness", partition=KEYS[1])
    assert two.success
    assert recorded(two, "generation_fitness") == KEYS[:2]
    assert sorted(path.stem for path in (workspace.study / "island=0").glob("*.parquet")) == [
        "generation=0001",
        "generation=0002",
    ]
    middle = materialize(instance, "generation_fitness", partition=KEYS[2], last=KEYS[4])  # over the end of an epoch
    assert recorded(middle, "generation_fitness") == KEYS[2:5]
    rest = materialize(instance, "champion", partition="tiny")
    assert recorded(rest, "generation_fitness") == KEYS[5:]
    assert (workspace.tables(), workspace.champion()) == undisturbed


def test_a_generation_that_is_recorded_is_recorded_again_when_it_is_chosen(workspace, instance):
    materialize(instance, "generation_fitness", partition=KEYS[0], last=KEYS[3])
    written = {path: path.stat().st_mtime_ns for path in workspace.study.glob("island=*/*.parquet")}
    again = materialize(instance, "generation_fitness", partition=KEYS[2])
    assert again.success
    assert recorded(again, "generation_fitness") == [KEYS[2]]
    assert {path: path.stat().st_mtime_ns for path in workspace.study.glob("island=*/*.parquet")} == written


def test_generations_of_two_studies_are_refused_by_name(workspace, instance):
    (workspace.root / "project" / "studies" / "other.yaml").write_text(TINY)
    result = materialize(instance, "generation_fitness", partition="other-g0005", last=KEYS[0])
    assert "generations of 2 studies were chosen (other, tiny)" in failure(result)


def test_a_generation_after_the_end_of_a_study_that_stalled_is_refused(workspace, instance):
    study = workspace.root / "project" / "studies" / "tiny.yaml"
    text = TINY.replace("generations: 6", "generations: 12").replace("epochs: 2", "epochs: 4")
    study.write_text(text + "stall: {generations: 3, gain: 0.9}\n")
    result = materialize(instance, "generation_fitness", partition="tiny-g0001", last="tiny-g0012")
    assert "stopped early: generation 6 is its last, not 12" in failure(result)
    assert recorded(result, "generation_fitness") == KEYS
    assert materialize(instance, "champion", partition="tiny").success
    keys = load_definitions().resolve_assets_def("generation_fitness").partitions_def.get_partition_keys()
    assert keys == KEYS


def test_a_study_that_was_started_is_resumed_as_it_was_whatever_its_file_says_now(workspace, instance, undisturbed):
    materialize(instance, "generation_fitness", partition=KEYS[2])
    (workspace.root / "project" / "studies" / "tiny.yaml").write_text(TINY.replace("population: 16", "population: 20"))
    assert materialize(instance, "champion", partition="tiny").success
    assert workspace.tables() == undisturbed[0]


def test_values_of_the_launchpad_are_part_of_a_study_that_is_new(workspace, instance):
    assert materialize(instance, "champion", partition="tiny", generations=2, population=8).success
    assert workspace.tables()["generations/0001.parquet"].num_rows == 8
    assert "leave study empty" in failure(materialize(instance, "champion", partition="tiny", study="other"))


def test_the_study_travels_with_the_run_and_not_with_the_environment_of_the_step(workspace, instance, monkeypatch):
    job = load_definitions().resolve_job_def("evolve")
    monkeypatch.setenv("FORGE_STUDY", "nosuch")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success
    assert recorded(result, "champion") == ["tiny"]
    asked = load_definitions().resolve_job_def("evolve").execute_in_process(instance=instance, raise_on_error=False)
    assert "unknown study 'nosuch'" in failure(asked)
