"""Mass tests: the results of each month, and the ranking of a sweep's strategies over all of them."""

import logging
import warnings
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from forge_core.errors import DataError, ForgeError
from forge_core.evidence.sweeps.luck_test import read_sweep_luck
from forge_core.evidence.sweeps.text import sweep_luck_picture, sweep_luck_text
from forge_core.files import content_hash
from forge_core.paths import Home
from forge_core.sweeps.loading import month_hashes
from forge_core.sweeps.plan import SweepPlan, read_plan
from forge_core.sweeps.ranking import rank_strategies
from forge_core.sweeps.report import heat_maps, month_figures, ranking_folder, write_ranking
from forge_core.sweeps.results import result_folder
from forge_core.sweeps.steps import list_sweeps, load_sweep, pending_tasks, plan_sweep, run_sweep_task
from forge_pipelines.defs.market.assets import WRITES_STORE, raw_ohlcv
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.materialization import Materialization
from forge_pipelines.lib.metadata import Metadata, figure, markdown_table, picture
from forge_pipelines.lib.partitions import MONTHS, SWEEPS, SYMBOLS_OF_SWEEPS
from forge_pipelines.lib.resources import HomeResource, WorkersResource

_SHOWN = 25


SWEEP_TAG = "forge/sweep"
"""The run tag that names the sweep. The job sets it from ``FORGE_SWEEP`` of the process that starts the run, so that a
step on another machine runs the same sweep."""
DEFAULT_SWEEP = "mass_test"


class SweepConfig(dg.Config):
    """Sweep to run."""

    sweep: str | None = Field(
        default=None,
        description="A sweep's name, as in `forge sweep list`, or the path of its YAML file. By default the job takes "
        f"that of the run tag {SWEEP_TAG}, which is FORGE_SWEEP, or {DEFAULT_SWEEP}; a month takes the first sweep "
        f"that has it, {DEFAULT_SWEEP} before the others.",
    )


class MassTestConfig(SweepConfig):
    """Sweep to run, and whether to test again what is recorded."""

    again: bool = Field(default=False, description="Test again what is recorded, instead of only what is missing.")


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # a backfill over months in one run: Dagster may change it yet
    _asset_of_months = dg.asset(
        partitions_def=MONTHS,
        deps=[dg.AssetDep(raw_ohlcv, partition_mapping=SYMBOLS_OF_SWEEPS)],
        group_name="mass_test",
        kinds={"parquet"},
        op_tags=WRITES_STORE,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )


@_asset_of_months
def mass_test_results(
    context: dg.AssetExecutionContext, config: SweepConfig, home: HomeResource, workers: WorkersResource
) -> dg.MaterializeResult:
    """Results of every strategy of a sweep in one month, on all its symbols and intervals, one row a test.

    The `mass_test` job tests all months, symbols and intervals in parallel and records each month here. Materialized
    from here, or by a backfill over months, it tests the requested months, one series after the other. Results that
    exist are not computed again, whichever sweep they were computed for.
    """
    months = list(context.partition_keys)
    with user_errors():
        document = _plan_with(months, config.sweep, home.open(), context.log)
        plan = SweepPlan.read(document)
        for month in (month for month in months if month not in plan.months):
            context.log.warning(f"sweep {plan.spec.name} has no bars to test on in {month}")
        pending_tasks(document)  # the disk has room for their results
        reports = [
            run_sweep_task(document, task.symbol, task.interval, months, context.log, workers.number())
            for task in plan.tasks
        ]
        contents = {content.partition: content for content in month_materializations(plan)}
    for month in months:
        if month in contents:
            context.add_asset_metadata(contents[month].describe(), partition_key=month)
    found = [contents[month].version for month in months if month in contents]
    version = found[0] if len(months) == 1 and found else content_hash(*found)
    return dg.MaterializeResult(
        metadata={"sweep": plan.spec.name, "tests_run_now": sum(report["run"] for report in reports)},
        data_version=dg.DataVersion(version),
    )


def _plan_with(months: Sequence[str], sweep: str | None, home: Home, log: logging.Logger) -> dict[str, Any]:
    """Return the plan of ``sweep``, by default of the first sweep that has bars in one of ``months``.

    Raises DataError where there is none, with the reason of each sweep that could not be planned.
    """
    shown = ", ".join(months[:5])
    if sweep is not None:
        document = plan_sweep(load_sweep(sweep), home, log)
        if not set(months) & set(SweepPlan.read(document).months):
            raise DataError(f"sweep {sweep} has no bars to test on in {shown}")
        return document
    reasons = []
    for name in sorted(list_sweeps(), key=lambda name: (name != DEFAULT_SWEEP, name)):
        try:
            document = plan_sweep(load_sweep(name), home, log)
        except ForgeError as error:
            reasons.append(f"{name}: {error}")
            continue
        if set(months) & set(SweepPlan.read(document).months):
            return document
        reasons.append(f"{name}: no bars in {shown}")
    raise DataError(f"no sweep has bars to test on in {shown} ({'; '.join(reasons) or 'there are no sweeps'})")


@dg.asset(
    partitions_def=SWEEPS,
    deps=[dg.AssetDep(mass_test_results, partition_mapping=dg.AllPartitionMapping())],
    group_name="mass_test",
    kinds={"parquet"},
)
def strategy_ranking(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """The strategies of a sweep by their pooled returns over all months, symbols and intervals.

    Beside each: how many trades and days it comes from, how steady it is over months, and whether the parameter sets
    next to it are good too. Recorded by `mass_test` at its end; materialize it to rank the results again.
    """
    with user_errors():
        plan = read_plan(context.partition_key, home.open())
        return ranking_materialization(plan, write_ranking(plan)).result()


def month_materializations(plan: SweepPlan) -> list[Materialization]:
    """Return the content of ``mass_test_results`` for each month that has results of ``plan``."""
    figures = cache(partial(month_figures, plan))  # computed once, and only if a month's page is to be written
    return [
        Materialization(
            "mass_test_results",
            month,
            version,
            partial(_describe_month, plan, month, figures),
            inputs={"raw_ohlcv": plan.spec.symbols},
        )
        for month, version in month_hashes(plan).items()
    ]


def _describe_month(plan: SweepPlan, month: str, figures: Any) -> Metadata:
    found = figures()[month]
    columns = ("strategy", "tests", "trades", "days", "profitable tests", "mean return")
    rows = [
        (
            name,
            f"{of['tests']:,}",
            f"{of['total_trades']:,}",
            f"{of['days']:,}",
            f"{of['profitable']:.0%}",
            f"{of['mean_return']:.3%}",
        )
        for name, of in found["strategies"].items()
    ]
    return {
        "dagster/row_count": found["tests"],
        "dagster/uri": dg.MetadataValue.path(str(result_folder(plan.home, "results"))),
        "sweep": plan.spec.name,
        "failed": found["failed"],
        "total_trades": found["total_trades"],
        "symbols": ", ".join(found["symbols"]),
        "intervals": ", ".join(found["intervals"]),
        "strategies": markdown_table(columns, rows),
    }


def ranking_materialization(plan: SweepPlan, ranking: pd.DataFrame) -> Materialization:
    """Return the content of ``strategy_ranking``; ``ranking`` is what ``write_ranking`` wrote."""
    luck = read_sweep_luck(plan)
    tested = "" if luck is None else luck.model_dump_json()
    version = content_hash(plan.spec.fingerprint, *month_hashes(plan).values(), tested)
    describe, inputs = partial(_describe_ranking, plan, ranking), {"mass_test_results": list(plan.months)}
    return Materialization("strategy_ranking", plan.spec.name, version, describe, inputs=inputs)


def _describe_ranking(plan: SweepPlan, ranking: pd.DataFrame) -> Metadata:
    shown = ("tests", "total_trades", "days", "sharpe", "profit_factor", "positive_months", "neighbour_sharpe")
    luck = read_sweep_luck(plan)
    png = None if luck is None else sweep_luck_picture(luck)
    families = ("parameter_sets", "sharpe_median", "positive_sets", "best_sharpe", "best_total_trades", "best_days")
    return {
        "dagster/row_count": len(ranking),
        "dagster/uri": dg.MetadataValue.path(str(ranking_folder(plan.spec.name, plan.home))),
        "symbols": ", ".join(plan.spec.symbols),
        "months": len(plan.months),
        "tests": plan.tests,
        "luck": sweep_luck_text(plan, ranking) or "one parameter set: no luck line",
        **({} if png is None else {"luck_test": picture(png, "the sweep on mirrored bars")}),
        "ranking": _table(ranking.head(_SHOWN), ("strategy", "parameters", *shown)),
        "strategies": _table(rank_strategies(ranking), ("strategy", *families, "best_parameters", "neighbour_sharpe")),
        **{f"{name} map": picture(png, f"{name}: Sharpe ratio") for name, png in heat_maps(ranking).items()},
    }


def _table(frame: pd.DataFrame, columns: tuple[str, ...]) -> dg.MarkdownMetadataValue:
    rows = [[_cell(row[name]) for name in columns] for row in frame.to_dict("records")]
    return markdown_table(columns, rows)


def _cell(value: Any) -> str:
    """Write a number as ``figure`` does, and JSON of parameters as people write it."""
    if isinstance(value, str):
        return value.strip("{}").replace('"', "").replace(",", " ")
    return figure(None if pd.isna(value) else value)
