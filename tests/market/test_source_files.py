"""Archives: members and bombs, damage seen by checksums, disks that fill up, and nothing left behind."""

import errno
import gzip
import os
import zipfile
from pathlib import Path

import pytest

from forge_core.errors import DataError
from forge_core.market.importing.formats import source_file
from forge_core.market.importing.formats.source_file import open_source_file
from forge_core.market.importing.importer import import_files, read_bars_file
from tests.market.bar_tables import same_bars
from tests.market.format_files import klines, market, write_zip

BARS = market(100)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "unpacked"
    path.mkdir()
    return path


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, folder):
    path = tmp_path / "BTCUSDT-15m-2024-01.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-15m-2024-01.csv", b"0" * 100_000_000)
    with pytest.raises(
        DataError, match=r"would unpack from [\d,]+ to 100,000,000 bytes, which is not a table of prices"
    ):
        open_source_file(path, folder)
    assert list(folder.iterdir()) == []


def test_a_gzip_bomb_is_given_up_where_it_goes_too_far(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(source_file, "_RATIO_FREE", 2_000_000)
    path = tmp_path / "BTC_USDT-15m.json.gz"
    path.write_bytes(gzip.compress(b"[" + b"0" * 20_000_000))
    with pytest.raises(DataError, match=r"unpacks to more than [\d,]+ bytes"):
        _ = open_source_file(path, folder).first.path
    assert list(folder.iterdir()) == []


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path, folder):
    path = write_zip(tmp_path / "x.zip", {"x.csv": klines(BARS)})
    content = bytearray(path.read_bytes())
    size = len(klines(BARS)).to_bytes(4, "little")
    for at in (content.find(size), content.rfind(size)):
        content[at : at + 4] = (1_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged|unpacks to more than"):
        _ = open_source_file(path, folder).first.path


def test_members_are_never_written_where_their_names_say(tmp_path, folder):
    path = write_zip(tmp_path / "x.zip", {"../../BTCUSDT-15m-2024-01.csv": klines(BARS)})
    part = open_source_file(path, folder).first
    assert part.path.parent == folder
    assert part.name == "BTCUSDT-15m-2024-01.csv"
    assert list(tmp_path.iterdir()) == [folder, path] or sorted(p.name for p in tmp_path.iterdir()) == [
        "unpacked",
        "x.zip",
    ]


def test_what_systems_put_beside_members_is_passed_over(tmp_path):
    members = {
        "__MACOSX/._BTCUSDT-15m-2024-01.csv": "junk",
        ".DS_Store": "junk",
        "BTCUSDT-15m-2024-01.csv": klines(BARS),
    }
    same_bars(read_bars_file(write_zip(tmp_path / "x.zip", members)), BARS)


def test_months_in_one_zip_are_read_in_order(tmp_path):
    members = {"BTCUSDT-15m-2024-02.csv": klines(BARS[50:]), "BTCUSDT-15m-2024-01.csv": klines(BARS[:50])}
    same_bars(read_bars_file(write_zip(tmp_path / "x.zip", members)), BARS)
    members["ETHUSDT-15m-2024-02.csv"] = klines(BARS)
    with pytest.raises(DataError, match="several series in one file"):
        read_bars_file(write_zip(tmp_path / "y.zip", members))


@pytest.mark.parametrize(
    ("members", "fault"),
    [({}, "has no files in it"), ({"BTCUSDT-15m-2024-01.csv": ""}, "BTCUSDT-15m-2024-01.csv in x.zip is empty")],
)
def test_empty_archives_are_named(tmp_path, folder, members, fault):
    with pytest.raises(DataError, match=fault):
        open_source_file(write_zip(tmp_path / "x.zip", members), folder)


def test_a_member_without_a_name_is_no_file(tmp_path, folder):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("n.csv", "1,2")
    path.write_bytes(path.read_bytes().replace(b"n.csv", b"\0.csv"))
    with pytest.raises(DataError, match=r"x.zip has no files in it"):
        open_source_file(path, folder)


def test_an_encrypted_zip_is_named(tmp_path, folder):
    path = write_zip(tmp_path / "x.zip", {"x.csv": "secret"})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x.csv in x.zip is encrypted: unpack it first"):
        open_source_file(path, folder)


def test_too_many_members_are_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(source_file, "_MAX_MEMBERS", 3)
    with pytest.raises(DataError, match=r"x.zip has 4 files in it, expected at most 3; unpack it"):
        open_source_file(write_zip(tmp_path / "x.zip", {f"{i}.csv": "1,2" for i in range(4)}), folder)


def test_twenty_thousand_tiny_members_are_refused(tmp_path, folder):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.csv", "1")
    with pytest.raises(DataError, match=r"x.zip has 20,000 files in it, expected at most 1,000"):
        open_source_file(path, folder)


def test_devices_and_pipes_are_refused_and_not_read(tmp_path, folder):
    pipe = tmp_path / "BTCUSDT_15m.csv"
    os.mkfifo(pipe)
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for path in (pipe, tmp_path / "zero.csv", Path("/dev/zero")):
        with pytest.raises(DataError, match=r"is a device, pipe or socket: give a regular file"):
            open_source_file(path, folder)
        with pytest.raises(DataError, match=r"is a device, pipe or socket: give a regular file"):
            import_files([path], "BTCUSDT")


def test_an_endless_checksum_beside_a_file_is_not_read_whole(tmp_path, folder):
    path = tmp_path / "x.csv"
    path.write_text("1,2,3\n")
    (tmp_path / "x.csv.CHECKSUM").write_bytes(b"0" * 2**22)
    with pytest.raises(DataError, match=r"x.csv.CHECKSUM is not a line of a SHA-256"):
        open_source_file(path, folder)


def test_a_disk_that_fills_up_while_unpacking_is_no_damage(home, tmp_path, monkeypatch):
    path = write_zip(tmp_path / "BTCUSDT-15m-2024-01.zip", {"BTCUSDT-15m-2024-01.csv": klines(BARS)})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(source_file, "_copy", full)
    with pytest.raises(
        DataError, match=r"is full .*No space left.*: nothing of this import was stored; free disk space"
    ):
        import_files([path])
    assert [p.name for p in home.root.iterdir() if p.name.startswith(".importing")] == []
