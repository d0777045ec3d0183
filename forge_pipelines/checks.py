"""Checks shown beside the assets: what is stored is sound, and what was found is worth a look.

A check that runs with its asset looks at the partition of that run; run on its own, at every partition there is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from forge_core.errors import DataError, ForgeError
from forge_core.evolution.status import study_status
from forge_core.market.bars import MIN_ROWS, validate_bars
from forge_core.market.datasets import latest_version
from forge_core.market.instruments import get_instrument
from forge_core.paths import Home
from forge_pipelines.assets.evolution import champion, pareto_front
from forge_pipelines.assets.market import open_store, raw_ohlcv, regime_dataset
from forge_pipelines.failures import user_errors
from forge_pipelines.partitions import DATASETS, STUDIES

_FEW_TRADES = 10
_ORDER = "times rise, nothing is missing or infinite, low and high enclose open and close, and prices are allowed"

_RAW_SOUND = dg.AssetCheckSpec(
    "sound_bars", asset=raw_ohlcv, blocking=True, description=f"In the store, {_ORDER}; of every timeframe."
)
_DATASET_SOUND = dg.AssetCheckSpec(
    "sound_bars",
    asset=regime_dataset,
    blocking=True,
    description=f"The files hold what was written, and {_ORDER}.",
)
_DATASET_ENOUGH = dg.AssetCheckSpec(
    "enough_bars",
    asset=regime_dataset,
    blocking=True,
    description=f"There are at least {MIN_ROWS} bars of the timeframe that is traded, lead-in included.",
)
_FRONT_NOT_EMPTY = dg.AssetCheckSpec(
    "not_empty", asset=pareto_front, description="At least one Play met every constraint of the study."
)
_HOLDOUT_PROFIT = dg.AssetCheckSpec(
    "profit_on_holdout", asset=champion, description="The champion earned something on every holdout dataset."
)
_HOLDOUT_BETTER = dg.AssetCheckSpec(
    "better_than_holding",
    asset=champion,
    description="On every holdout dataset the champion earned more than buying once and holding did.",
)
_HOLDOUT_TRADES = dg.AssetCheckSpec(
    "trades_on_holdout",
    asset=champion,
    description=f"The champion closed at least {_FEW_TRADES} trades on every holdout dataset: fewer say little.",
)


@dg.multi_asset_check(name="raw_ohlcv_checks", specs=[_RAW_SOUND])
def raw_ohlcv_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Read stored bars back and validate them."""
    faults = {}
    with user_errors(), open_store(Home.current()) as store:
        coverage = store.coverage()
        stored = list(zip(coverage["symbol"], coverage["timeframe"], strict=True))
        for symbol, label in stored:
            if symbol in _partitions(context, [name for name, _ in stored]):
                faults[f"{symbol} {label}"] = _fault(_validate, store.read(symbol, label), symbol, label)
    yield _result(_RAW_SOUND, faults)


@dg.multi_asset_check(name="regime_dataset_checks", specs=[_DATASET_SOUND, _DATASET_ENOUGH], can_subset=True)
def regime_dataset_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Read the files of the newest versions back and validate them."""
    sound: dict[str, str | None] = {}
    enough: dict[str, str | None] = {}
    for name in _partitions(context, DATASETS.get_partition_keys()):
        sound[name] = _fault(_validate_dataset, name)
        enough[name] = _fault(_count_rows, name)
    yield from _asked(context, [_result(_DATASET_SOUND, sound), _result(_DATASET_ENOUGH, enough)])


@dg.multi_asset_check(name="pareto_front_checks", specs=[_FRONT_NOT_EMPTY])
def pareto_front_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Look at the fronts of the studies."""
    yield _front_result(_reports(context))


@dg.multi_asset_check(
    name="champion_checks", specs=[_HOLDOUT_PROFIT, _HOLDOUT_BETTER, _HOLDOUT_TRADES], can_subset=True
)
def champion_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Look at what the champions did on their holdouts."""
    yield from _asked(context, _champion_results(_reports(context)))


def study_evaluations(report: Mapping[str, Any]) -> Iterator[dg.AssetCheckEvaluation]:
    """Return the checks of one study's front and champion as the events that an op logs."""
    reports = {report["study"]: report}
    for result in (_front_result(reports), *_champion_results(reports)):
        yield dg.AssetCheckEvaluation(
            asset_key=result.asset_key,  # type: ignore[arg-type]  # _result gives both
            check_name=result.check_name,  # type: ignore[arg-type]
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )


def _front_result(reports: Mapping[str, Mapping[str, Any]]) -> dg.AssetCheckResult:
    return _result(
        _FRONT_NOT_EMPTY,
        {study: None if report["front_size"] else report["reason"] for study, report in reports.items()},
    )


def _champion_results(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[dg.AssetCheckResult]:
    profit: dict[str, str | None] = {}
    better: dict[str, str | None] = {}
    trades: dict[str, str | None] = {}
    for study, report in reports.items():
        for dataset, figures in report.get("holdout", {}).items():
            metrics, subject = figures["metrics"], f"{study} on {dataset}"
            lost = metrics["total_return"] is None or metrics["total_return"] <= 0
            profit[subject] = f"total return {metrics['total_return']}" if lost else None
            held = figures["buy_and_hold"]
            less = (metrics["total_return"] or 0.0) <= held
            better[subject] = f"total return {metrics['total_return']}, of holding {held}" if less else None
            few = metrics["total_trades"] < _FEW_TRADES
            trades[subject] = f"{metrics['total_trades']} trades" if few else None
    yield _result(_HOLDOUT_PROFIT, profit, dg.AssetCheckSeverity.WARN)
    yield _result(_HOLDOUT_BETTER, better, dg.AssetCheckSeverity.WARN)
    yield _result(_HOLDOUT_TRADES, trades, dg.AssetCheckSeverity.WARN)


def _asked(
    context: dg.AssetCheckExecutionContext, results: Iterable[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Return the results of those checks that were asked for: the UI can run one alone."""
    asked = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    return (result for result in results if (result.asset_key, result.check_name) in asked)


def _partitions(context: dg.AssetCheckExecutionContext, all_of_them: Sequence[str]) -> Sequence[str]:
    """Return the partition of the run, or all of them where the run has none."""
    op_context = context.op_execution_context
    return [op_context.partition_key] if op_context.has_partition_key else all_of_them


def _reports(context: dg.AssetCheckExecutionContext) -> dict[str, Mapping[str, Any]]:
    """Return the champion's report of each study that is complete."""
    studies = _partitions(context, list(STUDIES.get_partition_keys(dynamic_partitions_store=context.instance)))
    with user_errors():
        found = {study: study_status(study)["champion"] for study in studies}
    return {study: report for study, report in found.items() if report is not None}


def _validate(bars: pd.DataFrame, symbol: str, timeframe: str) -> None:
    validate_bars(bars, symbol=symbol, timeframe=timeframe, instrument=get_instrument(symbol))


def _validate_dataset(name: str) -> None:
    if (version := latest_version(name)) is not None:
        for label in version.timeframes:
            _validate(version.bars(label), version.symbol, label)


def _count_rows(name: str) -> None:
    if (version := latest_version(name)) is not None:
        rows = version.manifest["timeframes"][version.timeframes[0]]["rows"]
        if rows < MIN_ROWS:
            raise DataError(f"there are only {rows} bars")


def _fault(check: Callable[..., None], *arguments: Any) -> str | None:
    """Return what is wrong, None when nothing is."""
    try:
        check(*arguments)
    except ForgeError as error:
        return str(error)
    return None


def _result(
    spec: dg.AssetCheckSpec,
    faults: Mapping[str, str | None],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Return the result of a check from the fault, or None, of each thing it looked at."""
    found = {subject: fault for subject, fault in faults.items() if fault}
    return dg.AssetCheckResult(
        passed=not found,
        asset_key=spec.asset_key,
        check_name=spec.name,
        severity=severity,
        description="; ".join(f"{subject}: {fault}" for subject, fault in found.items()) or None,
        metadata={"looked_at": len(faults), "faults": len(found)},
    )
