"""`forge sql` writes nothing: every kind of statement, in every wrapping, with the parser's check and without it."""

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError, DataError, ForgeError
from forge_core.files import write_table
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.sql import query as sql_query
from forge_core.sql.query import run_query
from tests.market.bar_tables import walk

# {home}: the home that must stay as it is; {out}: a folder outside it
STATEMENTS = {
    "ALTER": ["ALTER TABLE bars ADD COLUMN x INTEGER", "COMMENT ON TABLE bars IS 'x'"],
    "ANALYZE": ["ANALYZE"],
    "ATTACH": ["ATTACH '{out}/x.duckdb'", "ATTACH '{home}/forge.duckdb' AS again"],
    "CALL": [
        "CALL checkpoint()",
        "CALL force_checkpoint()",
        "CALL enable_logging(storage='file', storage_path='{out}')",
    ],
    "COPY": [
        "COPY (SELECT 1 a) TO '{home}/forge.duckdb'",
        "COPY (SELECT 1 a) TO '{home}/studies/one/pareto_front.parquet' (FORMAT parquet)",
        "COPY fronts TO '{out}/x.csv'",
        "COPY fronts FROM '{home}/x.csv'",
    ],
    "COPY_DATABASE": ["COPY FROM DATABASE store TO memory"],
    "CREATE": [
        "CREATE TABLE x AS SELECT 1",
        "CREATE OR REPLACE VIEW fronts AS SELECT 1",
        "CREATE SCHEMA x",
        "CREATE SEQUENCE x",
        "CREATE TYPE x AS ENUM ('a')",
        "CREATE INDEX x ON bars (symbol)",
        "CREATE MACRO x(a) AS a",
        "CREATE PERSISTENT SECRET x (TYPE http)",
    ],
    "DELETE": ["DELETE FROM bars", "DELETE FROM store.bars RETURNING *", "TRUNCATE store.bars"],
    "DETACH": ["DETACH store"],
    "DROP": ["DROP VIEW bars", "DROP TABLE store.bars", "DEALLOCATE p"],
    "EXECUTE": ["EXECUTE p"],
    "EXPORT": ["EXPORT DATABASE '{out}/x'"],
    "INSERT": ["INSERT INTO store.bars SELECT * FROM store.bars", "INSERT INTO store.bars FROM store.bars RETURNING *"],
    "LOAD": ["INSTALL httpfs", "FORCE INSTALL httpfs", "LOAD httpfs"],
    "MERGE_INTO": ["MERGE INTO store.bars USING fronts ON true WHEN MATCHED THEN DELETE"],
    "MULTI": ["PIVOT store.bars ON symbol USING count(*)", "IMPORT DATABASE '{home}'"],
    "PRAGMA": ["PRAGMA version", "PRAGMA enable_profiling", "IMPORT DATABASE '{home}'"],
    "PREPARE": ["PREPARE p AS SELECT 1"],
    "SET": ["SET threads = 1", "RESET threads", "USE store", "SET GLOBAL enable_external_access = true"],
    "TRANSACTION": ["BEGIN", "COMMIT", "ROLLBACK"],
    "UPDATE": ["UPDATE store.bars SET close = 0", "UPDATE store.bars SET close = 0 RETURNING *"],
    "VACUUM": ["VACUUM", "VACUUM store.bars"],
    "VARIABLE_SET": ["SET VARIABLE x = 1"],
    "EXTENSION": ["CHECKPOINT", "FORCE CHECKPOINT store", "UPDATE EXTENSIONS"],
}
WRAPPINGS = [
    "{0}",
    "EXPLAIN {0}",
    "explain/**/analyze {0}",
    "EXPLAIN ANALYZE {0}",
    "EXPLAIN (FORMAT json) {0}",
    "EXPLAIN (ANALYZE, FORMAT json) {0}",
    "-- SELECT\n/* SELECT */ {0}",
    "SELECT 1; {0}",
    "{0}; SELECT 1",
    "PREPARE p AS {0}",
    "DESCRIBE {0}",
    "SUMMARIZE {0}",
    "WITH x AS ({0}) SELECT * FROM x",
    "WITH x AS MATERIALIZED ({0}) SELECT 1",
    "WITH y AS (WITH x AS ({0}) SELECT * FROM x) SELECT * FROM y",
    "EXPLAIN ANALYZE WITH x AS ({0}) SELECT * FROM x",
    "SELECT * FROM ({0})",
    "SELECT ({0})",
    "SELECT * FROM query($${0}$$)",
    "SELECT * FROM query($$WITH x AS ({0}) SELECT * FROM x$$)",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql($${0}$$))",
]
# kinds that DuckDB's parser gives no text: it calls ANALYZE a VACUUM, COPY DATABASE a MULTI, SET VARIABLE a SET
NEVER_PARSED = {"INVALID", "LOGICAL_PLAN", "RELATION", "CREATE_FUNC", "EXTENSION"}
ELSEWHERE = {"ANALYZE", "COPY_DATABASE", "VARIABLE_SET", "SELECT", "EXPLAIN"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("read only") / "home")
    with BarStore(home.store) as store:
        store.upsert("BTCUSDT", "15m", walk(50), source="a")
    write_table(home.study("one") / "pareto_front.parquet", pa.table({"id": ["a"], "play": ["f00"]}))
    for generation in (1, 2, 3):
        table = pa.table({"id": ["a", "b"], "objective.sharpe": [1.0, float(generation)]})
        write_table(home.study("one") / "generations" / f"{generation:04d}.parquet", table)
    return home


def contents(*folders: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def attempts(home: Home, out: Path, wrappings: list[str] = WRAPPINGS) -> list[str]:
    found = [text for texts in STATEMENTS.values() for text in texts]
    return [
        wrapping.replace("{0}", text.replace("{home}", str(home.root)).replace("{out}", str(out)))
        for text in found
        for wrapping in wrappings
    ]


SOME = ["{0}", "EXPLAIN ANALYZE {0}", "WITH x AS ({0}) SELECT * FROM x"]
LONG = pytest.param(WRAPPINGS, marks=pytest.mark.long, id="every wrapping")


def test_the_list_has_every_kind_of_statement():
    parsed = set()
    for text in (text for texts in STATEMENTS.values() for text in texts):
        with contextlib.suppress(ValueError):  # DuckDB's Python has no name for that kind
            parsed |= {statement.type.name for statement in duckdb.extract_statements(text)}
    every = {name for name in dir(duckdb.StatementType) if name.isupper()}
    assert every - NEVER_PARSED - ELSEWHERE - parsed == set()


@pytest.mark.parametrize("wrappings", [pytest.param(SOME, id="some wrappings"), LONG])
def test_every_statement_is_refused(home, tmp_path, wrappings):
    before = contents(home.root)
    for text in attempts(home, tmp_path, wrappings):
        with pytest.raises(ConfigError):
            run_query(text, home)
    assert contents(home.root) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrappings", [pytest.param(SOME[:1], id="plain"), LONG])
def test_without_the_parsers_check_the_connection_still_writes_no_file(home, tmp_path, monkeypatch, wrappings):
    monkeypatch.setattr(sql_query, "readable_statement", lambda text: text)
    before = contents(home.root)
    refused = 0
    for text in attempts(home, tmp_path, wrappings):
        try:
            run_query(text, home)
        except ForgeError:
            refused += 1
    assert refused > 20
    assert contents(home.root) == before
    assert contents(tmp_path) == {}


def test_what_only_reads_is_run(home):
    for text in [
        "EXPLAIN SELECT * FROM fronts",
        "EXPLAIN ANALYZE SELECT * FROM bars",
        "-- why\nexplain analyze SELECT 1",
        "EXPLAIN (SELECT 1)",
        "DESCRIBE fronts",
        "SUMMARIZE fronts",
        "FROM fronts",
        "VALUES (1)",
        "WITH a AS (SELECT 1 x), b AS (FROM a) SELECT * FROM b UNION ALL FROM a",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
        "PIVOT generations ON generation IN (1, 2) USING count(*)",
        "SELECT id FROM generations QUALIFY row_number() OVER (PARTITION BY id ORDER BY generation) = 1",
        "SELECT * FROM generations LIMIT 1",
    ]:
        assert len(run_query(text, home)) >= 1, text


def test_variables_of_the_program_and_other_files_are_not_read(home, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for text in ["SELECT * FROM settings", f"SELECT * FROM '{tmp_path}/secret.csv'", f"FROM read_text('{home.store}')"]:
        with pytest.raises(ConfigError):
            run_query(text, home)


def test_a_query_spills_inside_the_home_and_leaves_nothing(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sql_query, "_MEMORY", "60MB")
    spilled = []
    monkeypatch.setattr(
        sql_query.shutil, "rmtree", lambda path, real=sql_query.shutil.rmtree, **kw: (
            spilled.append(sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file())), real(path, **kw))
    )  # fmt: skip
    counted = run_query(
        "SELECT count(*) AS n FROM (SELECT i, hash(i) AS h FROM range(6000000) t(i) ORDER BY h LIMIT 5000000)", home
    )
    assert counted["n"].tolist() == [5_000_000]
    assert not list(home.root.glob(".sql-*"))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sql_query, "_SPILL_LIMIT", "1MB")
    with pytest.raises(ConfigError, match="Out of Memory"):
        run_query(
            "SELECT * FROM (SELECT i, hash(i) AS h FROM range(6000000) t(i) ORDER BY h) LIMIT 5 OFFSET 5000000", home
        )


def test_a_killed_query_s_spilled_files_are_removed_by_the_next(home):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone, mine = home.root / f".sql-{process.pid}-x", home.root / f".sql-{os.getpid()}-x"
    gone.mkdir()
    mine.mkdir()
    run_query("SELECT 1", home)
    assert not gone.exists()
    assert mine.exists()
    mine.rmdir()


def test_a_damaged_file_harms_only_the_query_that_reads_it(home, monkeypatch):
    path = home.study("one") / "generations" / "0002.parquet"
    whole = path.read_bytes()
    try:
        flipped = bytearray(whole)
        flipped[len(whole) // 3] ^= 1
        for damaged in (b"", b"x" * 300, whole[: len(whole) // 2], bytes(flipped), None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            else:
                path.symlink_to(path.parent / "nowhere.parquet")
            assert len(run_query("SELECT * FROM fronts", home)) == 1
            assert len(run_query("SELECT * FROM generations WHERE generation = 3", home)) == 2
            with pytest.raises(DataError, match=r"0002\.parquet"):
                run_query('SELECT sum("objective.sharpe") FROM generations', home)
    finally:
        path.unlink()
        path.write_bytes(whole)
    assert len(run_query("SELECT * FROM generations", home)) == 6


def test_the_command_has_no_traceback_for_a_damaged_file(home, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(home.root))
    path = home.study("one") / "pareto_front.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    try:
        for arguments in (["sql"], ["sql", "SELECT * FROM fronts"]):
            outcome = CliRunner().invoke(app, arguments)
            assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
            assert "Traceback" not in outcome.output
    finally:
        path.write_bytes(whole)


def test_the_trials_have_one_column_of_the_island(home):
    path = home.ledger / "one" / "abc" / "island=0" / "generation=0001.parquet"
    write_table(path, pa.table({"play": ["f00"]}))
    assert run_query("SELECT * FROM trials", home).columns.tolist() == [
        "study", "manifest", "island", "generation", "play"
    ]  # fmt: skip
