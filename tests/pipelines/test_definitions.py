"""What Dagster loads: the whole line of assets, how their partitions hang together, and a job anyone can launch."""

import ast
import itertools
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.utils import get_builtin_partition_mapping_types

from forge_core.evolution.steps import load_study
from forge_core.market.reference.catalog import load_catalog
from forge_core.market.reference.instruments import load_instruments
from forge_pipelines.definitions import defs
from forge_pipelines.defs.evolution.request import EvolveConfig, with_changes
from forge_pipelines.lib.partitions import (
    DATASETS,
    GENERATIONS,
    GENERATIONS_OF_STUDY,
    HOLDOUT_OF_STUDY,
    STUDIES,
    SYMBOL_OF_DATASET,
    SYMBOLS,
    TRAIN_OF_GENERATION,
    generation_key,
)
from forge_pipelines.lib.studies import study_outlines
from tests.pipelines.workspace import REPOSITORY

LINE = ["raw_ohlcv", "regime_dataset", "indicator_bank", "generation_fitness", "pareto_front", "champion"]
SWEEP = ["raw_ohlcv", "mass_test_results", "strategy_ranking"]
EVIDENCE = ["luck_test", "walk_forward", "robustness", "verdict"]
FORWARD = {"champion_forward": {"champion", "verdict", "raw_ohlcv"}}


def test_they_load():
    dg.Definitions.validate_loadable(defs)


def test_the_assets_form_two_lines_from_the_same_bars():
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {*LINE, *SWEEP, *EVIDENCE, *FORWARD}
    for parent, child in [*itertools.pairwise(LINE), *itertools.pairwise(SWEEP)]:
        more = {dg.AssetKey("indicator_bank")} if child == "champion" else set()  # of the holdout
        assert graph.get(dg.AssetKey(child)).parent_keys == {dg.AssetKey(parent), *more}
    for name in EVIDENCE:
        before = {dg.AssetKey(other) for other in EVIDENCE[:-1] if name == "verdict"}
        assert graph.get(dg.AssetKey(name)).parent_keys == {dg.AssetKey("champion"), *before}
    for name, parents in FORWARD.items():
        assert graph.get(dg.AssetKey(name)).parent_keys == {dg.AssetKey(parent) for parent in parents}


def test_every_edge_to_another_partitions_definition_has_a_mapping_that_the_ui_can_load():
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        for parent in node.parent_keys:
            mapping = node.partition_mappings.get(parent)
            same = node.partitions_def == graph.get(parent).partitions_def
            assert same or isinstance(mapping, get_builtin_partition_mapping_types()), (key, parent)


def test_a_study_depends_on_its_own_datasets_and_generations_alone():
    outline = study_outlines()["quickstart"]

    def upstream(mapping, downstream, key, upstream_def):
        subset = downstream.subset_with_partition_keys([key])
        found = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, downstream, upstream_def)
        return set(found.partitions_subset.get_partition_keys())

    generation = generation_key("quickstart", 7)
    assert upstream(TRAIN_OF_GENERATION, GENERATIONS, generation, DATASETS) == set(outline.train)
    assert upstream(GENERATIONS_OF_STUDY, STUDIES, "quickstart", GENERATIONS) == {
        generation_key("quickstart", number) for number in range(1, outline.generations + 1)
    }
    assert upstream(HOLDOUT_OF_STUDY, STUDIES, "quickstart", DATASETS) == set(outline.holdout)


def test_every_asset_says_what_it_is():
    for asset in defs.resolve_all_asset_specs():
        assert len(asset.description or "") > 60, asset.key
        assert asset.group_name in ("market", "features", "evolution", "evidence", "mass_test")


def test_symbols_and_datasets_are_those_declared():
    assert set(SYMBOLS.get_partition_keys()) == set(load_instruments())
    assert set(DATASETS.get_partition_keys()) == set(load_catalog())


def test_a_dataset_depends_on_its_own_symbol_alone():
    for name, spec in load_catalog().items():
        upstream = SYMBOL_OF_DATASET.get_upstream_mapped_partitions_result_for_partitions(
            DATASETS.subset_with_partition_keys([name]), DATASETS, SYMBOLS
        )
        assert set(upstream.partitions_subset.get_partition_keys()) == {spec.symbol}


def test_bars_that_are_not_sound_stop_what_comes_after():
    graph = defs.resolve_asset_graph()
    blocking = {key: graph.get(key).blocking for key in graph.asset_check_keys}
    assert {(k.asset_key.to_user_string(), k.name) for k, stops in blocking.items() if stops} == {
        ("raw_ohlcv", "sound_bars"),
        ("regime_dataset", "sound_bars"),
        ("regime_dataset", "enough_bars"),
    }


def test_the_launchpad_of_evolve_shows_one_flat_default():
    fields = defs.resolve_job_def("evolve").run_config_schema.config_mapping.config_schema.config_type.fields
    assert set(fields) == {"study", "seed", "population", "generations"}
    assert all(field.default_provided and field.description for field in fields.values())


def test_the_refresh_is_declared_but_not_switched_on():
    schedule = defs.resolve_schedule_def("daily_refresh")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    morning = datetime(2024, 5, 1, 9, 0, tzinfo=UTC)
    context = dg.build_schedule_context(repository_def=defs.get_repository_def(), scheduled_execution_time=morning)
    asked = schedule.evaluate_tick(context)
    symbols = {spec.symbol for spec in load_catalog().values()}
    assert {request.partition_key for request in asked.run_requests} == symbols


def test_generation_keys_sort_as_the_generations_do():
    keys = [generation_key("tiny", number) for number in (1, 9, 10, 100, 9999)]
    assert keys == sorted(keys)


def test_what_a_run_asks_for_becomes_part_of_the_study():
    declared = load_study("quickstart")
    spec = with_changes(declared, EvolveConfig(seed=99, population=40))
    assert (spec.seed, spec.population, spec.train) == (99, 40, declared.train)


def test_an_impossible_request_is_refused_with_its_value():
    with pytest.raises(ValueError, match=r"population.*-3"):
        with_changes(load_study("quickstart"), EvolveConfig(population=-3))


def test_imports_go_one_way():
    """definitions -> jobs -> assets -> the rest: nobody imports what stands before it."""
    order = ["definitions", "preload", "schedules", "sensors", "jobs", "checks", "quality_checks", "assets"]
    for path in (REPOSITORY / "forge_pipelines").rglob("*.py"):
        own = path.relative_to(REPOSITORY / "forge_pipelines").parts[0].removesuffix(".py")
        rank = order.index(own) if own in order else len(order)
        for name in imported(path):
            if name.startswith("forge_pipelines."):
                other = name.split(".")[1]
                allowed = own == "preload" or other not in order[:rank]
                assert allowed, f"{path} imports {name}"


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
