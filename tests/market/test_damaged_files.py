"""Damaged files: imported right or refused with a message, never stored wrong, and the store unchanged."""

import hashlib
import random
import shutil

import pytest

from forge_core.errors import DataError, ForgeError
from forge_core.market.importing.importer import import_files, read_bars_file
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import REAL, needs_real_bars, same_bars
from tests.market.format_files import BYTE_DAMAGE, ROW_DAMAGE, WRITERS, market

BARS = market(600)
# Parquet and feather have no checksum: a flipped byte may make one sound volume of another, as this one does.
UNSEEN = ("feather", "byte flipped", 0)
RAW = REAL / "raw_formats"


def variants():
    """Yield 120 damaged variants: every damage to every format, byte damage at several places."""
    for name in WRITERS:
        for damage in BYTE_DAMAGE:
            yield from ((name, damage, seed) for seed in range(6) if (name, damage, seed) != UNSEEN)
        for damage in ROW_DAMAGE:
            yield name, damage, 0
    for seed in range(1, 3):
        for damage in ROW_DAMAGE:
            yield "csv", damage, seed


def damaged_file(name, damage, seed, folder):
    """Write a damaged file; return it."""
    dice = random.Random(f"{name} {damage} {seed}")
    if damage in ROW_DAMAGE:
        return WRITERS[name](ROW_DAMAGE[damage](BARS, dice), folder)
    path = WRITERS[name](BARS, folder)
    path.write_bytes(BYTE_DAMAGE[damage](path.read_bytes(), dice))
    return path


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A store file that has some bars already."""
    path = tmp_path_factory.mktemp("store") / "forge.duckdb"
    with BarStore(path) as store:
        store.upsert("BTCUSDT", "15m", market(30, start="2020-01-01", seed=9), source="before")
    return path


def outcome(path, home, filled, original):
    """Import a file into a store that has some bars already; return how, having checked what was stored."""
    home.root.mkdir(exist_ok=True)
    shutil.copy(filled, home.store)
    before = home.store.read_bytes()
    message = ""
    doubts: tuple[str, ...] = ()
    try:
        (report,) = import_files([path])
        doubts = report.doubts
    except ForgeError as error:
        message = str(error)
    if message:
        assert len(message) > 30
        assert path.name in message or "BTCUSDT" in message
        assert home.store.read_bytes() == before
        return "refused"
    with BarStore(home.store) as store:
        assert list(store.coverage()["symbol"]) == ["BTCUSDT"]
        stored = store.read("BTCUSDT", "15m")
    old, new = stored[stored.index < "2020-06-01"], stored[stored.index >= "2020-06-01"]
    same_bars(old, market(30, start="2020-01-01", seed=9))
    assert len(new)
    assert new.index.isin(original.index).all()
    if doubts:
        assert ((new - original.loc[new.index]).abs() > 0).any(axis=1).sum() <= 3
        return "warned"
    same_bars(new, original.loc[new.index])
    return "imported"


@pytest.mark.parametrize(("name", "damage", "seed"), list(variants()))
def test_damage_is_seen_or_harmless(home, filled, tmp_path, name, damage, seed):
    path = damaged_file(name, damage, seed, tmp_path)
    result = outcome(path, home, filled, BARS)
    if damage in ROW_DAMAGE:
        assert result == "refused"


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_files_undamaged_are_imported(home, filled, tmp_path, name):
    assert outcome(WRITERS[name](BARS, tmp_path), home, filled, BARS) == "imported"


def test_a_checksum_beside_a_file_sees_what_nothing_else_can(home, tmp_path):
    whole = WRITERS["feather"](BARS, tmp_path)
    digest = hashlib.sha256(whole.read_bytes()).hexdigest()
    path = damaged_file(*UNSEEN, tmp_path)
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
    with pytest.raises(DataError, match=rf"{path.name} has the SHA-256 .* expected {digest}"):
        import_files([path])
    assert not home.store.exists()


@needs_real_bars
@pytest.mark.parametrize("damage", BYTE_DAMAGE)
@pytest.mark.parametrize(
    ("name", "seeds"),
    [("freqtrade_BTC_USDT-15m.json.gz", 2), ("BTCUSDT-15m-2023-01-21.csv", 12)],
)
def test_damage_to_real_files(home, filled, tmp_path, name, damage, seeds):
    original = read_bars_file(RAW / name)
    for seed in range(seeds):
        path = tmp_path / name
        path.write_bytes(BYTE_DAMAGE[damage]((RAW / name).read_bytes(), random.Random(seed)))
        outcome(path, home, filled, original)
