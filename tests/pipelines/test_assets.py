"""Assets and checks materialized one by one, as from their pages."""

import dagster as dg
import pandas as pd
import pytest

from forge_core.market.sources.download import Limits
from forge_core.market.sources.providers.binance import URL_SETTING, BinanceSource
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_pipelines.definitions import defs
from tests.market.bar_tables import walk

NAME = "SP500_BEAR_2008"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(tmp_path))
    return Home(tmp_path)


def materialize(instance: dg.DagsterInstance, asset: str, partition: str) -> dg.ExecuteInProcessResult:
    """Materialize one partition of an asset and run its checks."""
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(asset)], partition_key=partition, raise_on_error=False
    )


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict:
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset))
    return {key: value.value for key, value in event.materialization.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.description


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {e.check_name: e.passed for e in result.get_asset_check_evaluations()}


def test_raw_bars_of_the_sample_and_their_check(instance):
    result = materialize(instance, "raw_ohlcv", "SP500")
    assert result.success
    shown = metadata(result, "raw_ohlcv")
    assert shown["dagster/row_count"] == shown["bars_added"] == 5031
    assert shown["first_bar"] == "1999-01-04 00:00"
    assert evaluations(result) == {"sound_bars": True, "complete": True, "plausible": True}
    again = metadata(materialize(instance, "raw_ohlcv", "SP500"), "raw_ohlcv")
    assert (again["bars_added"], again["content_hash"]) == (0, shown["content_hash"])


def test_holes_and_strange_bars_are_warnings(instance, home):
    bars = walk(2_000, "1h")
    bars.iloc[100:103] = bars.iloc[99].to_numpy()
    with BarStore(home.store) as store:
        store.upsert("ES", "1h", bars.drop(bars.index[500:504]), source="x")
        store.upsert("ES", "15m", walk(8_000), source="x")
    selection = dg.AssetSelection.checks_for_assets(dg.AssetKey("raw_ohlcv"))
    checking = dg.Definitions.merge(defs, dg.Definitions(jobs=[dg.define_asset_job("checking", selection)]))
    result = checking.resolve_job_def("checking").execute_in_process(instance=instance)
    found = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert {name: (e.passed, e.severity) for name, e in found.items()} == {
        "sound_bars": (True, dg.AssetCheckSeverity.ERROR),
        "complete": (False, dg.AssetCheckSeverity.WARN),
        "plausible": (False, dg.AssetCheckSeverity.WARN),
    }
    assert "ES 1h: 4 bars missing in 1 gap where other series have bars" in found["complete"].description
    assert "3 bars like the one before in every value" in found["plausible"].description
    assert found["complete"].metadata["missing_bars"].value == 4


def test_a_symbol_without_bars_says_what_brings_them(instance, monkeypatch):
    monkeypatch.setattr(BinanceSource, "limits", Limits(attempts=1))
    monkeypatch.setenv(URL_SETTING, "http://127.0.0.1:9")
    result = materialize(instance, "raw_ohlcv", "BTCUSDT")
    assert not result.success
    assert "forge import FILE --symbol BTCUSDT --timeframe 15m" in failure(result)


def test_one_dataset_from_nothing(instance, home):
    result = materialize(instance, "regime_dataset", NAME)
    assert result.success
    shown = metadata(result, "regime_dataset")
    assert (home.dataset(NAME) / shown["content_hash"] / "1d.parquet").is_file()
    assert shown["regime"] == "bear"
    assert evaluations(result) == {"sound_bars": True, "enough_bars": True}
    assert instance.get_materialized_partitions(dg.AssetKey("raw_ohlcv")) == {"SP500"}


def test_new_bars_in_the_period_make_a_new_version(instance, home):
    first = metadata(materialize(instance, "regime_dataset", NAME), "regime_dataset")["content_hash"]
    with BarStore(home.store) as store:
        index = pd.DatetimeIndex(["2008-07-04"], tz="UTC", name="timestamp").as_unit("us")  # a holiday
        values = {"open": 1250.0, "high": 1260.0, "low": 1240.0, "close": 1255.0, "volume": 1.0}
        store.upsert("SP500", "1d", pd.DataFrame(values, index=index), source="made up")
    second = metadata(materialize(instance, "regime_dataset", NAME), "regime_dataset")["content_hash"]
    assert first != second
    assert {path.name for path in home.dataset(NAME).iterdir() if path.is_dir()} == {first, second}


def test_a_file_that_was_changed_fails_its_check(instance, home):
    version = metadata(materialize(instance, "regime_dataset", NAME), "regime_dataset")["content_hash"]
    path = home.dataset(NAME) / version / "1d.parquet"
    bars = pd.read_parquet(path)
    bars.loc[0, "high"] = bars.loc[0, "low"] - 1
    bars.to_parquet(path)
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("regime_dataset"), "sound_bars"))
    checking = dg.Definitions.merge(defs, dg.Definitions(jobs=[dg.define_asset_job("checking", selection)]))
    result = checking.resolve_job_def("checking").execute_in_process(instance=instance, raise_on_error=False)
    evaluation = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert not evaluation["sound_bars"].passed
    assert NAME in evaluation["sound_bars"].description


def test_the_bank_of_a_dataset(instance):
    assert "materialize regime_dataset" in failure(materialize(instance, "indicator_bank", NAME))
    materialize(instance, "regime_dataset", NAME)
    result = materialize(instance, "indicator_bank", NAME)
    assert result.success
    shown = metadata(result, "indicator_bank")
    assert shown["features"] >= shown["computed"] > 100  # one computation may give several columns
    assert shown["megabytes"] > 0
