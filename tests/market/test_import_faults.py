"""Imports that meet each other, a kill or a full disk: the store stays whole, and the message says what to do."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest

from forge_core.errors import DataError
from forge_core.market.importing import importer, staging
from forge_core.market.importing.importer import ImportOptions, import_files
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import same_bars
from tests.market.format_files import market

ROOT = Path(__file__).resolve().parents[2]


def stored(home, symbol="BTCUSDT", timeframe="15m"):
    with BarStore(home.store) as store:
        return store.read(symbol, timeframe)


def forge(*arguments, home, **options):
    """Start the command line in a process of its own."""
    command = [sys.executable, "-c", "from forge_core.cli.main import app; app()", *map(str, arguments)]
    environment = {**os.environ, "FORGE_HOME": str(home.root)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def leftovers(home):
    return [path.name for path in home.root.glob(".importing-*")]


def test_two_imports_at_once_make_one_store(home, tmp_path):
    bars = market(40_000)
    bars[:25_000].to_parquet(tmp_path / "BTCUSDT_15m.a.parquet")
    bars[15_000:].to_parquet(tmp_path / "BTCUSDT_15m.b.parquet")
    both = [forge("import", tmp_path / f"BTCUSDT_15m.{name}.parquet", home=home) for name in "ab"]
    for process in both:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "BTCUSDT 15m:" in out
    same_bars(stored(home), bars)
    assert leftovers(home) == []


def test_an_import_that_cannot_have_the_store_says_who_has_it(home, tmp_path, monkeypatch):
    market(50).to_parquet(tmp_path / "BTCUSDT_15m.parquet")
    code = f"""
    import pathlib, time
    from forge_core.market.store.bar_store import BarStore
    with BarStore(pathlib.Path({str(home.store)!r})):
        print("held", flush=True)
        time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(importer, "BarStore", lambda path: BarStore(path, wait=0.2))
        with pytest.raises(DataError, match=rf"is in use by another process.*wait for it to finish.*PID {holder.pid}"):
            import_files([tmp_path / "BTCUSDT_15m.parquet"])
    finally:
        holder.kill()
        holder.wait()
    assert leftovers(home) == []
    import_files([tmp_path / "BTCUSDT_15m.parquet"])
    assert len(stored(home)) == 50


@pytest.mark.parametrize("moment", [0.0, 0.25])
def test_an_import_that_is_killed_stores_all_or_nothing_and_the_next_one_clears_up(home, tmp_path, moment):
    bars = market(150_000, "1m", start="2022-01-01")
    bars.to_parquet(tmp_path / "BTCUSDT_1m.parquet")
    process = forge("import", tmp_path / "BTCUSDT_1m.parquet", home=home)
    deadline = time.monotonic() + 30
    while not leftovers(home) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(stored(home, timeframe="1m")) in (0, len(bars))
    market(50).to_parquet(tmp_path / "BTCUSDT_15m.parquet")
    import_files([tmp_path / "BTCUSDT_15m.parquet"])
    assert leftovers(home) == []
    import_files([tmp_path / "BTCUSDT_1m.parquet"])
    same_bars(stored(home, timeframe="1m"), bars)


@pytest.mark.parametrize("where", ["workspace", "store"])
def test_a_full_disk_leaves_the_store_as_it_was(home, tmp_path, where):
    before = market(100_000)
    with BarStore(home.store) as store:
        store.upsert("BTCUSDT", "15m", before, source="x")
    market(25_000, "1m", start="2022-01-01").to_parquet(tmp_path / "BTCUSDT_1m.parquet")
    size = home.store.stat().st_size
    limit = 200_000 if where == "workspace" else size + 200_000  # of any one file
    assert size > 1_500_000  # what waits in the workspace is smaller

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = forge("import", tmp_path / "BTCUSDT_1m.parquet", home=home, preexec_fn=fill)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "nothing of this import was stored; free disk space" in errors
    same_bars(stored(home), before)
    assert stored(home, timeframe="1m").empty
    import_files([tmp_path / "BTCUSDT_1m.parquet"])
    assert len(stored(home, timeframe="1m")) == 25_000
    assert leftovers(home) == []


def test_several_files_are_stored_together_or_not_at_all(home, tmp_path, monkeypatch):
    market(50).to_parquet(tmp_path / "BTCUSDT_15m.parquet")
    market(50, "1h").to_parquet(tmp_path / "BTCUSDT_1h.parquet")
    real = BarStore.upsert_file

    def fail_on_hours(self, symbol, timeframe, *arguments, **options):
        if timeframe == "1h":
            raise DataError("the disk is full")
        return real(self, symbol, timeframe, *arguments, **options)

    monkeypatch.setattr(BarStore, "upsert_file", fail_on_hours)
    with pytest.raises(DataError, match="the disk is full"):
        import_files([tmp_path / "BTCUSDT_15m.parquet", tmp_path / "BTCUSDT_1h.parquet"])
    assert stored(home).empty


def test_the_workspace_of_a_running_import_is_left_alone(home):
    with staging.workspace(home) as running, staging.workspace(home) as other:
        assert running.is_dir()
        assert other != running
    left = home.root / ".importing-killed"
    left.mkdir()
    left.with_name(".importing-killed.lock").touch()
    (left / "bars.parquet").write_bytes(b"half")
    with staging.workspace(home) as running:
        assert not left.exists()
    assert leftovers(home) == []


def test_a_file_that_contradicts_the_store_is_refused_as_a_whole(home, tmp_path):
    bars = market(300)
    bars.to_parquet(tmp_path / "BTCUSDT_15m.parquet")
    import_files([tmp_path / "BTCUSDT_15m.parquet"])
    other = market(400, seed=5)
    other.to_parquet(tmp_path / "BTCUSDT_15m.parquet")
    with pytest.raises(DataError, match=r"of the 300 stored bars of the same times have other values"):
        import_files([tmp_path / "BTCUSDT_15m.parquet"])
    same_bars(stored(home), bars)
    (kept,) = import_files([tmp_path / "BTCUSDT_15m.parquet"], options=ImportOptions(trust=True))
    assert (kept.stored.inserted, kept.stored.conflicts) == (100, 300)
    (revised,) = import_files([tmp_path / "BTCUSDT_15m.parquet"], options=ImportOptions(revise=True))
    assert (revised.stored.revised, revised.stored.conflicts) == (300, 0)
    same_bars(stored(home), other)
    with BarStore(home.store) as store:
        record = store.revisions("BTCUSDT")
    assert len(record) == 300
    assert record["close"].tolist() == bars["close"].tolist()
    assert set(record["replaced_by"]) == {"file BTCUSDT_15m.parquet"}


def test_a_bar_that_is_still_running_and_bars_of_the_future_are_not_stored(home, tmp_path):
    now = pd.Timestamp.now("UTC").floor("1h")
    bars = market(50, "1h", start=str((now - pd.Timedelta(hours=49)).tz_localize(None)))
    bars.to_parquet(tmp_path / "BTCUSDT_1h.parquet")
    (report,) = import_files([tmp_path / "BTCUSDT_1h.parquet"])
    assert (report.unclosed, report.stored.inserted) == (1, 49)
    assert str(report).endswith("the last bar left out, which has not closed yet")
    market(50, "1h", start="2150-01-01").to_parquet(tmp_path / "BTCUSDT_1h.parquet")
    with pytest.raises(DataError, match=r"row 0: the time 2150-01-01 00:00:00\+00:00 is in the future"):
        import_files([tmp_path / "BTCUSDT_1h.parquet"])
