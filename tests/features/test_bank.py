"""The bank: the right numbers, from whole files, whoever else is at work on them."""

import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, namedtuple
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core import files
from forge_core.errors import DataError, PlayError
from forge_core.features import registry
from forge_core.features import version as version_module
from forge_core.features.bank import bank as bank_module
from forge_core.features.bank import lazy_columns
from forge_core.features.bank.bank import Bank, bank_contents, bank_stats, prune_bank
from forge_core.features.bank.lru import LruArrays
from forge_core.features.column import compute_columns
from forge_core.features.reference import price_field
from forge_core.features.registry import get_feature, make_reference
from forge_core.features.transforms import streak
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home
from forge_core.source_hash import source_hash
from tests.features.versions import expected_column, native_bars, project, version

__all__ = ["version"]  # a fixture

EMA = make_reference("ema", {"timeperiod": 10}, timeframe="15m")
EMA_1H = make_reference("ema", {"timeperiod": 10}, timeframe="1h")
UPPER = make_reference("bbands", {"timeperiod": 12}, output="upperband", timeframe="15m")
REFERENCES = [
    EMA,
    EMA_1H,
    make_reference("ema", {"timeperiod": 7}, timeframe="4h"),
    make_reference("rsi", {"timeperiod": 14}, timeframe="1h"),
    UPPER,
    make_reference("macd", {}, output="macdhist", timeframe="4h"),
    make_reference("zones", {}, output="support", timeframe="15m"),
    make_reference("swings", {}, output="last_high", timeframe="1h"),
    price_field("close", "15m"),
    price_field("volume", "4h"),
    EMA.streak(),
    EMA_1H.streak(),
    make_reference("rsi", {}, timeframe="2h"),  # the dataset has no 2h bars: resampled
]
linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts maps through /proc")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def recent(columns=64, *, size=2_000):
    return LruArrays(columns * size * 8)


def make_bank(version, home, execution="15m", **kwargs):
    return Bank(version, execution, home, recent=kwargs.pop("recent", None) or recent(**kwargs))


def right_column(reference, version, execution="15m"):
    return expected_column(
        reference, native_bars(version, reference.timeframe), native_bars(version, execution), execution
    )


def stored_files(bank):
    return sorted(path for path in bank.folder.glob("*.npy") if not path.name.startswith("bars-"))


def in_processes(work, *arguments, count=1):
    """Start ``work`` in forked processes."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    return processes


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_a_column_is_what_the_definition_computes_seen_from_the_execution_bars(reference, version, home):
    expected = right_column(reference, version)
    assert np.isfinite(expected).any()
    bank = make_bank(version, home)
    column = bank.column(reference)
    np.testing.assert_array_equal(column, expected)  # computed and written
    again = make_bank(version, home).column(reference)
    np.testing.assert_array_equal(again, expected)  # read by another
    for array in (column, again):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_another_execution_timeframe_has_its_own_columns(version, home):
    np.testing.assert_array_equal(make_bank(version, home, "1h").column(EMA_1H), right_column(EMA_1H, version, "1h"))
    np.testing.assert_array_equal(make_bank(version, home).column(EMA_1H), right_column(EMA_1H, version))
    assert {(column.execution, column.feature) for column in bank_contents(home, version.content_hash)} == {
        ("15m", EMA_1H.canonical),
        ("1h", EMA_1H.canonical),
    }


@settings(deadline=None)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, np.nan]), max_size=40))
def test_streak_counts_consecutive_steps(values):
    expected, run = [], np.nan
    for position, value in enumerate(values):
        step = value - values[position - 1] if position else np.nan
        if np.isnan(step):
            run = np.nan
        elif step == 0:
            run = 0
        else:
            run = np.sign(step) * (abs(run) + 1 if np.sign(run) == np.sign(step) else 1)
        expected.append(run)
    np.testing.assert_array_equal(streak(np.array(values)), expected)


@pytest.mark.parametrize("reference", [EMA, EMA_1H, UPPER, *REFERENCES[2:4]], ids=str)
@pytest.mark.parametrize("execution", ["15m", "1h"])
def test_warm_up_ends_at_the_first_value(reference, execution, version, home):
    if Timeframe.parse(reference.timeframe) < Timeframe.parse(execution):
        reference = replace(reference, timeframe=execution)
    bank = make_bank(version, home, execution)
    assert bank.warmup(reference) == np.flatnonzero(~np.isnan(bank.column(reference)))[0] > 0


@pytest.mark.parametrize("reference", [EMA, EMA_1H, make_reference("close", {}, timeframe="15m")], ids=str)
def test_a_rule_on_rises_waits_for_its_column_and_no_longer(reference, version, home):
    bank = make_bank(version, home)
    assert bank.warmup(reference.streak()) == bank.warmup(reference)


def test_warm_up_that_never_ends_is_the_number_of_bars(version, home):
    bank = make_bank(version, home)
    count = len(version.bars("15m"))
    assert bank.warmup(make_reference("sma", {"timeperiod": count}, timeframe="15m")) == count - 1
    assert bank.warmup(make_reference("sma", {"timeperiod": count + 1}, timeframe="15m")) == count
    assert bank.warmup(make_reference("sma", {"timeperiod": 5_000}, timeframe="4h")) == count


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        (replace(EMA, timeframe="5m"), PlayError, "5m bars, finer than the execution timeframe 15m"),
        (replace(EMA, name="emma"), PlayError, "did you mean 'ema'"),
        (replace(UPPER, output="upper"), PlayError, "did you mean 'upperband'"),
        (replace(EMA, params=(("timeperiod", 0),)), PlayError, "timeperiod is 0"),
    ],
)
def test_a_column_that_cannot_be_is_refused(reference, error, message, version, home):
    bank = make_bank(version, home)
    for ask in (bank.column, lambda wrong: bank.build([EMA, wrong])):
        with pytest.raises(error, match=message):
            ask(reference)
    with pytest.raises(error, match=message):
        bank.build([reference])


def test_bars_finer_than_the_dataset_are_refused(version, home):
    with pytest.raises(DataError, match=r"no 5m bars: its finest timeframe is 15m"):
        make_bank(version, home, "5m").column(replace(EMA, timeframe="5m"))


# ---------------------------------------------------------------- files


def test_one_call_of_an_indicator_stores_all_its_outputs(version, home):
    bank = make_bank(version, home)
    bank.column(UPPER)
    assert [column.feature for column in bank_contents(home, version.content_hash)] == [
        replace(UPPER, output=output).canonical for output in ("lowerband", "middleband", "upperband")
    ]
    assert {path.stem for path in stored_files(bank)} == {
        column.hash for column in bank_contents(home, version.content_hash)
    }


def test_the_files_are_plain_npy(version, home):
    bank = make_bank(version, home)
    column = bank.column(EMA)
    (path,) = stored_files(bank)
    np.testing.assert_array_equal(np.load(path), column)
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), column)


def test_an_edited_indicator_gives_new_numbers_and_leaves_the_others_stored(version, home, monkeypatch):
    bank = make_bank(version, home)
    before = bank.column(EMA)
    bank.column(UPPER)
    stored = set(stored_files(bank))
    definition = get_feature("ema")

    def edited(bars, params):
        return tuple(column + 1.0 for column in definition.function(bars, params))

    monkeypatch.setitem(registry._BUILTIN, "ema", replace(definition, function=edited))
    monkeypatch.setitem(version_module.FEATURE_VERSIONS, "ema", source_hash(edited))
    bank = make_bank(version, home)
    np.testing.assert_array_equal(bank.column(EMA), before + 1.0)
    bank.column(UPPER)
    assert len(set(stored_files(bank)) - stored) == 1


def test_edited_resampling_makes_the_bars_anew(version, home, monkeypatch):
    make_bank(version, home).bars(Timeframe.parse("2h"))
    monkeypatch.setattr(bank_module, "BARS_VERSION", "another")
    monkeypatch.setattr(bank_module, "resample_bars", lambda bars, timeframe, *, session: bars[::8])
    hours = make_bank(version, home).bars(Timeframe.parse("2h"))
    np.testing.assert_array_equal(hours.fields["close"], version.bars("15m")["close"].to_numpy()[::8])


def test_a_column_that_is_there_is_not_computed(version, home, monkeypatch):
    make_bank(version, home).column(EMA)
    monkeypatch.delattr(lazy_columns, "compute_columns")
    make_bank(version, home).column(EMA)
    with pytest.raises(NameError):
        make_bank(version, home).column(UPPER)


def cut(data):
    return data[:-1]


def cut_to_a_page(data):
    return data[:4096]


def emptied(data):
    return b""


def one_bit_turned(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def a_page_of_zeros(data):
    return data[:8192] + bytes(4096) + data[12288:]


def another_header(data):
    return data.replace(b"<f8", b"<i8", 1)


def another_description(data):
    return data.replace(b"timeperiod=10", b"timeperiod=11")


def longer(data):
    return data + bytes(8)


@pytest.mark.parametrize(
    "damage",
    [cut, cut_to_a_page, emptied, one_bit_turned, a_page_of_zeros, another_header, another_description, longer],
)
def test_a_damaged_file_is_computed_again_and_said(damage, version, home, caplog):
    bank = make_bank(version, home)
    expected = bank.column(EMA).copy()
    (path,) = stored_files(bank)
    whole = path.read_bytes()
    damaged = damage(whole)
    assert damaged != whole
    path.write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(make_bank(version, home).column(EMA), expected)
    assert str(path) in caplog.text
    assert path.read_bytes() == whole


def test_a_file_under_the_wrong_name_is_not_believed(version, home):
    bank = make_bank(version, home)
    expected = bank.column(EMA).copy()
    (path,) = stored_files(bank)
    bank.column(EMA_1H)
    (other,) = set(stored_files(bank)) - {path}
    path.write_bytes(other.read_bytes())
    np.testing.assert_array_equal(make_bank(version, home).column(EMA), expected)


def test_damaged_bars_are_loaded_again(version, home):
    expected = make_bank(version, home).column(EMA).copy()
    for path in home.features.glob("*/*.npy"):
        path.write_bytes(one_bit_turned(path.read_bytes()))
    np.testing.assert_array_equal(make_bank(version, home).column(EMA), expected)


@contextmanager
def full_disk():
    """No file may grow beyond 512 bytes, as on a disk with so much left: the write itself fails, midway."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_columns_in_memory_with_one_warning(version, home, caplog):
    version.bars("15m")
    bank = make_bank(version, home)
    with caplog.at_level(logging.WARNING), full_disk():
        columns = [bank.column(reference) for reference in REFERENCES]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "are kept in memory" in caplog.text
    for reference, column in zip(REFERENCES, columns, strict=True):
        np.testing.assert_array_equal(column, right_column(reference, version))
        assert not column.flags.writeable
    assert list(home.features.glob("*/*")) == []


def test_a_folder_that_cannot_be_made_does_as_well(version, home):
    home.features.parent.mkdir(exist_ok=True)
    home.features.write_text("a file where the folder should be")
    np.testing.assert_array_equal(make_bank(version, home).column(EMA_1H), right_column(EMA_1H, version))


# ---------------------------------------------------------------- many at once


def test_threads_asking_for_one_call_compute_it_once(version, home, monkeypatch):
    calls = Counter()

    def counted(reference, *arguments):
        calls[reference.name, reference.timeframe, reference.transform] += 1
        time.sleep(0.01)
        return compute_columns(reference, *arguments)

    monkeypatch.setattr(lazy_columns, "compute_columns", counted)
    bank = make_bank(version, home)
    together = threading.Barrier(8)
    results = {}

    def ask(position):
        together.wait()
        for reference in (UPPER, replace(UPPER, output="lowerband"), EMA_1H, EMA):
            results[position, reference] = bank.column(reference)

    threads = [threading.Thread(target=ask, args=(position,)) for position in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(calls.values()) == {1}
    assert len(calls) == 3
    assert len(results) == 32
    for (_, reference), column in results.items():
        np.testing.assert_array_equal(column, right_column(reference, version))


def test_threads_under_a_tight_bound_get_the_right_columns(version, home):
    bank = make_bank(version, home, columns=3)
    expected = {reference: right_column(reference, version) for reference in REFERENCES}
    wrong = []

    def ask(seed):
        for position in np.random.default_rng(seed).integers(0, len(REFERENCES), 100):
            reference = REFERENCES[position]
            if not np.array_equal(bank.column(reference), expected[reference], equal_nan=True):
                wrong.append(reference)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def build_all(version, home, references):
    make_bank(version, home).build(references)


def test_processes_building_the_same_columns_end_with_whole_files(version, home, caplog):
    processes = in_processes(build_all, version, home, REFERENCES, count=3)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    bank = make_bank(version, home)
    with caplog.at_level(logging.WARNING):
        report = bank.build(REFERENCES)
        for reference in REFERENCES:
            np.testing.assert_array_equal(bank.column(reference), right_column(reference, version))
    assert (report.asked, report.computed) == (len(REFERENCES), 0)
    assert caplog.records == []
    assert list(home.features.glob("*/.*")) == []


def test_a_builder_killed_midway_leaves_no_wrong_column(version, home, caplog):
    references = [
        make_reference("bbands", {"timeperiod": period}, timeframe=timeframe)
        for period in range(2, 200)
        for timeframe in ("15m", "1h")
    ]
    seen = set()
    for delay in (0.01, 0.03, 0.05, 0.07):
        (process,) = in_processes(build_all, version, home, references)
        began = time.monotonic()
        while time.monotonic() - began < 20 and not set(home.features.glob("*/*.npy")) - seen:
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        seen = set(home.features.glob("*/*.npy"))
    contents = {column.feature for column in bank_contents(home, version.content_hash)}
    done = [reference for reference in references if reference.canonical in contents]
    assert 0 < len(done) < len(references)
    bank = make_bank(version, home)
    with caplog.at_level(logging.WARNING):
        for reference in [*done[:10], *done[-10:]]:
            np.testing.assert_array_equal(bank.column(reference), right_column(reference, version))
        bank.build(done)
    assert caplog.records == []


# ---------------------------------------------------------------- memory


def open_maps(folder):
    return Path("/proc/self/maps").read_text().count(str(folder))


@linux
def test_open_maps_are_bounded(version, home):
    bank = make_bank(version, home, columns=5)
    references = [make_reference("ema", {"timeperiod": period}, timeframe="15m") for period in range(2, 60)]
    bank.build(references)
    held = open_maps(bank.folder)  # the execution bars
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for reference in references:
            bank.column(reference).sum()
            assert open_maps(bank.folder) <= held + 6
            assert len(os.listdir("/proc/self/fd")) <= descriptors + 6


@linux
def test_two_processes_share_a_column(version, home):
    make_bank(version, home).column(EMA)
    first, second = make_bank(version, home), make_bank(version, home)
    assert open_maps(first.folder) == 0
    columns = first.column(EMA), second.column(EMA)
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(stored_files(first)[0]) in line]
    assert len(columns) == len(lines) == 2
    assert all(" r--" in line for line in lines)  # the file's own pages, read-only


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), max_size=60))
def test_arrays_used_last_are_kept_within_the_bound(operations):
    arrays = LruArrays(max_bytes=800, least_bytes=160)
    kept: dict[int, int] = {}  # in order of use
    for key, size in operations:
        if arrays.get(key) is None:
            assert key not in kept
            arrays.put(key, np.zeros(size))
        else:
            size = kept.pop(key)
        kept[key] = size
        while sum(max(each * 8, 160) for each in kept.values()) > 800:
            kept.pop(next(iter(kept)))
        assert arrays.bytes == sum(max(each * 8, 160) for each in kept.values())
        assert len(arrays) == len(kept) <= 5


def test_an_array_larger_than_the_cache_is_not_kept_and_evicts_nothing():
    arrays = LruArrays(max_bytes=800)
    arrays.put("small", np.zeros(10))
    arrays.put("large", np.zeros(101))
    assert arrays.get("large") is None
    assert arrays.get("small") is not None


def test_there_is_room_for_the_columns_of_a_search():
    assert bank_module.OPEN_MAPS.max_bytes >= min(1_600 * 139_361 * 10, psutil.virtual_memory().total // 4)


def test_open_columns_need_no_open_files(version, home):
    before = len(os.listdir("/proc/self/fd"))
    bank = make_bank(version, home)
    columns = [bank.column(make_reference("sma", {"timeperiod": n}, timeframe="15m")) for n in range(2, 42)]
    assert open_maps(bank.folder) >= len(columns) == 40
    assert len(os.listdir("/proc/self/fd")) - before < 5


# ---------------------------------------------------------------- building, stats, pruning


def test_columns_too_large_for_the_disk_are_refused_before_any_is_computed(version, home, monkeypatch):
    bank = make_bank(version, home)
    bank.build([EMA])
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 10_000))
    with pytest.raises(DataError, match=r"the bank of .* \(1 columns\) needs about .* which has 0\.0 GB free"):
        bank.build([EMA, EMA_1H])
    assert bank.build([EMA]).computed == 0  # what is stored needs no room


def test_build_computes_what_is_missing_and_reports_it(version, home):
    bank = make_bank(version, home)
    bank.column(EMA)
    said = []
    report = bank.build([EMA, UPPER, replace(UPPER, output="middleband"), EMA_1H, EMA], said.append)
    assert (report.asked, report.computed) == (4, 2)
    assert said[-1].endswith("15m: 4 of 4 columns, 2 computed")
    assert bank.build([EMA, UPPER]).computed == 0
    assert bank_stats(home, version.content_hash).features == 5


@pytest.mark.parametrize("wrong", [{"name": "emma"}, {"output": "line"}, {"params": (("timeperiod", 0),)}])
def test_nothing_is_computed_when_one_reference_is_wrong(wrong, version, home):
    with pytest.raises(PlayError):
        make_bank(version, home).build([EMA, replace(EMA, **wrong)])
    assert bank_stats(home, version.content_hash).features == 0


def age(path, days):
    moment = time.time() - timedelta(days=days).total_seconds()
    os.utime(path, (moment, moment))


def path_of(home, version, reference):
    (found,) = [c for c in bank_contents(home, version.content_hash) if c.feature == reference.canonical]
    return home.features / version.content_hash / f"{found.hash}.npy"


def test_stats_tell_columns_bytes_and_ages(version, home):
    assert bank_stats(home, version.content_hash) == bank_module.BankStats(0, 0, None, None)
    bank = make_bank(version, home)
    bank.build([EMA, EMA_1H])
    age(path_of(home, version, EMA), 3)
    stats = bank_stats(home, version.content_hash)
    assert stats.features == 2
    assert stats.bytes == sum(path.stat().st_size for path in bank.folder.iterdir())
    assert timedelta(days=3) <= stats.oldest < timedelta(days=3, minutes=5)
    assert stats.newest < timedelta(minutes=5)
    assert (bank_stats(home).features, bank_stats(home).bytes) == (2, stats.bytes)  # of all datasets


def test_prune_removes_what_was_not_used_for_thirty_days(version, home):
    make_bank(version, home).build([EMA, EMA_1H])
    old, young = path_of(home, version, EMA), path_of(home, version, EMA_1H)
    age(old, 31)
    age(young, 29)
    size = old.stat().st_size
    report = prune_bank(home)
    assert (report.removed, report.removed_bytes) == (1, size)
    assert report.kept_bytes == bank_stats(home).bytes
    assert young.exists()
    assert not old.exists()


def test_prune_by_size_removes_the_least_recently_used_first(version, home):
    make_bank(version, home).build([EMA, EMA_1H, UPPER])
    for path in home.features.glob("*/bars-*"):
        age(path, 20)
    for days, reference in ((9, EMA), (8, EMA_1H), (7, UPPER)):
        age(path_of(home, version, reference), days)
    make_bank(version, home).column(EMA)  # opening it, and the execution bars, is using them
    unused = sum(
        path.stat().st_size for path in home.features.glob("*/bars-*") if path.stat().st_mtime < time.time() - 10
    )
    limit = bank_stats(home).bytes - unused - 1
    report = prune_bank(home, max_bytes=limit, max_age=None)
    left = {column.feature for column in bank_contents(home, version.content_hash)}
    assert EMA_1H.canonical not in left
    assert {EMA.canonical, UPPER.canonical} <= left
    assert unused > 0
    assert report.removed == 7  # the bars of 1h: time and five fields
    assert report.kept_bytes == bank_stats(home).bytes <= limit
    assert prune_bank(home, max_bytes=0).kept == 0
    assert not (home.features / version.content_hash).exists()


def test_pruning_beside_a_running_bank(version, home):
    bank = make_bank(version, home, columns=1)
    column = bank.column(EMA)
    expected = column.copy()
    prune_bank(home, max_bytes=0)
    np.testing.assert_array_equal(column, expected)  # the map outlives the file
    bank.column(EMA_1H)
    np.testing.assert_array_equal(bank.column(EMA), expected)  # computed again
    assert path_of(home, version, EMA).exists()


def test_prune_leaves_a_file_being_written_and_removes_an_abandoned_one(version, home):
    bank = make_bank(version, home)
    bank.column(EMA)
    written, abandoned = bank.folder / ".a.npy.x1.tmp", bank.folder / ".b.npy.x2.tmp"
    for path in (written, abandoned):
        path.write_bytes(b"half")
    age(abandoned, 1)
    stranger = bank.folder / "notes.txt"
    stranger.write_text("not the bank's")
    prune_bank(home, max_bytes=0)
    assert set(bank.folder.iterdir()) == {written, stranger}


def test_prune_of_an_empty_home(home):
    assert prune_bank(home) == bank_module.PruneReport(0, 0, 0, 0)


def test_a_resampled_timeframe_follows_the_session(version, home, tmp_path):
    """Such columns depend on the session as declared now, so they get another file when it changes."""
    two_hours = make_reference("rsi", {}, timeframe="2h")
    shared = recent()
    before = make_bank(version, home, recent=shared).column(two_hours)
    make_bank(version, home, recent=shared).column(EMA)
    with project(tmp_path / "moved", opens="01:00"):
        bank = make_bank(version, home, recent=shared)
        assert not np.array_equal(bank.column(two_hours), before, equal_nan=True)
        assert native_bars(version, "2h").index[0].hour % 2 == 1
        np.testing.assert_array_equal(bank.column(two_hours), right_column(two_hours, version))
        bank.column(EMA)
    assert [column.feature for column in bank_contents(home, version.content_hash)] == [
        EMA.canonical,
        two_hours.canonical,
        two_hours.canonical,
    ]


_AFTER_LOADING = """
from forge_core.engine.load_kernels import load_kernels
from forge_core.features.alignment import aligned_index, take_aligned
from forge_core.features.transforms import streak
from forge_core.feeds.build import open_feed
from forge_core.features.registry import make_reference
from forge_core.market.datasets.build import open_version

load_kernels()
kernels = (aligned_index, take_aligned, streak)
before = [len(kernel.signatures) for kernel in kernels]
assert min(before) > 0, before
columns = open_feed(open_version("SIM", "{hash}")).columns
columns.column(make_reference("ema", {{}}, timeframe="1h").streak())
columns.column(make_reference("close", {{}}, timeframe="4h"))
print([len(kernel.signatures) for kernel in kernels] == before)
"""


def test_a_bank_compiles_nothing_once_its_kernels_are_loaded(version):
    command = [sys.executable, "-c", _AFTER_LOADING.format(hash=version.content_hash)]
    environment = {**os.environ, "FORGE_HOME": str(version.path.parents[2])}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (found.stdout.strip(), found.stderr) == ("True", "")
