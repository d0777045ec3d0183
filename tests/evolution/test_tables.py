"""Tables: what is written is what is read; what is damaged or another study's is named."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forge_core.errors import DataError
from forge_core.evolution.search.evaluation import Evaluation
from forge_core.evolution.search.generation import Generation, Individual, Timing
from forge_core.evolution.search.genes import Gene
from forge_core.evolution.storage.tables import TableFormat, table_hash
from forge_core.files import write_table
from forge_core.metrics.catalog import METRIC_INDEX, METRICS

from .plays import OBJECTIVES, individual, made_up

GENES = [Gene("a", 7), Gene("b", 5), Gene("c", 3)]
TABLES = TableFormat("0123456789abcdef", GENES, ["A"], OBJECTIVES)


def a_generation() -> tuple[Generation, list[Individual]]:
    parents = [individual(number) for number in (3, 1, 2)]
    failed = Individual(2, 0, 1, (1, 2, 0), "f" * 16, OBJECTIVES.failed(1, "A: ValueError: no"))
    children = [
        individual(8, born=2),
        failed,
        Individual(2, 0, 2, (0, 0, 1), parents[0].play, parents[0].evaluation, True),
    ]
    return Generation(tuple(children), (children[0], parents[0], parents[2]), (), Timing()), parents


def same(a: Individual, b: Individual) -> None:
    assert a == b
    np.testing.assert_array_equal(a.evaluation.metrics, b.evaluation.metrics)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    generation, parents = a_generation()
    TABLES.write(tmp_path / "t.parquet", TABLES.table(generation, parents))
    table = TABLES.read(tmp_path / "t.parquet")
    for found, written in zip(TABLES.individuals(table), [*parents, *generation.offspring], strict=True):
        same(found, written)
    for found, written in zip(TABLES.survivors(table), generation.survivors, strict=True):
        same(found, written)
    assert table["survivor"].to_pylist() == [True, False, True, True, False, False]
    assert table["rank"].to_pylist() == [1, -1, 2, 0, -1, -1]
    assert table["error"].to_pylist() == [None] * 4 + ["A: ValueError: no", None]
    assert table["is_duplicate"].to_pylist() == [False] * 5 + [True]


def test_no_nan_no_infinity_and_no_clock(tmp_path: Path) -> None:
    generation, parents = a_generation()
    table = TABLES.table(generation, parents)
    for column in table.columns:
        assert not pa.types.is_temporal(column.type)
        if pa.types.is_floating(column.type):
            assert all(value is None or math.isfinite(value) for value in column.to_pylist())
    assert table["A.profit_factor"].null_count == table.num_rows
    assert table["A.sharpe"].to_pylist()[0] == parents[0].evaluation.metrics[0, METRIC_INDEX["sharpe"]]


def test_the_columns() -> None:
    names = TABLES.schema.names
    assert names[:11] == [
        "id",
        "born",
        "island",
        "child_index",
        "play",
        "is_duplicate",
        "survivor",
        "rank",
        "feasible",
        "violation",
        "error",
    ]
    assert names[11:14] == ["objective.sharpe", "objective.max_drawdown", "constraint.min_trades"]
    assert names[14:-1] == [f"A.{metric.name}" for metric in METRICS]
    assert names[-1] == "genes"
    assert TABLES.schema.metadata[b"forge.genes"] == b'["a","b","c"]'


def test_the_same_generation_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generation, parents = a_generation()
        TABLES.write(tmp_path / name, TABLES.table(generation, parents))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_hash_is_of_values(tmp_path: Path) -> None:
    generation, parents = a_generation()
    table = TABLES.table(generation, parents)
    pq.write_table(table, tmp_path / "other", compression="none", row_group_size=2)
    assert table_hash(pq.read_table(tmp_path / "other")) == table_hash(table)
    fewer = TABLES.table(generation, parents[:2])
    assert table_hash(fewer) != table_hash(table)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_damaged_table_is_named(tmp_path: Path, keep: float) -> None:
    generation, parents = a_generation()
    path = tmp_path / "generation=0002.parquet"
    TABLES.write(path, TABLES.table(generation, parents))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep >= 1 or keep == 0 else keep * len(whole))])
    with pytest.raises(DataError, match=r"generation=0002\.parquet is damaged.*delete it"):
        TABLES.read(path)


def test_another_studys_table_is_refused(tmp_path: Path) -> None:
    generation, parents = a_generation()
    path = tmp_path / "t.parquet"
    for other in (
        TableFormat("another manifest", GENES, ["A"], OBJECTIVES),
        TableFormat("0123456789abcdef", [*GENES, Gene("d", 2)], ["A"], OBJECTIVES),
        TableFormat("0123456789abcdef", GENES, ["B"], OBJECTIVES),
    ):
        TABLES.write(path, TABLES.table(generation, parents))
        with pytest.raises(DataError, match="was not written by this study"):
            other.read(path)
    write_table(path, pa.table({"x": [1]}))
    with pytest.raises(DataError, match="was not written by this study"):
        TABLES.read(path)
    with pytest.raises(FileNotFoundError):
        TABLES.read(tmp_path / "none.parquet")


def test_several_datasets(tmp_path: Path) -> None:
    tables = TableFormat("m", GENES, ["A", "B"], OBJECTIVES)
    child = Individual(1, 0, 0, (0, 1, 2), "a" * 16, made_up("a" * 16, datasets=2))
    tables.write(tmp_path / "t", tables.table(Generation((child,), (child,), (), Timing()), []))
    found: Evaluation = tables.individuals(tables.read(tmp_path / "t"))[0].evaluation
    np.testing.assert_array_equal(found.metrics, child.evaluation.metrics)
    assert found.metrics.shape == (2, len(METRICS))
