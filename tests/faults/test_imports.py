"""1,000 damaged imports from seeds: each is stored right or refused in words; and no real month is refused."""

import random
from collections import Counter

import pytest

from forge_core.errors import ForgeError
from forge_core.market.importing.importer import ImportOptions, read_bars_file, read_for_store
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from tests.faults.limits import within_limits
from tests.market.bar_tables import REAL, needs_real_bars
from tests.market.format_files import BYTE_DAMAGE, ROW_DAMAGE, WRITERS, market
from tests.market.test_damaged_files import BARS, damaged_file, outcome
from tests.market.test_import_fuzz import ASK, attempt, mutated

pytestmark = pytest.mark.long

DAMAGED = 600
FUZZED = 600
# One value of a file without a checksum of its own may be changed into another that is as plausible: nobody can see it.
NO_CHECKSUM = {"feather", "parquet", "csv", "chart", "json", "kline csv"}
PIECES = [b",", b"\n", b"-1", b"1e308", b"NaN", b"\0" * 8, b"\xff" * 8, b'"', b"99999999999999999999", b"[", b"]"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "home"))
    return Home.current()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "forge.duckdb"
    with BarStore(path) as store:
        store.upsert("BTCUSDT", "15m", market(30, start="2020-01-01", seed=9), source="before")
    return path


def one_value_differs(error: AssertionError) -> bool:
    return f"values are different ({100 / len(BARS):.5f} %)" in str(error)


def test_damaged_files(home, filled, tmp_path):
    dice = random.Random(15)
    counts: Counter[str] = Counter()
    unseen = 0
    damages = [*BYTE_DAMAGE, *ROW_DAMAGE]
    for number in range(DAMAGED):
        name, damage = dice.choice(sorted(WRITERS)), dice.choice(damages)
        folder = tmp_path / str(number)
        folder.mkdir()
        path = damaged_file(name, damage, 1_000 + number, folder)
        with within_limits(f"{name}, {damage}, {number}"):
            try:
                counts[outcome(path, home, filled, BARS)] += 1
            except AssertionError as error:
                if damage != "byte flipped" or name not in NO_CHECKSUM or not one_value_differs(error):
                    raise
                counts["one plausible value, in a format without checksum"] += 1
                unseen += 1
    print(f"damaged imports: {dict(counts)}")
    assert counts["refused"] > DAMAGED // 3
    assert unseen < DAMAGED // 50
    assert sum(counts.values()) == DAMAGED


def test_fuzzed_files(tmp_path):
    dice = random.Random(16)
    bars = market(120)
    originals = {name: (path := write(bars, tmp_path), path.read_bytes())[1] for name, write in ASK.items()}
    names = {name: ASK[name](bars, tmp_path).name for name in ASK}
    for number in range(FUZZED):
        name = dice.choice(sorted(originals))
        changes = [
            (dice.choice(["replace", "insert", "delete", "repeat"]), dice.random(), dice.choice(PIECES))
            for _ in range(dice.randint(1, 6))
        ]
        with within_limits(f"{name}, {number}"):
            attempt(names[name], mutated(originals[name], changes))
    print(f"fuzzed imports: {FUZZED}, each sound or refused")


@needs_real_bars
def test_no_real_month_is_refused(tmp_path):
    months = 0
    refused = []
    for source in sorted(REAL.glob("*_*.parquet")):
        symbol, _, label = source.stem.partition("_")
        if label.startswith("funding") or symbol.endswith("BADJ"):
            continue
        bars = read_bars_file(source)
        for month, part in bars.groupby(bars.index.strftime("%Y-%m")):
            path = tmp_path / f"{symbol}_{label}.csv"
            part.to_csv(path)
            months += 1
            try:
                read_for_store(path, symbol, label, options=ImportOptions(symbol=symbol))
            except ForgeError as error:
                refused.append(f"{source.name} {month}: {error}")
    print(f"real months: {months}, refused: {len(refused)}")
    assert months > 100
    assert refused == []
