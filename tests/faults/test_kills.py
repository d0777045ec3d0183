"""60 kills from seeds, over evolve, import, mass test and refresh: each ends with what an undisturbed run writes."""

import multiprocessing
import random
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from forge_core.evolution.steps import run_study
from forge_core.market.sources.providers.binance import URL_SETTING
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from tests.evolution.studies import content, small_spec
from tests.faults import processes
from tests.market.archive_server import Archive, serving
from tests.market.bar_tables import same_bars, walk
from tests.sweeps.made import futures_home
from tests.sweeps.test_interruption import CHUNK, VERBOSE, check_whole
from tests.sweeps.test_interruption import undisturbed as undisturbed_sweep  # noqa: F401

pytestmark = pytest.mark.long

KILLS = 15
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.processes"])


def kill_repeatedly(target: Callable[..., None], arguments: tuple[Any, ...], home: Home, seed: int) -> int:
    """Run ``target``, killing it after some more files were written, ``KILLS`` times; return how many kills hit it."""
    dice = random.Random(seed)
    hits = 0
    while hits < KILLS:
        process = CONTEXT.Process(target=target, args=arguments)
        process.start()
        enough = written(home) + dice.randrange(0, 3)
        while process.is_alive() and written(home) < enough:
            time.sleep(0.002)
        process.join(dice.random() * 0.2)
        if not process.is_alive():
            assert process.exitcode == 0
            return hits
        process.kill()
        process.join()
        hits += 1
    return hits


def written(home: Home) -> int:
    return sum(1 for path in home.root.rglob("*") if path.suffix in (".parquet", ".json", ".part", ".zip"))


def until_enough(once: Callable[[int], int]) -> int:
    """Repeat whole undertakings with other seeds until ``KILLS`` kills have hit."""
    hits = seed = 0
    while hits < KILLS:
        hits += once(seed)
        seed += 1
    return hits


def test_evolve(tmp_path):
    whole = Home(tmp_path / "whole")
    run_study(small_spec("killed"), whole)
    expected = content(whole.study("killed"))

    def once(seed: int) -> int:
        home = Home(tmp_path / f"home{seed}")
        home.root.mkdir()
        for name in ("datasets", "features", "forge.duckdb"):
            (home.root / name).symlink_to(whole.root / name)
        hits = kill_repeatedly(processes.evolve, (str(home.root),), home, seed)
        run_study(small_spec("killed"), home)
        assert content(home.study("killed")) == expected
        return hits

    print(f"kills of evolve: {until_enough(once)}, each with equal files")


def test_import(tmp_path):
    month = 96 * 30
    files = []
    for number in range(12):
        path = tmp_path / f"BTCUSDT_15m_{number}.csv"
        start = pd.Timestamp("2023-01-01") + pd.Timedelta(days=30 * number)
        walk(month, "15m", str(start.date()), seed=number).to_csv(path)
        files.append(str(path))
    whole = Home(tmp_path / "whole")
    processes.load(str(whole.root), files)
    expected = stored(whole, "15m")
    assert len(expected) == 12 * month

    def once(seed: int) -> int:
        home = Home(tmp_path / f"home{seed}")
        dice = random.Random(seed)
        hits = 0
        for _ in range(KILLS):
            process = CONTEXT.Process(target=processes.load, args=(str(home.root), files))
            process.start()
            while process.is_alive() and not home.store.exists():
                time.sleep(0.002)
            process.join(dice.random() * 1.5)
            hits += process.is_alive()
            process.kill()
            process.join()
            if home.store.exists():
                found = stored(home, "15m")
                assert len(found) % month == 0
                same_bars(found, expected.iloc[: len(found)])
        processes.load(str(home.root), files)
        same_bars(stored(home, "15m"), expected)
        return hits

    print(f"kills of import: {until_enough(once)}, each with equal bars")


def test_mass_test(undisturbed_sweep, tmp_path):  # noqa: F811
    def once(seed: int) -> int:
        home = futures_home(Home(tmp_path / f"home{seed}"))
        arguments = (str(home.root), VERBOSE.model_dump(mode="json"), CHUNK)
        hits = kill_repeatedly(processes.sweep, arguments, home, seed)
        processes.sweep(*arguments)
        check_whole(home, undisturbed_sweep)
        return hits

    print(f"kills of the mass test: {until_enough(once)}, each with equal results")


def test_refresh(tmp_path, monkeypatch):
    bars = walk(24 * 101, "1h", "2024-01-01").round(2)
    first, now = str(bars.index[0]), str(bars.index[-1] + pd.Timedelta(hours=9))
    with serving(tmp_path / "archive") as served:
        Archive(served.root).put_klines(bars, "BTCUSDT", "1h")
        monkeypatch.setenv(URL_SETTING, served.url)
        served.pause = 0.05

        def once(seed: int) -> int:
            home = Home(tmp_path / f"home{seed}")
            arguments = (str(home.root), first, now)
            hits = kill_repeatedly(processes.refresh, arguments, home, seed)
            processes.refresh(*arguments)
            same_bars(stored(home, "1h"), bars)
            assert not [path for path in home.downloads.rglob("*") if path.is_file() and path.suffix != ".lock"]
            return hits

        print(f"kills of refresh: {until_enough(once)}, each with equal bars")


def stored(home: Home, timeframe: str) -> pd.DataFrame:
    with BarStore(home.store) as store:
        return store.read("BTCUSDT", timeframe)
