"""Checks of fronts and champions, per study."""

from collections.abc import Iterator, Mapping

import dagster as dg

from forge_core.evolution.run.reports import ChampionReport
from forge_core.evolution.run.status import study_status
from forge_pipelines.lib.asset_checks import check_result, checked_partitions, partitioned_check, requested
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.partitions import STUDIES
from forge_pipelines.lib.resources import HomeResource

_FEW_TRADES = 10
_FRONT, _CHAMPION = dg.AssetKey("pareto_front"), dg.AssetKey("champion")

_FRONT_NOT_EMPTY = partitioned_check(
    "not_empty", _FRONT, STUDIES, "At least one Play met every constraint of the study."
)
_HOLDOUT_PROFIT = partitioned_check(
    "profit_on_holdout", _CHAMPION, STUDIES, "The champion earned something on every holdout dataset."
)
_HOLDOUT_BETTER = partitioned_check(
    "better_than_holding",
    _CHAMPION,
    STUDIES,
    "On every holdout dataset the champion earned more than buying once and holding did.",
)
_HOLDOUT_TRADES = partitioned_check(
    "trades_on_holdout",
    _CHAMPION,
    STUDIES,
    f"The champion closed at least {_FEW_TRADES} trades on every holdout dataset: fewer say little.",
)


@dg.multi_asset_check(name="pareto_front_checks", specs=[_FRONT_NOT_EMPTY])
def pareto_front_checks(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Check the front of a study."""
    yield _front_result(_reports(context, home))


@dg.multi_asset_check(
    name="champion_checks", specs=[_HOLDOUT_PROFIT, _HOLDOUT_BETTER, _HOLDOUT_TRADES], can_subset=True
)
def champion_checks(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Check how the champion of a study did on its holdout."""
    yield from requested(context, _champion_results(_reports(context, home)))


def study_evaluations(report: ChampionReport) -> Iterator[dg.AssetCheckEvaluation]:
    """Return the checks of one study's front and champion as the events that an op logs."""
    reports = {report.study: report}
    for result in (_front_result(reports), *_champion_results(reports)):
        yield dg.AssetCheckEvaluation(
            asset_key=result.asset_key,  # type: ignore[arg-type]  # check_result sets both
            check_name=result.check_name,  # type: ignore[arg-type]
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            partition=report.study,
            description=result.description,
        )


def _front_result(reports: Mapping[str, ChampionReport]) -> dg.AssetCheckResult:
    return check_result(
        _FRONT_NOT_EMPTY,
        {study: None if report.front_size else report.reason for study, report in reports.items()},
    )


def _champion_results(reports: Mapping[str, ChampionReport]) -> Iterator[dg.AssetCheckResult]:
    profit: dict[str, str | None] = {}
    better: dict[str, str | None] = {}
    trades: dict[str, str | None] = {}
    for study, report in reports.items():
        for dataset, figures in report.holdout.items():
            metrics, subject = figures.metrics, f"{study} on {dataset}"
            earned = metrics["total_return"]
            profit[subject] = f"total return {earned}" if earned is None or earned <= 0 else None
            held = figures.buy_and_hold
            less = held is not None and (earned or 0.0) <= held
            better[subject] = f"total return {earned}, of holding {held}" if less else None
            few = (metrics["total_trades"] or 0) < _FEW_TRADES
            trades[subject] = f"{metrics['total_trades']} trades" if few else None
    yield check_result(_HOLDOUT_PROFIT, profit, dg.AssetCheckSeverity.WARN)
    yield check_result(_HOLDOUT_BETTER, better, dg.AssetCheckSeverity.WARN)
    yield check_result(_HOLDOUT_TRADES, trades, dg.AssetCheckSeverity.WARN)


def _reports(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dict[str, ChampionReport]:
    """Return the champion's report of each requested study that is complete."""
    studies = checked_partitions(context, STUDIES.get_partition_keys())
    with user_errors():
        found = {study: study_status(study, home.open()).champion for study in studies}
    return {study: report for study, report in found.items() if report is not None}
