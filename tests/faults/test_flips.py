"""A flipped bit at 20 places in each kind of file that Forge keeps: it is named, or read as it was, never otherwise."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forge_core.errors import DataError, ForgeError
from forge_core.evolution.steps import run_study
from forge_core.files import read_json, read_table
from forge_core.market.futures.roll_dates import import_roll_dates, load_roll_dates
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.sql.query import run_query
from tests.evolution.studies import content, small_spec
from tests.faults.limits import within_limits
from tests.market.bar_tables import walk
from tests.sweeps.made import finished, futures_home, sweep

pytestmark = pytest.mark.long

PLACES = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = futures_home(Home(tmp_path_factory.mktemp("flips") / "home"))
    import_roll_dates(home.roll_dates, home=home)
    finished(sweep(), home)
    with BarStore(home.store) as store:
        store.upsert("BTCUSDT", "15m", walk(2_000), source="x")
    run_study(small_spec("reference"), home)
    return home


def table(path: Path, home: Home) -> Any:
    return read_table(path)


def document(path: Path, home: Home) -> Any:
    return read_json(path)


# kind of file: where it is, how it is read, and a query that reads it
KINDS: dict[str, tuple[str, Callable[[Path, Home], Any], str]] = {
    "table of an island": ("studies/reference/island=*/*.parquet", table, ""),
    "table of a generation": (
        "studies/reference/generations/*.parquet",
        table,
        "generations",
    ),
    "front": ("studies/reference/pareto_front.parquet", table, "fronts"),
    "manifest of a study": ("studies/reference/manifest.json", document, ""),
    "champion": ("studies/reference/champion.json", document, ""),
    "trials": ("ledger/reference/*/island=*/*.parquet", table, "trials"),
    "manifest of trials": ("ledger/reference/*/manifest.json", document, ""),
    "holdout evaluation": ("ledger/holdout/*/*.json", document, ""),
    "bars of a dataset": ("datasets/*/*/*.parquet", table, "dataset_bars"),
    "manifest of a dataset": ("datasets/*/*/manifest.json", document, "datasets"),
    "order of versions": ("datasets/*/versions.json", document, "datasets"),
    "series of a sweep": ("mass_tests/series/**/*.parquet", table, ""),
    "results of a sweep": ("mass_tests/results/**/*.parquet", table, "mass_tests"),
    "ranking": ("mass_tests/rankings/**/ranking.parquet", table, "rankings"),
    "plan of a sweep": ("mass_tests/sweeps/*.json", document, ""),
    "roll dates": ("roll_dates.yaml", lambda _, home: load_roll_dates(home), ""),
    "store": ("forge.duckdb", lambda path, _: stored(path), ""),
}


def stored(path: Path) -> list[pd.DataFrame]:
    with BarStore(path) as store:
        return [store.read("BTCUSDT", "15m"), store.read("ZS", "4h"), store.read("GC", "1d")]


def equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, list) and expected and isinstance(expected[0], pd.DataFrame):
        return all(one.equals(other) for one, other in zip(found, expected, strict=True))
    if isinstance(expected, pd.DataFrame):
        return found.equals(expected)
    if hasattr(expected, "schema"):
        return found.equals(expected)
    return repr(found) == repr(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flip_is_named_or_harmless(home, tmp_path, kind):
    pattern, read, view = KINDS[kind]
    files = sorted(home.root.glob(pattern))
    assert files, pattern
    dice = random.Random(kind)
    counts: Counter[str] = Counter()
    for place in range(PLACES):
        path = dice.choice(files)
        whole = path.read_bytes()
        query = f"SELECT * FROM {view} ORDER BY ALL"
        expected, rows = read(path, home), run_query(query, home) if view else None
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        backup = tmp_path / "backup"
        shutil.copy2(path, backup)
        try:
            path.write_bytes(damaged)
            with within_limits(f"{kind}, {place}"):
                messages = []
                try:
                    assert equal(read(path, home), expected), (path, place)
                    counts["read as it was"] += 1
                except ForgeError as error:
                    messages.append(str(error))
                    counts["named"] += 1
                if view:
                    try:
                        assert equal(run_query(query, home), rows), (path, place)
                    except ForgeError as error:
                        messages.append(str(error))
            assert all(path.name in message for message in messages), messages
        finally:
            shutil.copy2(backup, path)
    print(f"flips in the {kind}: {dict(counts)}")
    assert sum(counts.values()) == PLACES


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


def test_a_damaged_table_of_an_island_is_named_and_computed_again(home):
    folder = home.study("reference")
    expected = content(folder)
    path = sorted(folder.glob("island=*/generation=*.parquet"))[3]
    damage(path)
    (folder / "champion.json").unlink()
    with pytest.raises(DataError, match=rf"{path.name} is damaged .*delete it"):
        run_study(small_spec("reference"), home)
    path.unlink()
    run_study(small_spec("reference"), home)
    assert content(folder) == expected


def test_a_damaged_table_of_a_generation_is_written_again(home):
    folder = home.study("reference")
    expected = content(folder)
    path = sorted(folder.glob("generations/*.parquet"))[-1]
    damage(path)
    (folder / "champion.json").unlink()
    try:
        run_study(small_spec("reference"), home)
    except DataError as error:
        assert f"{path.name} is damaged" in str(error)  # noqa: PT017
        path.unlink()
        run_study(small_spec("reference"), home)
    read_table(path)
    assert content(folder) == expected
