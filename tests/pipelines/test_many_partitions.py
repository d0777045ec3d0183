"""Thousands of generations and a hundred datasets: queries, definitions and pages stay as with a few."""

import contextlib
import sqlite3
from collections.abc import Iterator

import dagster as dg
import pytest
import sqlalchemy
import yaml

from forge_core.market.reference.catalog import load_catalog
from forge_pipelines.lib.materialization import recorded_tags
from forge_pipelines.lib.partitions import generation_key
from tests.pipelines.workspace import TINY, Workspace, load_definitions

ASSET = dg.AssetKey("generation_fitness")
COUNT = 10_000


@contextlib.contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Collect the statements that are sent to any database."""
    statements: list[str] = []

    def add(_connection, _cursor, statement, *_: object) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", add)
    try:
        yield statements
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", add)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Iterator[dg.DagsterInstance]:
    """An instance in which ``COUNT`` generations are recorded: one by Dagster, the others as copies of its row."""
    folder = tmp_path_factory.mktemp("many")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        first = generation_key("tiny", 1)
        instance.report_runless_asset_event(dg.AssetMaterialization(ASSET, partition=first, tags={"forge/x": "1"}))
        path = next(folder.rglob("index.db"))
        with contextlib.closing(sqlite3.connect(path)) as database:
            columns = [row[1] for row in database.execute("PRAGMA table_info(event_logs)") if row[1] != "id"]
            row = database.execute(
                f"SELECT {', '.join(columns)} FROM event_logs WHERE partition = ?", [first]
            ).fetchone()
            copies = (
                [value.replace(first, generation_key("tiny", n)) if isinstance(value, str) else value for value in row]
                for n in range(2, COUNT + 1)
            )
            marks = ", ".join("?" * len(columns))
            database.executemany(f"INSERT INTO event_logs ({', '.join(columns)}) VALUES ({marks})", copies)
            database.commit()
        yield instance


def test_what_is_recorded_of_many_generations_is_read_by_few_queries(recorded):
    keys = [generation_key("tiny", number) for number in range(1, COUNT + 1)]
    counts = {}
    for size in (50, COUNT):
        with counted_queries() as statements:
            tags = recorded_tags(recorded, "generation_fitness", keys[:size])
        assert list(tags) == keys[:size]
        assert all(len(events) == 1 and events[0]["forge/x"] == "1" for events in tags.values())
        counts[size] = len(statements)
    assert counts[COUNT] <= counts[50] * COUNT / 1000


def test_one_generation_and_the_list_of_all_are_one_query_as_with_few(recorded):
    where = dg.AssetRecordsFilter(asset_key=ASSET, asset_partitions=[generation_key("tiny", COUNT)])
    for look in (
        lambda: recorded.fetch_materializations(where, limit=1).records,
        lambda: recorded.get_materialized_partitions(ASSET),
        lambda: recorded.get_latest_storage_id_by_partition(ASSET, dg.DagsterEventType.ASSET_MATERIALIZATION),
    ):
        with counted_queries() as statements:
            assert look()
        assert len(statements) <= 2


def test_definitions_load_with_many_generations_and_a_hundred_datasets(tmp_path, monkeypatch):
    workspace = Workspace.make(tmp_path, TINY.replace("generations: 6", f"generations: {COUNT}"))
    catalog = workspace.root / "project" / "datasets" / "catalog.yaml"
    declared = yaml.safe_load(catalog.read_text())
    name = "SP500_BEAR_2008"
    more = {f"{name}_{number}": declared["datasets"][name] for number in range(100)}
    catalog.write_text(yaml.safe_dump({**declared, "datasets": {**declared["datasets"], **more}}))
    for key, value in workspace.environment.items():
        monkeypatch.setenv(key, value)
    assert len(load_catalog()) >= 100
    definitions = load_definitions()
    generations = definitions.resolve_assets_def(ASSET).partitions_def
    assert len(generations.get_partition_keys()) == COUNT
    bank = dg.AssetKey("indicator_bank")
    graph = definitions.resolve_asset_graph()
    mapping, datasets = graph.get(ASSET).partition_mappings[bank], graph.get(bank).partitions_def
    last = generations.subset_with_partition_keys([generation_key("tiny", COUNT)])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(last, generations, datasets)
    assert set(found.partitions_subset.get_partition_keys()) == {name}
