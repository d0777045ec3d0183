"""Source binance against a real HTTP server on loopback that serves an archive, well and badly."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forge_core.errors import ConfigError, DataError
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.sources.download import Limits, download_parts
from forge_core.market.sources.providers.binance import URL_SETTING, BinanceSource
from forge_core.market.sources.refresh import refresh_bars
from forge_core.market.store.bar_store import BarStore
from tests.market.archive_server import Archive, serving
from tests.market.bar_tables import same_bars, walk

FAST = Limits(attempts=3, connect=1.0, silence=0.4, attempt=1.0, first_wait=0.01, longest_wait=0.05)
HOURLY = "data/spot/{}/klines/BTCUSDT/1h/BTCUSDT-1h-{}.zip"
BARS = walk(24 * 101, "1h", "2024-01-01").round(2)  # to 2024-04-10
NOW = BARS.index[-1] + pd.Timedelta(hours=9)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setattr(BinanceSource, "limits", FAST)
    with serving(tmp_path / "archive") as served:
        monkeypatch.setenv(URL_SETTING, served.url)
        yield served


@pytest.fixture(scope="module")
def publication(tmp_path_factory):
    """The archive's files of BARS, written once."""
    folder = tmp_path_factory.mktemp("publication")
    Archive(folder).put_klines(BARS, "BTCUSDT", "1h")
    return folder


@pytest.fixture
def published(archive, publication):
    shutil.copytree(publication, archive.root)
    return archive


def refresh(home, symbol="BTCUSDT", *, now=NOW, since=BARS.index[0], told=None, timeframes=("1h",), **options):
    log = None if told is None else told.append
    return refresh_bars(get_instrument(symbol), home, timeframes=timeframes, since=since, now=now, log=log, **options)


def stored(home, symbol="BTCUSDT", timeframe="1h"):
    with BarStore(home.store) as store:
        return store.read(symbol, timeframe)


def put_in_store(home, bars, timeframe="1h"):
    with BarStore(home.store) as store:
        store.upsert("BTCUSDT", timeframe, bars, source="mine")


def zips(*labels):
    return [f"BTCUSDT-1h-{label}.zip" for label in labels]


def left_over(home):
    return [path for path in home.downloads.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_file_larger_than_the_limit_is_given_up_and_deleted(home, published, monkeypatch):
    monkeypatch.setattr(BinanceSource, "limits", replace(FAST, largest=3_000))
    with pytest.raises(DataError, match=r"the file has [\d,]+ bytes or more, expected 3,000 or fewer") as refused:
        refresh(home)
    (name,) = re.findall(r"BTCUSDT-1h-2024-0\d\.zip", str(refused.value))[:1]
    # parts of other, smaller files may stay: the next refresh resumes them
    assert [path for path in home.downloads.rglob("*.part") if path.name.startswith(name)] == []
    assert stored(home).empty


def test_whole_months_come_by_the_month_and_the_rest_by_the_day(home, published):
    told = []
    (report,) = refresh(home, told=told)
    assert published.asked() == zips(*[f"2024-0{m}" for m in (1, 2, 3)], *[f"2024-04-{d:02d}" for d in range(1, 11)])
    assert report.inserted == len(BARS)
    same_bars(stored(home), BARS)
    assert published.most_at_once <= FAST.at_once
    assert told[0].startswith("BTCUSDT 1h: 13 files requested: 13 fetched; 0.")
    assert left_over(home) == []
    with BarStore(home.store) as store:
        assert store.sources("BTCUSDT", "1h") == ["binance archive (spot)"]


def test_what_is_known_is_not_fetched_again(home, published):
    refresh(home)
    published.requests.clear()
    assert refresh(home) == []
    assert published.asked() == []
    week = [f"BTCUSDT-1h-2024-04-{d:02d}.zip.CHECKSUM" for d in range(4, 11)]
    assert published.asked(".CHECKSUM") == week  # whether the last week was revised since
    published.requests.clear()
    refresh(home, recheck=None)
    assert published.requests == []


def test_the_next_day_one_file_comes(home, published):
    refresh(home, now=NOW - pd.Timedelta(days=1))
    same_bars(stored(home), BARS[:-24])
    published.requests.clear()
    (report,) = refresh(home)
    assert (report.inserted, published.asked()) == (24, zips("2024-04-10"))
    same_bars(stored(home), BARS)


def test_a_day_that_is_not_over_is_not_asked_for_and_one_not_published_is_waited_for(home, published, publication):
    (published.root / HOURLY.format("daily", "2024-04-10")).unlink()
    (published.root / (HOURLY.format("daily", "2024-04-10") + ".CHECKSUM")).unlink()
    told = []
    refresh(home, told=told)
    same_bars(stored(home), BARS[:-24])
    assert "BTCUSDT 1h: 2024-04-10 is not published yet" in told
    assert not any("2024-04-11" in path for path in published.requests)
    shutil.copytree(publication, published.root, dirs_exist_ok=True)
    refresh(home)
    same_bars(stored(home), BARS)


def test_only_what_the_store_lacks_is_asked_for(home, published):
    holes = (BARS.index.day == 9) & (BARS.index.month == 2) & (BARS.index.hour < 5)
    put_in_store(home, BARS[(BARS.index >= "2024-02-01") & (BARS.index < "2024-03-20") & ~holes])
    refresh(home)
    days = [f"2024-03-{d}" for d in range(20, 32)] + [f"2024-04-{d:02d}" for d in range(1, 11)]
    assert published.asked() == zips("2024-01", "2024-02-09", *days)
    same_bars(stored(home), BARS)


def test_an_outage_of_the_exchange_is_not_asked_for_again(home, archive):
    outage = (BARS.index >= "2024-02-09 03:00") & (BARS.index < "2024-02-09 08:00")
    archive.put_klines(BARS[~outage], "BTCUSDT", "1h")
    refresh(home, recheck=None)
    archive.requests.clear()
    refresh(home, recheck=None)
    assert archive.requests == []
    same_bars(stored(home), BARS[~outage])


def test_a_month_that_has_not_come_yet_is_taken_by_the_day(home, published, publication):
    (published.root / (HOURLY.format("monthly", "2024-03") + ".CHECKSUM")).unlink()
    refresh(home)
    assert zips("2024-03-01")[0] in published.asked()
    same_bars(stored(home), BARS)
    shutil.copytree(publication, published.root, dirs_exist_ok=True)
    published.requests.clear()
    assert refresh(home) == []
    assert published.asked() == []


def test_a_day_older_than_the_daily_files_is_taken_from_its_month(home, archive):
    archive.put_klines(BARS, "BTCUSDT", "1h", daily=False)
    put_in_store(home, BARS[BARS.index.date != pd.Timestamp("2024-01-20").date()])
    refresh(home)
    assert archive.asked() == zips("2024-01")
    same_bars(stored(home), BARS)


def test_months_before_a_symbol_was_listed_are_asked_for_once(home, published):
    since = pd.Timestamp("2023-07-15", tz="UTC")
    refresh(home, since=since)
    same_bars(stored(home), BARS)
    published.requests.clear()
    refresh(home, since=since, recheck=None)
    assert published.requests == []


def test_a_month_that_is_absent_between_others_is_asked_for_again(home, archive):
    month = BARS.index.month == 1
    archive.put_klines(BARS[~month], "BTCUSDT", "1h")
    put_in_store(home, BARS[:24])
    later = NOW + pd.Timedelta(days=90)
    refresh(home, now=later, recheck=None)
    same_bars(stored(home), pd.concat([BARS[:24], BARS[~month]]))
    archive.put_klines(BARS, "BTCUSDT", "1h")
    refresh(home, now=later, recheck=None)
    same_bars(stored(home), BARS)


def test_a_name_or_address_that_is_wrong_is_told_and_nothing_is_noted(home, archive, publication):
    with pytest.raises(DataError, match=rf"BTCUSDT 1h: {archive.url} has none of the 73 requested files of BTCUSDT"):
        refresh(home)
    shutil.copytree(publication, archive.root)
    refresh(home)
    same_bars(stored(home), BARS)


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("fault", [500, 503, 429, "drop", "cut", "short", "stall", "drip", "other"])
def test_a_fault_that_passes_is_lived_through(home, published, fault, ranges):
    published.ranges = ranges
    for name in ("2024-01", "2024-03"):
        published.faults["/" + HOURLY.format("monthly", name)].append(fault)
    published.faults["/" + HOURLY.format("monthly", "2024-02") + ".CHECKSUM"].append(fault)
    refresh(home)
    same_bars(stored(home), BARS)
    assert left_over(home) == []
    if ranges and fault in ("cut", "stall"):
        assert all(wanted != "bytes=0-" for wanted in published.ranged)
        assert published.ranged, "what had come was fetched again"


@pytest.mark.parametrize("fault", [500, 403, "drop", "cut", "stall", "other"])
def test_a_source_that_is_down_leaves_the_store_as_it_was_and_the_next_refresh_catches_up(home, published, fault):
    put_in_store(home, BARS[:500])
    published.always = fault
    started = time.monotonic()
    with pytest.raises(DataError, match=r"source binance failed \(http.*no bars were stored, and the next"):
        refresh(home)
    assert time.monotonic() - started < 6
    same_bars(stored(home), BARS[:500])
    published.always = None
    refresh(home)
    same_bars(stored(home), BARS)


def test_a_server_that_is_not_there_is_told(home, published, monkeypatch):
    monkeypatch.setenv(URL_SETTING, "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/data/.*Connection refused.*\(tried 3 times\)"):
        refresh(home)
    assert stored(home).empty


def test_what_came_before_the_source_went_down_is_not_fetched_again(home, published):
    broken = "/" + HOURLY.format("daily", "2024-04-10")
    published.faults[broken].extend([500] * FAST.attempts)
    with pytest.raises(DataError, match=r"2024-04-10\.zip: the server responded 500"):
        refresh(home)
    assert stored(home).empty
    kept = {path.name for path in left_over(home)}
    assert zips("2024-01")[0] in kept
    published.requests.clear()
    refresh(home)
    assert kept.isdisjoint(published.asked())
    same_bars(stored(home), BARS)
    assert left_over(home) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"this is no zip", "damaged|damaged zip"),
        (b"", "empty|damaged zip"),
    ],
)
def test_a_file_that_is_no_zip_is_refused_though_its_checksum_agrees(home, published, content, fault):
    published.put_bytes(*HOURLY.format("monthly", "2024-02").rsplit("/", 1), content)
    with pytest.raises(DataError, match=fault):
        refresh(home)
    assert stored(home).empty


@pytest.mark.parametrize(
    ("bars", "fault"),
    [
        (BARS[BARS.index.month == 1], "expected rows of 2024-02 only"),
        (walk(24 * 29 * 2, "30m", "2024-02-01").round(2), "mostly 0 days 00:30:00 apart"),
        (BARS[BARS.index.month == 2].shift(freq="7min"), "not aligned to 1h|grid"),
        (BARS[BARS.index.month == 2].assign(high=1.0), "high"),
    ],
    ids=["another month", "another interval", "off the hour", "high below low"],
)
def test_a_file_of_other_bars_is_refused(home, published, bars, fault):
    published.put(*HOURLY.format("monthly", "2024-02").rsplit("/", 1), bars)
    with pytest.raises(DataError, match=rf"BTCUSDT.*{fault}"):
        refresh(home)
    assert stored(home).empty


def test_a_revision_by_the_exchange_is_recorded_as_such(home, published):
    refresh(home)
    revised = BARS.copy()
    day = revised.index.strftime("%Y-%m-%d") == "2024-04-07"
    revised.loc[day, "volume"] += 1.0
    published.put(*HOURLY.format("daily", "2024-04-07").rsplit("/", 1), revised[day])
    published.requests.clear()
    told = []
    (report,) = refresh(home, told=told)
    assert published.asked() == zips("2024-04-07")
    assert (report.revised, report.inserted) == (24, 0)
    assert "BTCUSDT 1h: the source has revised 2024-04-07" in told
    same_bars(stored(home), revised)
    with BarStore(home.store) as store:
        record = store.revisions("BTCUSDT")
    assert record["volume"].tolist() == BARS.loc[day, "volume"].tolist()
    assert refresh(home) == []


def test_funding_comes_with_the_bars_of_a_perpetual(home, archive):
    archive.put_klines(BARS, "BTCUSDT", "1h", market="futures/um")
    times = pd.date_range("2024-01-01", "2024-03-31 16:00", freq="8h", tz="UTC")
    rates = np.random.default_rng(0).normal(1e-4, 1e-4, len(times)).round(8)
    for label, rows in pd.Series(rates, times).groupby(times.strftime("%Y-%m")):
        lines = [f"{int(t.timestamp() * 1000) + 3},8,{rate:.8f}" for t, rate in rows.items()]
        text = "\n".join(["calc_time,funding_interval_hours,last_funding_rate", *lines, ""])
        archive.put_text("data/futures/um/monthly/fundingRate/BTCUSDT", f"BTCUSDT-fundingRate-{label}.zip", text)
    reports = refresh(home, "BTCUSDTPERP")
    assert [(r.timeframe, r.inserted) for r in reports] == [("1h", len(BARS)), ("funding", len(times))]
    same_bars(stored(home, "BTCUSDTPERP"), BARS)
    with BarStore(home.store) as store:
        series = store.funding("BTCUSDTPERP")
    assert series.index.equals(times.as_unit("us"))
    np.testing.assert_array_equal(series.to_numpy(), rates)
    archive.requests.clear()
    assert refresh(home, "BTCUSDTPERP", recheck=None) == []
    assert archive.requests == []


def test_all_timeframes_of_a_symbol_are_stored_or_none(home, published):
    half = walk(24 * 101 * 2, "30m", "2024-01-01").round(2)
    published.put_klines(half, "BTCUSDT", "30m")
    published.faults["/" + HOURLY.format("monthly", "2024-01")].extend([500] * FAST.attempts)
    with pytest.raises(DataError, match="BTCUSDT 1h: source binance failed"):
        refresh(home, timeframes=("30m", "1h"))
    assert stored(home, timeframe="30m").empty
    refresh(home, timeframes=("30m", "1h"))
    same_bars(stored(home, timeframe="30m"), half)
    same_bars(stored(home), BARS)


CHILD = """
import pandas as pd
from tests.market.test_sources_binance import refresh
from forge_core.paths import Home
print("started", flush=True)
refresh(Home.current())
"""


def child():
    return subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_refresh_that_is_killed_leaves_the_store_whole_and_is_gone_on_with(home, published):
    put_in_store(home, BARS[:500])
    published.faults["/" + HOURLY.format("monthly", "2024-03")].extend(["stall"] * 9)
    process = child()
    while not any(part.stat().st_size for part in home.downloads.rglob("*2024-03.zip.part")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    same_bars(stored(home), BARS[:500])
    published.faults.clear()
    refresh(home)
    assert published.ranged
    same_bars(stored(home), BARS)
    assert left_over(home) == []


def test_two_refreshes_at_once_make_one_store(home, published):
    published.pause = 0.02
    both = [child(), child()]
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    same_bars(stored(home), BARS)
    assert len(published.asked()) == len(set(published.asked()))  # the second found everything there


def fetch_big(archive, folder):
    names = ["big/file.zip"]
    return download_parts(archive.url, names, folder / "to", known={}, limits=FAST, subject="x", log=print)


def test_a_full_disk_is_told_and_nothing_is_left_of_it(tmp_path, archive):
    archive.put_bytes("big", "file.zip", os.urandom(300_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DataError, match=r"file.zip.part cannot be written \(.*too large.*free disk space"):
            fetch_big(archive, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    parts = download_parts(
        archive.url, ["big/file.zip"], tmp_path / "to", known={}, limits=FAST, subject="x", log=print
    )
    assert parts["big/file.zip"].path.stat().st_size == 300_000


def test_an_unfinished_file_of_another_content_is_begun_anew(tmp_path, archive):
    content = os.urandom(50_000)
    archive.put_bytes("big", "file.zip", content)
    for stale in (os.urandom(20_000), os.urandom(90_000)):
        part = tmp_path / "to" / "big" / "file.zip.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(stale)
        got = fetch_big(archive, tmp_path)
        assert got["big/file.zip"].path.read_bytes() == content
        got["big/file.zip"].path.unlink()


def test_the_address_is_a_setting(home, archive, monkeypatch):
    instrument = get_instrument("BTCUSDT").model_copy(update={"source_options": {"url": "http://127.0.0.1:9"}})
    assert BinanceSource(instrument, home).url == archive.url
    monkeypatch.delenv(URL_SETTING)
    assert BinanceSource(instrument, home).url == "http://127.0.0.1:9"
    assert BinanceSource(get_instrument("BTCUSDT"), home).url == "https://data.binance.vision"
    monkeypatch.setenv(URL_SETTING, "data.binance.vision")
    with pytest.raises(ConfigError, match=r"FORGE_BINANCE_URL is 'data\.binance\.vision': an address such as https"):
        BinanceSource(get_instrument("BTCUSDT"), home)


def test_a_future_is_not_at_binance(home):
    with pytest.raises(ConfigError, match="ZS is of kind future; source binance supports spot and perpetual"):
        BinanceSource(get_instrument("ZS"), home)
