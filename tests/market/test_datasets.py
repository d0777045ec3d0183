"""Datasets: cut right, exported whole or not at all, never changed, and honest about damage."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import forge_core.market.datasets.build as datasets_module
from forge_core.errors import ConfigError, DataError
from forge_core.files import read_json, write_json, write_table
from forge_core.market.bars.model import resample_bars
from forge_core.market.datasets.build import LEAD_IN, build_dataset, ensure_dataset, latest_version, open_version
from forge_core.market.datasets.versions import bars_table
from forge_core.market.reference.catalog import DatasetSpec
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.download import Limits
from forge_core.market.sources.providers.binance import URL_SETTING, BinanceSource
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from tests.market.bar_tables import same_bars, walk

PROJECT_DATASETS = Path(__file__).resolve().parents[2] / "datasets"


def spec_of(start="2024-02-01", end="2024-03-01", timeframes=("1h", "4h", "1d"), symbol="BTCUSDT", name="HERE"):
    return DatasetSpec(
        name=name, symbol=symbol, start=start, end=end, timeframes=list(timeframes), regime="bull", characteristics="x"
    )


@pytest.fixture
def store(home):
    with BarStore(home.store) as store:
        yield store


@pytest.fixture
def filled(store):
    """A store with a hundred days of hourly bars from 2024-01-01."""
    store.upsert("BTCUSDT", "1h", walk(2_400, "1h"), source="walk")
    return store


def resampled(bars, label):
    return resample_bars(bars, Timeframe.parse(label), session=Session())


def files(version):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(version.path.iterdir())}


def test_a_dataset_has_its_period_and_lead_in_of_each_timeframe(filled, home):
    version = build_dataset(spec_of(), filled, home)
    bars = walk(2_400, "1h")
    start, end = pd.Timestamp("2024-02-01", tz="UTC"), pd.Timestamp("2024-03-01", tz="UTC")
    before_end = bars[bars.index < end]
    assert (version.start, version.end, version.timeframes) == (start, end, ["1h", "4h", "1d"])
    assert version.instrument.symbol == version.symbol == "BTCUSDT"
    same_bars(version.bars("1h"), before_end)
    for label in ("4h", "1d"):
        same_bars(version.bars(label), resampled(before_end, label))
    assert version.path == home.dataset("HERE") / version.content_hash
    entry = version.manifest["timeframes"]["4h"]
    assert (entry["rows"], entry["lead_in_rows"], entry["origin"]) == (60 * 6, 31 * 6, "resampled from 1h")
    assert entry["sources"] == ["walk"]
    assert (entry["first"], entry["last"]) == ("2024-01-01T00:00:00+00:00", "2024-02-29T20:00:00+00:00")
    assert version.manifest["schema"]["close"] == "float64"


def test_lead_in_is_cut_at_a_thousand_bars(filled, home):
    version = build_dataset(spec_of("2024-03-20", "2024-04-01"), filled, home)
    lead_in = {label: entry["lead_in_rows"] for label, entry in version.manifest["timeframes"].items()}
    assert lead_in == {"1h": LEAD_IN, "4h": 79 * 6, "1d": 79}
    bars = version.bars("1h")
    assert (bars.index < version.start).sum() == LEAD_IN
    assert bars.index[LEAD_IN] == version.start


def test_no_bar_closes_after_the_end(filled, home):
    version = build_dataset(spec_of("2024-02-01", "2024-02-20T10:00:00", ("1h", "4h", "1w")), filled, home)
    for label in version.timeframes:
        assert version.bars(label).index[-1] + Timeframe.parse(label).timedelta <= version.end
    assert version.bars("1w").index[-1] == pd.Timestamp("2024-02-12", tz="UTC")


def test_later_bars_do_not_change_a_dataset(store, home):
    bars = walk(2_400, "1h")
    store.upsert("BTCUSDT", "1h", bars[bars.index < "2024-03-01"], source="x")
    before = build_dataset(spec_of(), store, home)
    store.upsert("BTCUSDT", "1h", bars, source="x")
    assert build_dataset(spec_of(), store, home) == before


def test_the_stores_own_coarser_bars_win_where_they_cover_the_period(filled, home):
    hourly = walk(2_400, "1h")
    own = walk(600, "4h", seed=5)
    filled.upsert("BTCUSDT", "4h", own, source="own")
    version = build_dataset(spec_of(), filled, home)
    same_bars(version.bars("4h"), own[own.index < version.end])
    assert version.manifest["timeframes"]["4h"]["origin"] == "native"
    assert version.manifest["timeframes"]["4h"]["sources"] == ["own"]
    same_bars(version.bars("1d"), resampled(hourly[hourly.index < version.end], "1d"))


@pytest.mark.parametrize("part", [slice(200, None), slice(None, 300), [*range(250), *range(280, 600)]])
def test_coarser_bars_that_do_not_cover_the_period_are_not_used(filled, home, part):
    filled.upsert("BTCUSDT", "4h", walk(600, "4h", seed=5).iloc[part], source="own")
    version = build_dataset(spec_of(), filled, home)
    assert version.manifest["timeframes"]["4h"]["origin"] == "resampled from 1h"
    same_bars(version.bars("4h"), resampled(walk(1_440, "1h"), "4h"))


def test_futures_are_cut_and_resampled_by_their_session(store, home):
    bars = walk(24 * 90, "1h")
    chicago = bars.index.tz_convert("America/Chicago")
    store.upsert("ES", "1h", bars[chicago.day_of_week < 5], source="x")
    version = build_dataset(spec_of(symbol="ES", end="2024-03-20"), store, home)
    daily = version.bars("1d").index.tz_convert("America/Chicago")
    assert set(daily.hour) == {17}
    assert daily[0] >= pd.Timestamp("2024-01-01 17:00", tz="America/Chicago")


def test_the_manifest_lists_the_gaps(store, home):
    bars = walk(2_400, "1h")
    store.upsert("BTCUSDT", "1h", bars.drop(bars.index[[900, 901, 1_000]]), source="x")
    gaps = build_dataset(spec_of(), store, home).manifest["timeframes"]["1h"]["gaps"]
    assert (gaps["count"], gaps["missing"]) == (2, 3)
    first, after = bars.index[900].isoformat(), bars.index[902].isoformat()
    assert gaps["list"][0] == {"start": first, "end": after, "missing": 2}


def test_the_same_content_is_the_same_version_and_nothing_is_written_again(filled, home):
    first = build_dataset(spec_of(), filled, home)
    before = files(first)
    second = build_dataset(spec_of(), filled, home)
    assert second == first
    assert files(second) == before
    assert sorted(p.name for p in home.dataset("HERE").iterdir()) == sorted([first.content_hash, "versions.json"])


def test_other_content_is_another_version_and_the_old_one_stays(filled, home):
    first = build_dataset(spec_of(), filled, home)
    before = files(first)
    filled.upsert("BTCUSDT", "1h", walk(48, "1h", "2023-12-30"), source="more lead-in")
    second = build_dataset(spec_of(), filled, home)
    assert second.content_hash != first.content_hash
    assert files(first) == before
    assert latest_version("HERE", home) == second
    assert open_version("HERE", first.content_hash, home) == first


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(row=st.integers(0, 239), column=st.sampled_from(["close", "volume"]), factor=st.sampled_from([1.0, 1 + 1e-12]))
def test_the_version_changes_if_and_only_if_a_value_does(tmp_path_factory, row, column, factor):
    home = Home(tmp_path_factory.mktemp("home"))
    bars = walk(240, "1h").assign(high=1e9, low=0.001, volume=1.0)
    hashes = []
    for change in (1.0, factor):
        table = bars.copy()
        table.iloc[row, table.columns.get_loc(column)] *= change
        with BarStore(home.root / f"{len(hashes)}.duckdb") as store:
            store.upsert("BTCUSDT", "1h", table, source=str(len(hashes)))
            spec = spec_of("2024-01-02", "2024-01-11", ["1h"])
            hashes.append(build_dataset(spec, store, home).content_hash)
    assert (hashes[0] == hashes[1]) == (factor == 1.0)


def test_the_period_is_part_of_the_content(filled, home):
    one = build_dataset(spec_of(end="2024-03-01"), filled, home)
    other = build_dataset(spec_of(end="2024-03-01T00:30:00"), filled, home)
    same_bars(one.bars("1h"), other.bars("1h"))
    assert one.content_hash != other.content_hash


def test_the_version_built_last_is_the_latest_even_if_its_content_is_older(filled, home):
    first = build_dataset(spec_of(), filled, home)
    second = build_dataset(spec_of(end="2024-03-05"), filled, home)
    assert latest_version("HERE", home) == second
    assert build_dataset(spec_of(), filled, home) == first
    assert latest_version("HERE", home) == first
    shutil.rmtree(first.path)
    assert latest_version("HERE", home) == second
    assert latest_version("ELSEWHERE", home) is None


def test_too_few_bars_are_refused_lead_in_counted(filled, home):
    assert len(build_dataset(spec_of("2024-01-06", "2024-01-07T06:00:00", ["1h"]), filled, home).bars("1h")) == 150
    with pytest.raises(DataError, match=r"HERE: 149 1h bars \(120 of them lead-in\) are too few.*at least 150"):
        build_dataset(spec_of("2024-01-06", "2024-01-07T05:00:00", ["1h"]), filled, home)


def test_a_timeframe_without_a_complete_bar_is_refused(filled, home):
    with pytest.raises(DataError, match="HERE: there is no complete 1w bar in its period"):
        build_dataset(spec_of("2024-02-01", "2024-02-10", ["1h", "1w"]), filled, home)


@pytest.mark.parametrize(
    ("start", "end", "there"),
    [
        ("2023-11-01", "2024-03-01", "those from 2024-01-01 00:00:00.* to 2024-02-29 23:00"),
        ("2024-02-01", "2024-05-01", "those from 2024-01-01 00:00:00.* to 2024-04-09 23:00"),
        ("2022-02-01", "2023-05-01", "none of them"),
    ],
)
def test_a_period_the_store_does_not_have_is_refused_with_the_command_that_brings_it(filled, home, start, end, there):
    need = rf"needs BTCUSDT 1h bars from {start} to {end}, and the store has {there}"
    with pytest.raises(DataError, match=rf"{need}.*forge import FILE --symbol BTCUSDT --timeframe 1h`"):
        build_dataset(spec_of(start, end), filled, home)
    assert not home.dataset("HERE").exists()


def test_a_failure_while_writing_leaves_nothing_and_leftovers_of_a_killed_one_go(filled, home, monkeypatch):
    leftover = home.dataset("HERE") / ".building-abc"
    leftover.mkdir(parents=True)
    (leftover / "1h.parquet").write_bytes(b"half")
    real = datasets_module.write_table

    def fail_on_second(path, table):
        if path.name == "4h.parquet":
            raise OSError("no space left")
        real(path, table)

    monkeypatch.setattr(datasets_module, "write_table", fail_on_second)
    with pytest.raises(OSError, match="no space left"):
        build_dataset(spec_of(), filled, home)
    assert list(home.dataset("HERE").iterdir()) == []
    assert latest_version("HERE", home) is None


@pytest.mark.parametrize(
    ("name", "damage", "fault"),
    [
        ("1h.parquet", lambda path: path.write_bytes(path.read_bytes()[:1_000]), "is missing or damaged"),
        ("1h.parquet", lambda path: path.unlink(), "is missing or damaged"),
        ("4h.parquet", lambda path: shutil.copy(path.with_name("1d.parquet"), path), r"has \d+ rows, \d+ were written"),
        ("manifest.json", lambda path: path.unlink(), "is missing or damaged"),
        ("manifest.json", lambda path: path.write_text(path.read_text()[:200]), "is missing or damaged"),
        ("manifest.json", lambda path: path.write_text("[]"), "is missing or damaged"),
        ("manifest.json", lambda path: edit(path, start="2024-02-02T00:00:00+00:00"), "is not what was written"),
    ],
)
def test_a_damaged_version_is_named_with_what_to_do(filled, home, name, damage, fault):
    version = build_dataset(spec_of(), filled, home)
    damage(version.path / name)
    message = rf"{version.path / name} {fault}.*; delete the folder {version.path}, and the dataset is built again"
    for use in (latest_version, lambda n, h: open_version(n, version.content_hash, h)):
        with pytest.raises(DataError, match=message) as refused:
            use("HERE", home)
        assert str(refused.value).count("delete") == 1
    with pytest.raises(DataError, match=message):
        build_dataset(spec_of(), filled, home)
    shutil.rmtree(version.path)
    assert latest_version("HERE", home) is None
    assert build_dataset(spec_of(), filled, home) == version


def edit(path, **changes):
    write_json(path, {**read_json(path), **changes})


def test_bars_that_were_changed_after_the_export_are_not_read(filled, home):
    version = build_dataset(spec_of(), filled, home)
    bars = version.bars("1h")
    bars.iloc[5, 3] += 0.01
    write_table(version.path / "1h.parquet", bars_table(bars))
    with pytest.raises(DataError, match=r"1h.parquet does not hold the bars it was written with; delete the folder"):
        open_version("HERE", version.content_hash, home).bars("1h")
    (version.path / "1h.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1h.parquet is missing or damaged"):
        version.bars("1h")


def test_unknown_versions_and_timeframes_are_refused(filled, home):
    version = build_dataset(spec_of(), filled, home)
    with pytest.raises(DataError, match="dataset HERE has no 15m bars, only 1h, 4h, 1d"):
        version.bars("15m")
    with pytest.raises(DataError, match="dataset HERE has no version 0123456789abcdef"):
        open_version("HERE", "0123456789abcdef", home)
    with pytest.raises(ConfigError, match=r"dataset hash '../x' is not allowed"):
        open_version("HERE", "../x", home)


def test_ensuring_a_dataset_of_the_sample_needs_nothing_and_works_once(home):
    told = []
    version = ensure_dataset("SP500_BULL_2013", log=told.append)
    assert [line.split(":")[0] for line in told] == ["SP500 1d", "SP500_BULL_2013"]
    assert version.timeframes == ["1d", "1w"]
    weekly, daily = version.bars("1w"), version.bars("1d")
    assert set(weekly.index.day_of_week) == {0}
    week = daily[(daily.index >= "2013-06-03") & (daily.index < "2013-06-10")]
    monday = weekly.loc["2013-06-03"]
    assert monday.tolist() == [
        week["open"].iloc[0], week["high"].max(), week["low"].min(), week["close"].iloc[-1], week["volume"].sum(),
    ]  # fmt: skip
    again = ensure_dataset("SP500_BULL_2013", log=told.append)
    assert again == version
    assert len(told) == 2
    home.store.unlink()  # the version stands on its own
    assert ensure_dataset("SP500_BULL_2013", home) == version


def test_ensuring_what_cannot_be_had_says_what_brings_it(home, monkeypatch):
    monkeypatch.setattr(BinanceSource, "limits", Limits(attempts=1))
    monkeypatch.setenv(URL_SETTING, "http://127.0.0.1:9")
    need = r"BTCUSDT_BEAR_2022 needs BTCUSDT 15m bars from 2022-01-01 to 2023-01-01, and the store has none of them"
    way = r"import them with `forge import FILE --symbol BTCUSDT --timeframe 15m`"
    with pytest.raises(DataError, match=rf"{need}: {way} \(BTCUSDT 15m: source binance failed \(.*Connection refused"):
        ensure_dataset("BTCUSDT_BEAR_2022")
    with pytest.raises(ConfigError, match="unknown dataset 'NOTHING'"):
        ensure_dataset("NOTHING")


def test_a_changed_catalog_entry_makes_a_new_version_and_changed_back_finds_the_old(home, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(PROJECT_DATASETS, project / "datasets")
    monkeypatch.setenv("FORGE_PROJECT", str(project))
    catalog = project / "datasets" / "catalog.yaml"
    original = catalog.read_text()
    first = ensure_dataset("SP500_BEAR_2008")
    catalog.write_text(original.replace("start: 2007-10-01", "start: 2007-11-01"))
    second = ensure_dataset("SP500_BEAR_2008")
    assert second.content_hash != first.content_hash
    assert str(second.start.date()) == "2007-11-01"
    catalog.write_text(original + "\n")
    assert ensure_dataset("SP500_BEAR_2008") == first
    catalog.write_text(original.replace("SP500_BEAR_2008", "SP500_BEAR_OTHER"))
    assert latest_version("SP500_BEAR_2008") == second


def test_files_put_into_the_import_folder_are_found(home, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(PROJECT_DATASETS, project / "datasets")
    (project / "datasets" / "catalog.yaml").write_text(
        "datasets:\n  ZS_HERE: {symbol: ZS, start: 2024-02-01, end: 2024-03-01, timeframes: [1h, 1d], regime: bull}"
    )
    monkeypatch.setenv("FORGE_PROJECT", str(project))
    with pytest.raises(DataError, match=r"put ZS_1h.parquet \(or .csv\) into .*import"):
        ensure_dataset("ZS_HERE")
    home.imports.mkdir(parents=True)
    bars = walk(2_400, "1h")
    bars.to_parquet(home.imports / "ZS_1h.parquet")
    version = ensure_dataset("ZS_HERE")
    same_bars(version.bars("1h"), bars[bars.index < version.end])
    assert version.manifest["timeframes"]["1h"]["sources"] == ["file ZS_1h.parquet"]
