"""Bars kept fresh: the sensor of the import folder, and what follows by declarative automation."""

import os

import dagster as dg
import pandas as pd
import pytest

from forge_core.market.reference.catalog import load_catalog
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.download import Limits
from forge_core.market.sources.providers.binance import URL_SETTING, BinanceSource
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_pipelines.definitions import defs
from forge_pipelines.lib.resources import HomeResource
from tests.market.archive_server import serving
from tests.market.bar_tables import walk

pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")  # of Dagster's own automation tester


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path / "home"))
    opened = Home.current()
    opened.imports.mkdir(parents=True)
    return opened


def look(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    """Let the sensor of the import folder look once."""
    with dg.build_sensor_context(
        instance, cursor=cursor, repository_def=defs.get_repository_def(), resources={"home": HomeResource()}
    ) as context:
        return defs.resolve_sensor_def("import_folder").evaluate_tick(context)


def run(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Run what a sensor or schedule asked for."""
    return defs.resolve_job_def("refresh_ohlcv").execute_in_process(
        instance=instance, partition_key=request.partition_key, run_config=request.run_config, raise_on_error=False
    )


def test_a_new_file_is_taken_when_it_has_been_the_same_for_two_looks(instance, home):
    path = home.imports / "ZS_1h.csv"
    text = walk(300, "1h").to_csv()
    path.write_text(text[:4_000])
    first = look(instance, None)
    assert (first.run_requests, first.skip_message) == ([], "seen, to be taken if they stay as they are: ZS_1h.csv")
    path.write_text(text)  # the copy was under way
    second = look(instance, first.cursor)
    assert second.run_requests == []
    third = look(instance, second.cursor)
    (request,) = third.run_requests
    assert request.partition_key == "ZS"
    assert run(instance, request).success
    with BarStore(home.store) as store:
        assert len(store.read("ZS", "1h")) == 300
    fourth = look(instance, third.cursor)
    assert (fourth.run_requests, fourth.skip_message) == ([], "no new files")
    os.utime(path, (1, 1))
    changed = look(instance, look(instance, fourth.cursor).cursor)
    assert [r.partition_key for r in changed.run_requests] == ["ZS"]
    assert changed.run_requests[0].run_key != request.run_key


def test_files_of_several_symbols_are_a_run_each_and_what_nobody_knows_stays(instance, home):
    walk(40, "1h").to_csv(home.imports / "ZS_1h.csv")
    walk(40, "15m").to_csv(home.imports / "ZS_15m.csv")
    walk(40, "1h").to_parquet(home.imports / "GC_1h.parquet")
    walk(40, "1h").to_csv(home.imports / "what_is_this.csv")
    (home.imports / "UNKNOWN_1h.csv").write_text("damaged, and of a symbol that is not declared")
    (home.imports / ".ZC_1h.csv.part").write_text("a copy under way")
    (home.imports / "notes.txt").write_text("no bars")
    asked = look(instance, look(instance, None).cursor)
    assert sorted(request.partition_key for request in asked.run_requests) == ["GC", "ZS"]
    assert look(instance, asked.cursor).run_requests == []


def test_a_file_that_is_refused_fails_its_run_and_the_good_one_beside_it_is_recorded(instance, home):
    walk(300, "1h").to_csv(home.imports / "ZS_1h.csv")
    (home.imports / "ZS_15m.csv").write_text("timestamp,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,1,1\n")
    (request,) = look(instance, look(instance, None).cursor).run_requests
    result = run(instance, request)
    assert not result.success
    (event,) = result.get_step_failure_events()
    assert "ZS_15m.csv" in event.step_failure_data.user_failure_data.description
    assert instance.get_materialized_partitions(dg.AssetKey("raw_ohlcv")) == {"ZS"}


def test_a_source_that_is_down_fails_the_run_and_the_next_catches_up(instance, home, tmp_path, monkeypatch):
    monkeypatch.setattr(BinanceSource, "limits", Limits(attempts=2, first_wait=0.01))
    now = pd.Timestamp.now("UTC").floor("D")
    bars = walk(24 * 70, "1h", str((now - pd.Timedelta(days=70)).date())).round(2)
    with BarStore(home.store) as store:  # what the catalog names is published
        store.upsert("BTCUSDT", "1h", bars[:1000], source="mine")
    with serving(tmp_path / "archive") as archive:
        monkeypatch.setenv(URL_SETTING, archive.url)
        named = {label for spec in load_catalog().values() if spec.symbol == "BTCUSDT" for label in spec.timeframes}
        for timeframe in named | {"1h"}:  # a user may have added datasets of others
            rule = Timeframe.parse(timeframe).timedelta
            archive.put_klines(bars.resample(rule).ffill(), "BTCUSDT", timeframe)
        archive.always = 500
        request = dg.RunRequest(partition_key="BTCUSDT", run_config={})
        failed = run(instance, request)
        (event,) = failed.get_step_failure_events()
        assert "source binance failed" in event.step_failure_data.user_failure_data.description
        with BarStore(home.store) as store:
            assert store.coverage()["bars"].tolist() == [1000]
        archive.always = None
        assert run(instance, request).success
    with BarStore(home.store) as store:
        assert len(store.read("BTCUSDT", "1h")) == len(bars)


def materialize(instance: dg.DagsterInstance, asset: str, partition: str) -> dg.ExecuteInProcessResult:
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(asset)], partition_key=partition)


def test_datasets_and_banks_follow_bars_that_changed_and_nothing_else(instance, home):
    name = "SP500_BEAR_2008"

    def evaluate(cursor):
        return dg.evaluate_automation_conditions(defs, instance, cursor=cursor)

    def asked(result, asset):
        return result.get_requested_partitions(dg.AssetKey(asset))

    result = evaluate(None)
    assert result.total_requested == 0
    materialize(instance, "raw_ohlcv", "SP500")
    result = evaluate(result.cursor)
    of_symbol = {spec.name for spec in load_catalog().values() if spec.symbol == "SP500"}
    assert asked(result, "regime_dataset") == of_symbol
    materialize(instance, "regime_dataset", name)
    result = evaluate(result.cursor)
    assert asked(result, "indicator_bank") == {name}
    materialize(instance, "indicator_bank", name)
    assert evaluate(result.cursor).total_requested == 0

    materialize(instance, "raw_ohlcv", "SP500")  # nothing new
    result = evaluate(result.cursor)
    assert result.total_requested == 0

    after = walk(3, "1d", "2018-12-31").iloc[1:]
    with BarStore(home.store) as store:
        store.upsert("SP500", "1d", after, source="mine")
    materialize(instance, "raw_ohlcv", "SP500")
    result = evaluate(result.cursor)
    assert name in asked(result, "regime_dataset")
    materialize(instance, "regime_dataset", name)  # its period ended long before: the same version
    result = evaluate(result.cursor)
    assert asked(result, "indicator_bank") == set()


def test_what_is_stale_is_declared_and_what_watches_is_off_until_switched_on():
    spec = next(s for s in defs.resolve_all_asset_specs() if s.key == dg.AssetKey("raw_ohlcv"))
    assert spec.freshness_policy is not None
    for sensor in ("import_folder", "follow_new_bars"):
        assert defs.resolve_sensor_def(sensor).default_status == dg.DefaultSensorStatus.STOPPED
