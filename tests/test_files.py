"""Files carry a checksum of all their bytes: what is damaged anywhere is named and not read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forge_core.errors import DataError
from forge_core.files import read_table, write_table

TABLE = pa.table({"name": ["a", "b", None], "value": [1.0, 2.0, 3.0]}).replace_schema_metadata(
    {"forge.manifest": "0123"}
)


@pytest.fixture
def path(tmp_path):
    write_table(tmp_path / "island=1" / "table.parquet", TABLE)
    return tmp_path / "island=1" / "table.parquet"


def test_a_table_is_read_as_it_was_written(path):
    assert read_table(path).equals(TABLE, check_metadata=True)
    assert read_table(path, ["value"]).column_names == ["value"]
    assert read_table(path, []).schema.metadata == {b"forge.manifest": b"0123"}
    assert pq.read_table(path, partitioning=None).equals(TABLE)


def test_the_same_table_is_the_same_bytes(path):
    before = path.read_bytes()
    write_table(path, TABLE)
    assert path.read_bytes() == before


def test_a_flipped_bit_anywhere_is_noticed(path):
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"table\.parquet is damaged .*; delete it and run the step"):
            read_table(path, ["value"])


def test_a_file_cut_short_anywhere_is_noticed(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="is damaged"):
            read_table(path)


def test_values_that_look_like_a_checksum_do_no_harm(path):
    trap = "forge.checksum\x18\x20" + "f" * 32
    table = pa.table({trap: [trap]}).replace_schema_metadata({trap: trap})
    write_table(path, table)
    assert read_table(path).equals(table, check_metadata=True)
