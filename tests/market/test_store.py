"""The store: upserts that are idempotent and whole, and one process at a time."""

import subprocess
import sys
import textwrap
import time
from itertools import count

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forge_core.errors import ConfigError, DataError
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import same_bars, walk

_NUMBERS = count()  # each example has a symbol of its own


@pytest.fixture
def store(tmp_path):
    with BarStore(tmp_path / "bars.duckdb") as store:
        yield store


def counts(report):
    return report.inserted, report.unchanged, report.conflicts


def test_what_is_put_in_comes_out(store):
    bars = walk(500)
    assert counts(store.upsert("BTCUSDT", "15m", bars, source="here")) == (500, 0, 0)
    same_bars(store.read("BTCUSDT", "15m"), bars)
    assert store.read("BTCUSDT", "1h").empty
    assert store.read("ETHUSDT", "15m").empty
    same_bars(store.read("ETHUSDT", "15m"), bars.iloc[:0])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.tuples(st.integers(0, 80), st.integers(1, 60)), min_size=1, max_size=5))
def test_any_overlapping_parts_give_the_union_and_a_second_time_nothing(store, parts):
    bars, symbol, seen = walk(140), f"S{next(_NUMBERS)}", set()
    for repeat in range(2):
        for first, rows in parts:
            part = set(range(first, first + rows))
            report = store.upsert(symbol, "15m", bars.iloc[first : first + rows], source="x")
            new = len(part - seen)
            assert counts(report) == (new, rows - new, 0)
            assert not (repeat and new)
            seen |= part
    same_bars(store.read(symbol, "15m"), bars.iloc[sorted(seen)])


def test_bars_that_disagree_are_reported_and_the_stored_ones_stay(store):
    bars = walk(20)
    store.upsert("BTCUSDT", "15m", bars.iloc[:15], source="first")
    other = bars.copy()
    other.iloc[3, 4] += 1.0
    other.iloc[7, [1, 3]] += 0.5
    report = store.upsert("BTCUSDT", "15m", other, source="second")
    assert counts(report) == (5, 13, 2)
    assert [c.timestamp for c in report.examples] == [bars.index[3], bars.index[7]]
    assert report.examples[1].stored == tuple(bars.iloc[7])
    assert report.examples[1].incoming == tuple(other.iloc[7])
    assert f"2 differ from the stored ones, which stay (first at {bars.index[3]}" in str(report)
    same_bars(store.read("BTCUSDT", "15m"), bars)


def test_volumes_that_differ_in_the_last_digits_agree(store):
    bars = walk(5)
    store.upsert("BTCUSDT", "15m", bars, source="x")
    close = bars.assign(volume=bars["volume"] * (1 + 1e-14))
    assert counts(store.upsert("BTCUSDT", "15m", close, source="x")) == (0, 5, 0)
    same_bars(store.read("BTCUSDT", "15m"), bars)


def test_only_a_few_conflicts_are_shown(store):
    store.upsert("BTCUSDT", "15m", walk(50), source="x")
    report = store.upsert("BTCUSDT", "15m", walk(50, seed=1), source="x")
    assert counts(report) == (0, 0, 50)
    assert len(report.examples) == 5


def test_reads_are_half_open_in_utc_and_the_limit_takes_the_newest(store):
    bars = walk(10)
    store.upsert("BTCUSDT", "15m", bars, source="x")
    start, end = bars.index[2], bars.index[6]
    same_bars(store.read("BTCUSDT", "15m", start, end), bars.iloc[2:6])
    same_bars(store.read("BTCUSDT", "15m", start.tz_convert("Asia/Tokyo"), end.tz_localize(None)), bars.iloc[2:6])
    same_bars(store.read("BTCUSDT", "15m", end=end, limit=3), bars.iloc[3:6])
    same_bars(store.read("BTCUSDT", "15m", limit=100), bars)


def test_coverage_and_sources(store):
    assert store.coverage().empty
    assert store.span("BTCUSDT", "15m") is None
    bars = walk(10)
    store.upsert("ETHUSDT", "1h", walk(5, "1h"), source="c")
    store.upsert("BTCUSDT", "1h", walk(3, "1h"), source="a")
    store.upsert("BTCUSDT", "15m", bars.iloc[:6], source="a")
    store.upsert("BTCUSDT", "15m", bars, source="b")
    table = store.coverage()
    assert list(table[["symbol", "timeframe", "bars", "sources"]].itertuples(index=False, name=None)) == [
        ("BTCUSDT", "15m", 10, "a, b"),
        ("BTCUSDT", "1h", 3, "a"),
        ("ETHUSDT", "1h", 5, "c"),
    ]
    assert (table["first"][0], table["last"][0]) == (bars.index[0], bars.index[-1])
    assert store.span("BTCUSDT", "15m") == (bars.index[0], bars.index[-1])
    assert store.sources("BTCUSDT", "15m", bars.index[6]) == ["b"]


def test_unsound_bars_and_names_leave_the_store_as_it_was(store):
    bars = walk(10)
    bars.iloc[3, 1] = 0.1
    with pytest.raises(DataError, match=r"row 3 .*high .* is below"):
        store.upsert("BTCUSDT", "15m", bars, source="x")
    with pytest.raises(ConfigError, match="symbol 'BTC; DROP TABLE bars' is not allowed"):
        store.upsert("BTC; DROP TABLE bars", "15m", walk(3), source="x")
    with pytest.raises(ConfigError, match="timeframe '15 minutes'"):
        store.upsert("BTCUSDT", "15 minutes", walk(3), source="x")
    assert store.coverage().empty


def test_the_bars_are_there_when_the_store_is_opened_again(tmp_path):
    path = tmp_path / "new folder" / "bars.duckdb"
    with BarStore(path) as store:
        store.upsert("BTCUSDT", "15m", walk(10), source="x")
    with BarStore(path) as store:
        same_bars(store.read("BTCUSDT", "15m"), walk(10))
    with pytest.raises(DataError, match="is not open"):
        store.read("BTCUSDT", "15m")


def test_an_error_inside_the_block_lets_go_of_the_file(tmp_path):
    with pytest.raises(ZeroDivisionError), BarStore(tmp_path / "bars.duckdb"):
        _ = 1 / 0
    assert python(f"import duckdb; duckdb.connect({str(tmp_path / 'bars.duckdb')!r})").wait() == 0


def test_a_store_held_by_another_process_is_waited_for_and_then_refused(tmp_path):
    path = tmp_path / "bars.duckdb"
    held, release = tmp_path / "held", tmp_path / "release"
    holder = python(
        f"""
        import pathlib, time
        from forge_core.market.store.bar_store import BarStore
        with BarStore(pathlib.Path({str(path)!r})):
            pathlib.Path({str(held)!r}).touch()
            while not pathlib.Path({str(release)!r}).exists():
                time.sleep(0.02)
        """
    )
    try:
        while not held.exists():
            assert holder.poll() is None
            time.sleep(0.02)
        began = time.monotonic()
        with pytest.raises(DataError, match=rf"{path} is in use by another process.*wait for it.*PID {holder.pid}"):
            BarStore(path, wait=0.3).__enter__()
        assert time.monotonic() - began >= 0.3
        release.touch()
        with BarStore(path) as store:  # as soon as it is free
            assert store.coverage().empty
    finally:
        release.touch()
        assert holder.wait(timeout=10) == 0


def test_a_process_killed_while_it_writes_leaves_whole_imports_only(tmp_path):
    path = tmp_path / "bars.duckdb"
    writer = python(
        f"""
        import pathlib
        from forge_core.market.store.bar_store import BarStore
        from tests.market.bar_tables import walk
        bars = walk(3000)
        with BarStore(pathlib.Path({str(path)!r})) as store:
            for i in range(100_000):
                store.upsert(f"S{{i}}", "15m", bars, source="x")
                print(i, flush=True)
        """
    )
    for _ in range(10):
        writer.stdout.readline()
    writer.kill()
    writer.wait()
    with BarStore(path) as store:
        table = store.coverage()
        assert len(table) >= 10
        assert set(table["bars"]) == {3_000}
        same_bars(store.read("S9", "15m"), walk(3_000))


@pytest.mark.parametrize("content", [b"not a database " * 1_000, None])
def test_a_file_that_is_no_database_or_cut_short_is_named(tmp_path, content):
    path = tmp_path / "bars.duckdb"
    if content is None:
        with BarStore(path) as store:
            store.upsert("BTCUSDT", "15m", walk(5_000), source="x")
        path.write_bytes(path.read_bytes()[:300_000])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{path} cannot be used as a store.*move it away"), BarStore(path) as store:
        store.read("BTCUSDT", "15m")


def python(code):
    """Start a Python process that runs ``code`` in the repository."""
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)


def test_140_thousand_bars_go_in_and_come_out_as_they_were(store):
    bars = walk(140_000)
    store.upsert("BTCUSDT", "15m", bars, source="x")
    store.upsert("BTCUSDT", "15m", bars, source="x")
    read = store.read("BTCUSDT", "15m")
    same_bars(read, bars)


def test_a_store_of_an_older_version_keeps_its_record_of_ingested_files(tmp_path):
    path = tmp_path / "forge.duckdb"
    with BarStore(path) as store:
        store.record_ingested("SIM", "1h", "archive", {"SIM-2024-01.zip": "abc"})
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE ingested_files RENAME TO taken")
    for _ in range(2):
        with BarStore(path) as store:
            assert store.ingested_files("SIM", "1h", "archive") == {"SIM-2024-01.zip": "abc"}
