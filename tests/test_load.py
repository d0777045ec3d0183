"""What goes wrong around a run: folders deleted, a full or read-only disk, little memory, a clock set back."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections import namedtuple

import pytest

from forge_core import files
from forge_core.errors import DataError
from forge_core.evolution.steps import run_study
from forge_core.files import write_json
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.sources.refresh import refresh_bars
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from tests.evolution.studies import content, small_spec
from tests.market.bar_tables import walk


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("load") / "home")
    run_study(small_spec("load"), home)
    return home


@pytest.fixture
def home(whole, tmp_path):
    """A home with the datasets and columns of ``whole``, and no study."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    for name in ("datasets", "features"):
        shutil.copytree(whole.root / name, home.root / name)
    shutil.copy(whole.store, home.store)
    return home


@pytest.mark.parametrize("folder", ["features", "datasets"])
@pytest.mark.parametrize("moment", [1, 4, 7])
def test_a_folder_deleted_during_a_run(whole, home, folder, moment):
    lines = []

    def log(line: str) -> None:
        lines.append(line)
        if len(lines) == moment:
            shutil.rmtree(home.root / folder, ignore_errors=True)

    try:
        run_study(small_spec("load"), home, log)
    except DataError as error:
        assert "there is no folder" in str(error) or "is missing or damaged" in str(error)  # noqa: PT017
        run_study(small_spec("load"), home)
    assert len(lines) >= moment
    assert content(home.study("load")) == content(whole.study("load"))


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.EROFS, "make the folder writable"), (errno.ENOSPC, "free some space")]
)
def test_a_disk_that_cannot_be_written_to(whole, home, monkeypatch, code, remedy):
    def refuse(*_args: object, **_more: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(files.tempfile, "mkstemp", refuse)
        with pytest.raises(DataError, match=f"cannot be written .*{remedy}.*run the same again"):
            run_study(small_spec("load"), home)
    run_study(small_spec("load"), home)
    assert content(home.study("load")) == content(whole.study("load"))


def test_a_disk_that_fills_during_a_write(tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_json(tmp_path / "x.json", {"a": 1})
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match=r"x\.json cannot be written \(No space left on device\); free some space"):
        write_json(tmp_path / "x.json", {"a": 2})
    assert files.read_json(tmp_path / "x.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_study_too_large_for_the_disk_is_refused_before_it_starts(home, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 10_000))
    with pytest.raises(DataError, match=r"study 'load' needs about .* GB in .*, which has 0\.0 GB free"):
        run_study(small_spec("load"), home)
    assert not home.study("load").exists()


def test_the_estimate_of_a_studys_size_is_from_above(whole, home, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "forge_core.evolution.run.plan.check_free_space", lambda _folder, needed, _: asked.append(needed)
    )
    run_study(small_spec("load"), home)
    written = [*home.study("load").rglob("*.parquet"), *home.ledger.rglob("*.parquet")]
    columns = sum(path.stat().st_size for path in written)
    overhead = 25_000 * len(written)  # schema and footer of each file, which matter in a tiny study alone
    assert columns < asked[0] + overhead
    assert asked[0] < 100 * columns


def test_a_clock_set_back_changes_nothing(whole, home):
    shutil.copytree(whole.study("load"), home.study("load"))
    shutil.copytree(whole.ledger, home.ledger)
    for path in home.root.rglob("*"):
        os.utime(path, (4e9, 4e9))  # written in the year 2096, as the clock says now
    for path in sorted(home.study("load").glob("island=*/*.parquet"))[-3:]:
        path.unlink()
    (home.study("load") / "champion.json").unlink()
    run_study(small_spec("load"), home)
    assert content(home.study("load")) == content(whole.study("load"))


def test_a_refresh_beside_a_run_leaves_both_whole(whole, home):
    home.imports.mkdir()
    walk(2_000, "1h").to_csv(home.imports / "BTCUSDT_1h.csv")
    failures = []

    def refresh() -> None:
        try:
            refresh_bars(get_instrument("BTCUSDT"), home, only="files")
        except Exception as error:
            failures.append(error)

    beside = threading.Thread(target=refresh)
    beside.start()
    run_study(small_spec("load"), home)
    beside.join()
    assert failures == []
    with BarStore(home.store) as store:
        assert len(store.read("BTCUSDT", "1h")) == 2_000
    assert content(home.study("load")) == content(whole.study("load"))


def test_too_low_a_limit_of_memory_ends_in_one_message(home):
    outcome = subprocess.run(
        [sys.executable, "-c", "from forge_core.cli.main import app; app()", "sql", "SELECT 1"],
        env={**os.environ, "FORGE_HOME": str(home.root)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (600_000_000, 600_000_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert "address space limit of 0.6 GB (ulimit -v); Forge needs 2.0 GB or more" in " ".join(outcome.stderr.split())
