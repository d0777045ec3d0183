"""Any bytes at all: the importer gives sound bars or one of Forge's errors, and nothing else."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forge_core.errors import ForgeError
from forge_core.market.bars.model import validate_bars
from forge_core.market.importing.importer import ImportOptions, read_for_store
from forge_core.market.reference.instruments import get_instrument
from tests.market.format_files import WRITERS, market, write_tvdatafeed, write_zip

ASK = {
    **WRITERS,
    "tvdatafeed": lambda bars, folder: write_tvdatafeed(bars, folder / "tv.parquet", "UTC", "BINANCE:BTCUSDT"),
    "lean": lambda bars, folder: write_zip(
        folder / "future_es.zip", {"es_trade_202003.csv": "20200102 14:00,3246.5,3251,3245,3249.5,199356\n" * 3}
    ),
}
MAGIC = [
    b"PAR1",
    b"ARROW1\0\0",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\0",
    b"[[",
    b"time,open,high,low,close\n",
    b"\xef\xbb\xbf",
    b"",
]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A whole file of each format: its name and its bytes."""
    folder = tmp_path_factory.mktemp("originals")
    bars = market(120)
    found = {}
    for name, write in ASK.items():
        path = write(bars, folder)
        found[name] = (path.name, path.read_bytes())
    return found


def attempt(name: str, content: bytes) -> None:
    """Read ``content`` as a file of that name; what comes out is sound."""
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / name
        path.write_bytes(content)
        checked = read_for_store(path, options=ImportOptions(symbol="BTCUSDT", timezone="UTC", trust=True))
    except ForgeError:
        pass
    else:
        validate_bars(checked.bars, symbol="x", timeframe="15m", instrument=get_instrument("BTCUSDT"))
    finally:
        shutil.rmtree(folder)


def mutated(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """Return ``content`` with pieces replaced, put in, taken out or repeated, each at a share of its length."""
    for how, where, piece in changes:
        at = int(where * len(content))
        end = at + len(piece)
        if how == "replace":
            content = content[:at] + piece + content[end:]
        elif how == "insert":
            content = content[:at] + piece + content[at:]
        elif how == "delete":
            content = content[:at] + content[end:]
        else:
            content = content[:at] + content[at:end] * 50 + content[end:]
    return content


PIECES = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(
        [b",", b"\n", b"-1", b"1e308", b"NaN", b"\x00" * 8, b"\xff" * 8, b'"', b"99999999999999999999", b"[", b"]"]
    ),
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["replace", "insert", "delete", "repeat"]), st.floats(0, 1), PIECES),
    min_size=1,
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_mutated_files(originals, data):
    name, content = originals[data.draw(st.sampled_from(sorted(originals)))]
    attempt(name, mutated(content, data.draw(CHANGES)))


@settings(max_examples=60, deadline=None)
@given(
    magic=st.sampled_from(MAGIC), rest=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".zip", ".json.gz", ""])
)
@example(magic=b"[[", rest=b",", suffix=".json.gz")  # not packed, as it says
def test_any_bytes(magic, rest, suffix):
    attempt(f"BTCUSDT_15m{suffix}", magic + rest)


CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.datetimes().map(str),
    st.text(max_size=8),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(CELLS, min_size=5, max_size=7), min_size=1, max_size=12), header=st.booleans())
def test_any_table(rows, header):
    lines = ["time,open,high,low,close,volume"] * header + [",".join(row) for row in rows]
    attempt("BTCUSDT_15m.csv", ("\n".join(lines) + "\n").encode())


@pytest.mark.long
@settings(max_examples=20_000, deadline=None)
@given(data=st.data())
def test_mutated_files_for_long(originals, data):
    name, content = originals[data.draw(st.sampled_from(sorted(originals)))]
    attempt(name, mutated(content, data.draw(CHANGES)))


@pytest.mark.long
@settings(max_examples=20_000, deadline=None)
@given(rows=st.lists(st.lists(CELLS, min_size=5, max_size=13), min_size=1, max_size=30), header=st.booleans())
def test_any_table_for_long(rows, header):
    test_any_table.hypothesis.inner_test(rows, header)
