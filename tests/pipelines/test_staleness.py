"""Staleness in the asset graph: what a refresh of one symbol makes stale, and what stays fresh."""

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from tests.pipelines.workspace import Workspace, load_definitions

SWEEP = """
symbols: [SP500]
months: {from: 2008-09, to: 2008-10}
strategies:
  rsi: {period: [7, 14]}
"""
OF_SP500 = {"raw_ohlcv": "SP500", "regime_dataset": "SP500_BEAR_2008", "indicator_bank": "SP500_BEAR_2008"}
OF_NASDAQ = {"raw_ohlcv": "NASDAQ", "regime_dataset": "NASDAQ_BULL_2016", "indicator_bank": "NASDAQ_BULL_2016"}
OF_STUDY = {"generation_fitness": "tiny-g0006", "pareto_front": "tiny", "champion": "tiny"}
OF_SWEEP = {"mass_test_results": "2008-09", "strategy_ranking": "sweep"}


@pytest.fixture
def definitions(tmp_path, monkeypatch) -> dg.Definitions:
    """The definitions of a project with a study that trains on SP500 and is held out on NASDAQ, and a sweep."""
    workspace = Workspace.make(tmp_path)
    (workspace.root / "project" / "studies" / "sweep.yaml").write_text(SWEEP)
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    return load_definitions()


def materialize(definitions: dg.Definitions, instance: dg.DagsterInstance, asset: str, partition: str) -> None:
    """Materialize one partition as its page does."""
    job = definitions.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(asset)], partition_key=partition
    ).success


def stale(definitions: dg.Definitions, instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """Return the partitions of interest that are not fresh."""
    graph = definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    everything = [pair for part in (OF_SP500, OF_NASDAQ, OF_STUDY, OF_SWEEP) for pair in part.items()]
    return {pair for pair in everything if resolver.get_status(dg.AssetKey(pair[0]), pair[1]) != StaleStatus.FRESH}


def add_bar(symbol: str, day: str) -> None:
    """Store a bar of a day on which the market was closed."""
    with BarStore(Home.current().store) as store:
        before = store.read(symbol, "1d")
        index = pd.DatetimeIndex([day], tz="UTC", name="timestamp").as_unit("us")
        row = before[before.index < index[0]].iloc[[-1]].set_index(index)
        store.upsert(symbol, "1d", row, source="another")


def test_nothing_is_stale_after_its_own_run_and_a_refresh_makes_stale_only_what_depends_on_it(definitions, instance):
    for part in (OF_SP500, OF_NASDAQ):
        for asset, partition in part.items():
            materialize(definitions, instance, asset, partition)
    materialize(definitions, instance, "champion", "tiny")  # evolves and records the generations and the front too
    materialize(definitions, instance, "pareto_front", "tiny")
    for asset, partition in OF_SWEEP.items():
        materialize(definitions, instance, asset, partition)
    assert stale(definitions, instance) == set()

    add_bar("NASDAQ", "2016-07-04")
    materialize(definitions, instance, "raw_ohlcv", "NASDAQ")
    assert stale(definitions, instance) == {("regime_dataset", "NASDAQ_BULL_2016")}
    materialize(definitions, instance, "regime_dataset", "NASDAQ_BULL_2016")
    assert stale(definitions, instance) == {("indicator_bank", "NASDAQ_BULL_2016")}
    materialize(definitions, instance, "indicator_bank", "NASDAQ_BULL_2016")
    assert stale(definitions, instance) == {("champion", "tiny")}  # its holdout; the study trains on SP500
    materialize(definitions, instance, "champion", "tiny")
    assert stale(definitions, instance) == set()

    add_bar("SP500", "2008-07-04")
    materialize(definitions, instance, "raw_ohlcv", "SP500")
    assert stale(definitions, instance) == {("regime_dataset", "SP500_BEAR_2008"), ("mass_test_results", "2008-09")}
    for asset in ("regime_dataset", "indicator_bank"):
        materialize(definitions, instance, asset, "SP500_BEAR_2008")
    assert stale(definitions, instance) == {("generation_fitness", "tiny-g0006"), ("mass_test_results", "2008-09")}


def test_a_month_is_not_stale_after_a_job_has_recorded_it(definitions, instance, monkeypatch):
    monkeypatch.setenv("FORGE_SWEEP", "sweep")
    job = load_definitions().resolve_job_def("mass_test")
    assert job.execute_in_process(instance=instance).success
    assert not stale(definitions, instance) & set(OF_SWEEP.items())
