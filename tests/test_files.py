"""Files carry a checksum: what is damaged anywhere is named and not read."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forge_core.errors import DataError
from forge_core.files import check_signed_text, read_json, read_table, write_json, write_signed_text, write_table

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


VALUES = [{"a": 1.5, "b": [1, None, "x"]}, [1, 2], "text", None, 0, {"checksum": "x"}, {"content": [1]}, {}, {"ä": "ß"}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_is_read_as_it_was_written(tmp_path, value):
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value


def test_a_mapping_stays_at_the_top_of_its_json_file(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    assert json.loads((tmp_path / "x.json").read_text()).keys() == {"a", "checksum"}


@pytest.mark.parametrize("value", VALUES[:3], ids=repr)
def test_a_flipped_bit_in_json_is_noticed_or_means_the_same(tmp_path, value):
    path = tmp_path / "x.json"
    write_json(path, value)
    whole = path.read_bytes()
    noticed = 0
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                found = read_json(path)
            except DataError:
                noticed += 1
            else:
                assert found == value
    assert noticed > 6 * len(whole)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', '{"checksum": 1}', "[" * 100_000, '{"a": NaN}'])
def test_json_that_forge_did_not_write_is_named(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")


def test_signed_text_may_be_edited_by_hand_once_its_checksum_is_removed(tmp_path):
    path = tmp_path / "x.yaml"
    write_signed_text(path, "a: 1\n")
    text = path.read_text()
    check_signed_text(path, text)
    with pytest.raises(DataError, match=r"x\.yaml was changed .*delete its last line"):
        check_signed_text(path, text.replace("a: 1", "a: 2"))
    check_signed_text(path, "a: 2\n")


def test_what_a_killed_process_left_is_deleted_by_the_next_that_writes_to_the_folder(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = tmp_path / "x.json"
    abandoned, other, running = (
        tmp_path / f".x.json.{ended.pid}-abc.tmp",
        tmp_path / f".y.json.{ended.pid}-abc.tmp",
        tmp_path / f".x.json.{os.getpid()}-abc.tmp",
    )
    for file in (abandoned, other, running):
        file.touch()
    write_json(path, {"a": 1})
    assert sorted(tmp_path.iterdir()) == sorted([path, running])
