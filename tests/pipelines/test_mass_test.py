"""The ``mass_test`` job and its assets: what they record, what they do again, and what a user is told."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from forge_core.errors import ConfigError
from forge_core.paths import Home
from forge_core.sweeps import simulation
from forge_core.sweeps.plan import read_plan
from forge_core.sweeps.report import sweep_status
from tests.pipelines.workspace import Workspace, load_definitions
from tests.sweeps.made import all_rows

SMALL = """
symbols: [SP500, NASDAQ]
months: {from: 2008-09, to: 2008-12}
strategies:
  ema: {short_period: [5, 9], long_period: [20, 26]}
  rsi: {period: [7, 14]}
cash: 10_000
"""
EMA = "  ema: {short_period: [5, 9], long_period: [20, 26]}\n"
COMMAND = "dagster job execute -j mass_test"


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """A project with a small sweep, in which this process works."""
    made = Workspace.make(tmp_path)
    (tmp_path / "project" / "studies" / "small.yaml").write_text(SMALL)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def run(instance: dg.DagsterInstance, sweep: str = "small") -> dg.ExecuteInProcessResult:
    job = load_definitions().resolve_job_def("mass_test")
    return job.execute_in_process(instance=instance, run_config={"sweep": sweep}, raise_on_error=False)


def materialize(instance, asset: str, partition: str, **config) -> dg.ExecuteInProcessResult:
    job = load_definitions().resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(asset)],
        partition_key=partition,
        run_config={"ops": {asset: {"config": config}}} if config else None,
        raise_on_error=False,
    )


def materialized(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dict]:
    events = result.get_asset_materialization_events()
    return {
        (e.asset_key.to_user_string(), e.partition): {k: v.value for k, v in e.materialization.metadata.items()}
        for e in events
    }


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.description


def test_a_sweep_records_its_bars_months_and_ranking(workspace, instance):
    result = run(instance)
    assert result.success
    assert result.output_for_node("rank_tests")["run"] == all_rows(Home.current()).num_rows == 2 * 4 * 6
    events = materialized(result)
    months = [f"2008-{month:02d}" for month in (9, 10, 11, 12)]
    assert set(events) == {
        ("raw_ohlcv", "SP500"),
        ("raw_ohlcv", "NASDAQ"),
        *(("mass_test_results", month) for month in months),
        ("strategy_ranking", "small"),
    }
    month = events["mass_test_results", "2008-10"]
    assert (month["dagster/row_count"], month["failed"], month["symbols"]) == (12, 0, "NASDAQ, SP500")
    assert "| ema | 8 |" in month["strategies"]
    ranking = events["strategy_ranking", "small"]
    assert (ranking["tests"], ranking["months"], ranking["dagster/row_count"]) == (48, 4, 6)
    assert "long_period:20 short_period:5" in ranking["ranking"]
    assert "data:image/png;base64," in ranking["ema map"]


def test_a_second_run_does_and_records_nothing(workspace, instance):
    run(instance)
    again = run(instance)
    assert again.success
    assert again.output_for_node("rank_tests")["run"] == 0
    assert materialized(again) == {}


def test_history_that_was_deleted_is_recorded_anew(workspace, instance):
    first = materialized(run(instance))
    with dg.DagsterInstance.ephemeral() as empty:
        again = run(empty)
        assert again.output_for_node("rank_tests")["run"] == 0
        assert set(materialized(again)) == set(first)


def test_a_month_can_be_materialized_by_itself_and_then_the_rest(workspace, instance):
    one = materialize(instance, "mass_test_results", "2008-10", sweep="small")
    assert one.success
    shown = materialized(one)["mass_test_results", "2008-10"]
    assert (shown["dagster/row_count"], shown["tests_run_now"]) == (12, 12)
    rest = run(instance)
    counts = {"sweep": "small", "asked": 48, "known": 12, "run": 36, "failed": 0, "kept": 0, "errors": []}
    assert counts.items() <= rest.output_for_node("rank_tests").items()
    assert ("mass_test_results", "2008-10") not in materialized(rest)  # known as it is


def test_a_month_at_the_default_config_takes_the_first_sweep_that_has_it(workspace, instance):
    (workspace.root / "project" / "studies" / "futures.yaml").write_text("symbols: [ZS]\nstrategies: {rsi: }\n")
    result = materialize(instance, "mass_test_results", "2008-11")
    assert result.success
    assert materialized(result)["mass_test_results", "2008-11"]["sweep"] == "small"
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.partition) == ("no_failed_tests", True, "2008-11")
    refused = failure(materialize(instance, "mass_test_results", "1980-05"))
    assert "no sweep has bars to test on in 1980-05" in refused
    assert "futures: there are no bars of ZS" in refused
    assert "small: no bars in 1980-05" in refused


def test_no_month_or_ranking_is_stale_after_its_own_run(workspace, instance):
    run(instance)
    resolver = CachingStaleStatusResolver(
        instance, load_definitions().resolve_asset_graph(), LoadingContextForTest(instance)
    )
    assert resolver.get_stale_causes(dg.AssetKey("mass_test_results"), "2008-10") == []
    assert resolver.get_stale_causes(dg.AssetKey("strategy_ranking"), "small") == []


@pytest.mark.parametrize("failing", [{7}, {7, 14}])
def test_failed_tests_are_a_warning_of_their_month_and_all_of_them_fail_the_run(
    workspace, instance, monkeypatch, failing
):
    (workspace.root / "project" / "studies" / "rsi.yaml").write_text(SMALL.replace(EMA, ""))
    check_play = simulation.check_play

    def broken(play, *arguments):
        if any(f"'timeperiod', {period})" in repr(play) for period in failing):
            raise ConfigError("a test that cannot be run")
        return check_play(play, *arguments)

    monkeypatch.setattr(simulation, "check_play", broken)
    result = run(instance, "rsi")
    key = dg.AssetCheckKey(dg.AssetKey("mass_test_results"), "no_failed_tests")
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    found = [record.event.dagster_event.asset_check_evaluation_data for record in records]
    checks = {check.partition: check for check in found}
    assert set(checks) == {f"2008-{month:02d}" for month in (9, 10, 11, 12)}
    assert {check.severity for check in checks.values()} == {dg.AssetCheckSeverity.WARN}
    count = 2 * len(failing)
    assert checks["2008-10"].description == f"failed tests of rsi in 2008-10: {count} of 4"
    assert result.success == (failing == {7})
    if not result.success:
        assert "sweep 'rsi': all 16 tests failed" in failure(result)


def test_a_backfill_over_months_is_one_run(workspace, instance):
    job = load_definitions().resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey("mass_test_results")],
        tags={"dagster/asset_partition_range_start": "2008-09", "dagster/asset_partition_range_end": "2008-11"},
        run_config={"ops": {"mass_test_results": {"config": {"sweep": "small"}}}},
    )
    shown = {partition: data["dagster/row_count"] for (_, partition), data in materialized(result).items()}
    assert shown == {"2008-09": 12, "2008-10": 12, "2008-11": 12}


def test_the_ranking_is_made_anew_from_what_is_there(workspace, instance):
    run(instance)
    for path in (Home.current().mass_tests / "rankings").rglob("*.parquet"):
        path.unlink()
    result = materialize(instance, "strategy_ranking", "small")
    assert result.success
    assert (Home.current().mass_tests / "rankings" / "small" / "ranking.parquet").is_file()


def test_what_the_user_has_to_mend_is_said_in_one_message(workspace, instance):
    assert "unknown sweep 'smal' (did you mean 'small'?)" in failure(run(instance, "smal"))
    assert "no bars to test on in 1980-05" in failure(
        materialize(instance, "mass_test_results", "1980-05", sweep="small")
    )
    futures = workspace.root / "project" / "studies" / "futures.yaml"
    futures.write_text("symbols: [ZS]\nstrategies: {rsi: }\n")
    assert "there are no bars of ZS" in failure(run(instance, "futures"))


@pytest.mark.xdist_group("commands")
def test_the_command_runs_the_sweep_it_is_told(workspace):
    outcome = workspace.run(COMMAND, FORGE_SWEEP="small")
    assert outcome.code == 0, outcome.output
    assert "sweep small: 48 tests on 2 series" in outcome.output
    assert "sweep small: 48 tests, 48 of them now, 0 failed" in outcome.output
    assert "BetaWarning" not in outcome.output
    status = sweep_status(read_plan("small", Home(workspace.home)))
    assert status["done"].tolist() == [24, 24]
    with workspace.instance() as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("strategy_ranking")) == {"small"}
