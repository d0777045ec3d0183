"""Sweeps killed at random moments, and two at once: no result is lost and none is there twice."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest

from forge_core.paths import Home
from forge_core.sweeps.steps import run_sweep
from tests.sweeps.made import SPEC, all_rows, content, futures_home, quiet, sweep
from tests.sweeps.worker import work

CHUNK = 12  # tests a file: many moments to be killed at
VERBOSE = sweep(**SPEC, verbose=True)
pytestmark = pytest.mark.xdist_group("sweep processes")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> pd.DataFrame:
    home = futures_home(Home(Path(tmp_path_factory.mktemp("undisturbed"))))
    run_sweep(VERBOSE, home, workers=1, log=quiet())
    return content(home)


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.sweeps.worker"])
    return context


def start(processes, home: Home) -> BaseProcess:
    process = processes.Process(target=work, args=(str(home.root), VERBOSE.model_dump(mode="json"), CHUNK))
    process.start()
    return process


def written(home: Home) -> list[Path]:
    return list((home.mass_tests / "results").rglob("*.parquet"))


def kill_at_some_moment(process: BaseProcess, home: Home, rng: random.Random) -> None:
    """Kill a sweep after it has written a few more files, and a moment that hits anything."""
    enough = len(written(home)) + rng.randrange(0, 12)
    deadline = time.monotonic() + 60
    while process.is_alive() and len(written(home)) < enough and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(rng.random() * 0.05)
    process.kill()
    process.join()


def check_whole(home: Home, expected: pd.DataFrame) -> None:
    found = content(home)
    assert not found["key"].duplicated().any()
    assert found.equals(expected)
    kept = all_rows(home, "trades")["key"].to_pylist()
    assert sorted(kept) == expected["key"].to_list()
    assert not list(home.mass_tests.rglob("*.tmp"))


def interrupted(processes, home: Home, kills: int, seed: int) -> Iterator[int]:
    """Start a sweep and kill it, again and again; yield how many results are there each time, none twice."""
    rng = random.Random(seed)
    for _ in range(kills):
        kill_at_some_moment(start(processes, home), home, rng)
        keys = all_rows(home)["key"].to_pylist()
        assert len(keys) == len(set(keys))
        yield len(keys)


def test_killed_twice_a_sweep_goes_on_where_it_was(processes, futures, undisturbed):
    counts = list(interrupted(processes, futures, 2, seed=4))
    assert counts[0] <= counts[1]
    assert 0 < counts[1] < len(undisturbed)
    report = run_sweep(VERBOSE, futures, workers=1, log=quiet())
    assert report["known"] == counts[1]
    check_whole(futures, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_killed_ten_times_a_sweep_goes_on_where_it_was(processes, futures, undisturbed, seed):
    counts = list(interrupted(processes, futures, 10, seed))
    assert counts == sorted(counts)
    run_sweep(VERBOSE, futures, workers=1, log=quiet())
    check_whole(futures, undisturbed)


def test_two_sweeps_at_once_share_the_work(processes, futures, undisturbed):
    both = [start(processes, futures) for _ in range(2)]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    check_whole(futures, undisturbed)


@pytest.mark.long
def test_of_two_sweeps_at_once_one_may_be_killed(processes, futures, undisturbed):
    rng = random.Random(7)
    for _ in range(4):
        first, second = (start(processes, futures) for _ in range(2))
        kill_at_some_moment(first, futures, rng)
        kill_at_some_moment(second, futures, rng)
    survivor = start(processes, futures)
    kill_at_some_moment(start(processes, futures), futures, rng)
    survivor.join(60)
    assert survivor.exitcode == 0
    check_whole(futures, undisturbed)
