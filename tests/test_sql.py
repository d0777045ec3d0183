"""SQL over what Forge has written: the views, read-only, safe beside a writer, and described in the manual."""

import json
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError, DataError
from forge_core.files import write_json, write_table
from forge_core.market.datasets.build import ensure_dataset
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.sql.query import describe_views, run_query
from forge_core.sql.views import VIEWS
from tests.market.bar_tables import walk

ROOT = Path(__file__).resolve().parents[1]
runner = CliRunner()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "it's home"))
    return Home.current()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A home with bars, revisions, funding, a dataset, two studies and mass tests; not to be changed."""
    home = Home(tmp_path_factory.mktemp("filled") / "it's home")
    with BarStore(home.store) as store:
        bars = walk(100)
        store.upsert("BTCUSDT", "15m", bars, source="a")
        bars.iloc[3, 4] += 1
        store.upsert("BTCUSDT", "15m", bars, source="b", revise=True)
        store.upsert_funding("BTCUSDTPERP", pd.Series(1e-4, index=bars.index[::32]), source="a")
    ensure_dataset("SP500_BULL_2013", home)
    for study, objective in (("one", "objective.sharpe"), ("two", "objective.calmar")):
        for generation in (1, 2):
            flags = {"survivor": [True, False], "feasible": [True, True]}
            table = pa.table({"id": ["a", "b"], **flags, objective: [1.0, float(generation)]})
            write_table(home.study(study) / "generations" / f"{generation:04d}.parquet", table)
    write_table(home.study("one") / "pareto_front.parquet", pa.table({"id": ["a"], "play": ["f00"]}))
    write_table(home.ledger / "one" / "abc" / "island=0" / "generation=0001.parquet", pa.table({"play": ["f00"]}))
    for study, manifest, plays in (("one", "abc", None), ("two", "def", ["f00", "f01"]), ("two", "fed", ["f02"])):
        folder, version = home.ledger / study / manifest, "v2" if manifest == "fed" else "v1"
        datasets = {"A": {"hash": version}, "B": {"hash": "w1"}}
        write_json(folder / "manifest.json", {"study": {"train": ["A"], "holdout": ["B"]}, "datasets": datasets})
        if plays:
            write_table(folder / "island=0" / "generation=0001.parquet", pa.table({"play": plays}))
    results = home.mass_tests / "results" / "ZS" / "1h"
    write_table(results / "x.parquet", pa.table({"symbol": ["ZS"], "month": ["2024-01"], "net": [5.0]}))
    write_table(home.mass_tests / "rankings" / "mine" / "ranking.parquet", pa.table({"strategy": ["ema"]}))
    return home


def rows(query, home):
    return list(run_query(query, home).itertuples(index=False, name=None))


def test_bars_funding_and_revisions(filled):
    counted = rows("SELECT symbol, timeframe, count(*) FROM bars GROUP BY ALL ORDER BY 1", filled)
    assert counted == [("BTCUSDT", "15m", 100), ("SP500", "1d", 5_031)]
    (revision,) = rows("SELECT r.timestamp, b.volume - r.volume, r.source, r.replaced_by FROM revisions r "
                       "JOIN bars b USING (symbol, timeframe, timestamp)", filled)  # fmt: skip
    assert revision == (walk(4).index[3].tz_localize(None), 1.0, "a", "b")
    assert rows("SELECT count(*), max(rate) FROM funding", filled) == [(4, 1e-4)]


def test_datasets_and_their_bars(filled):
    assert rows('SELECT dataset, timeframe, latest, rows, "end" FROM datasets ORDER BY rows', filled) == [
        ("SP500_BULL_2013", "1w", True, 834, pd.Timestamp("2015-01-01")),
        ("SP500_BULL_2013", "1d", True, 1_504, pd.Timestamp("2015-01-01")),
    ]
    joined = (
        "SELECT d.timeframe, count(*), min(b.timestamp) FROM datasets d JOIN dataset_bars b "
        "ON (d.dataset, d.version, d.timeframe) = (b.dataset, b.version, b.timeframe) "
        "WHERE b.timestamp >= d.start GROUP BY 1 ORDER BY 1"
    )
    assert rows(joined, filled)[0] == ("1d", 504, pd.Timestamp("2013-01-02"))


def test_generations_of_studies_with_different_columns(filled):
    found = rows(
        'SELECT study, generation, id, "objective.sharpe" FROM generations WHERE survivor ORDER BY 1, 2', filled
    )
    assert found[:2] == [("one", 1, "a", 1.0), ("one", 2, "a", 1.0)]
    assert pd.isna(found[2][3])
    assert rows("SELECT study, play FROM fronts", filled) == [("one", "f00")]
    trials = rows("SELECT study, manifest, island, generation, play FROM trials WHERE study = 'one'", filled)
    assert trials == [("one", "abc", 0, 1, "f00")]


def test_trials_are_counted_over_all_studies_of_a_dataset_version(filled):
    manual = (ROOT / "docs" / "sql.md").read_text()
    (query,) = [text for text in re.findall(r"^```sql\n(.*?)```", manual, re.M | re.S) if "study_datasets" in text]
    assert rows(query, filled) == [("A", "v1", 2, 2), ("A", "v2", 1, 1)]


def test_mass_tests_and_rankings(filled):
    assert rows("SELECT symbol, month, net FROM mass_tests", filled) == [("ZS", "2024-01", 5.0)]
    assert rows("SELECT sweep, strategy FROM rankings", filled) == [("mine", "ema")]


def test_an_empty_home_has_all_views_empty(home):
    for view in VIEWS:
        assert rows(f"SELECT * FROM {view.name}", home) == []
    assert not home.root.exists()
    assert [view.name for view, _ in describe_views(home)] == [view.name for view in VIEWS]


def test_files_outside_the_home_are_not_read(filled, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="Permission Error"):
        run_query(f"SELECT * FROM '{tmp_path}/secret.csv'", filled)
    with pytest.raises(ConfigError, match="not SQL: Parser Error"):
        run_query("SELEC 1", filled)
    with pytest.raises(ConfigError, match=r"barz does not exist.*`forge sql` without a query lists"):
        run_query("SELECT * FROM barz", filled)


def test_while_another_process_writes_files_are_read_and_the_store_is_waited_for(filled):
    code = f"""
    import pathlib, sys
    from forge_core.market.store.bar_store import BarStore
    with BarStore(pathlib.Path({str(filled.store)!r})):
        print("held", flush=True)
        sys.stdin.readline()
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout.readline() == "held\n"
        assert rows("SELECT count(*) FROM dataset_bars", filled) == [(2_338,)]
        with pytest.raises(DataError, match=r"locked by a process that writes to it.*query dataset_bars"):
            run_query("SELECT count(*) FROM bars", filled, wait=0.2)
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert rows("SELECT count(*) FROM bars", filled) == [(5_131,)]
    finally:
        writer.kill()
        writer.wait()


def test_a_damaged_dataset_does_not_hide_the_others(filled, home):
    shutil.copytree(filled.root, home.root)
    folder = next(home.dataset("SP500_BULL_2013").glob("*/manifest.json")).parent
    (folder / "1d.parquet").write_bytes(b"x")
    assert rows("SELECT latest, count(*) FROM datasets GROUP BY 1", home) == [(True, 2)]


@pytest.mark.parametrize(
    ("name", "query"),
    [("island=0/generation=0001.parquet", "SELECT * FROM trials"), ("manifest.json", "SELECT * FROM study_datasets")],
)
def test_a_damaged_file_of_the_ledger_is_to_be_restored_and_not_deleted(filled, name, query):
    path = filled.ledger / "one" / "abc" / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"e", b"i", 1))
    try:
        with pytest.raises(DataError, match=rf"{path.name} is damaged .*restore it from a backup") as refused:
            run_query(query, filled)
        assert "delete it" not in str(refused.value)
        assert "restore it" in str(pickle.loads(pickle.dumps(refused.value)))
    finally:
        path.write_bytes(whole)


def test_the_command(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(filled.root))
    listed = runner.invoke(app, ["sql"]).stdout
    assert all(view.name in listed for view in VIEWS)
    shown = runner.invoke(
        app, ["sql", "SELECT * FROM bars WHERE symbol = 'BTCUSDT' ORDER BY timestamp", "--rows", "3"]
    ).stdout
    assert f"{walk(1)['close'].iloc[0]:.10g}" in shown
    assert shown.endswith("... 97 more rows; --rows or --output show them\n")
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        path = tmp_path / f"out{suffix}"
        assert (
            runner.invoke(app, ["sql", "SELECT * FROM bars LIMIT 100", "-o", str(path)]).stdout
            == f"100 rows written to {path}\n"
        )
        assert len(read(path)) == 100
    assert runner.invoke(app, ["sql", "SELECT 1", "-o", str(tmp_path / "x.xlsx")]).exit_code == 1
    runner.invoke(app, ["sql", "SELECT 1 AS one", "-o", str(tmp_path / "x.json")])
    assert json.loads((tmp_path / "x.json").read_text()) == {"one": 1}


def test_the_manual_names_every_view_and_its_examples_run(filled):
    manual = (ROOT / "docs" / "sql.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", manual, re.MULTILINE)) == {view.name for view in VIEWS}
    queries = re.findall(r"^```sql\n(.*?)```", manual, re.MULTILINE | re.DOTALL)
    assert len(queries) >= 4
    known = {name for _, names in describe_views(filled) for name in names}
    for query in queries:
        if not set(re.findall(r'"(\w+\.\w+)"', query)) - known:
            run_query(query, filled)


def test_the_volatility_example_leaves_out_the_lead_in(filled):
    manual = (ROOT / "docs" / "sql.md").read_text()
    (query,) = [text for text in re.findall(r"^```sql\n(.*?)```", manual, re.M | re.S) if "volatility" in text]
    found = run_query(query, filled)
    assert found["month"].min() == pd.Timestamp("2013-01-01")
    assert len(found) == 24
    assert found["volatility"].notna().all()
