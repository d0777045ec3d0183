"""The ``mass_test`` job: plan a sweep, test each symbol and interval in parallel, record the months, rank.

Two runs may go at the same time: each series is written by one of them at a time, and neither repeats a test.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from forge_core.files import read_table
from forge_core.market.reference.instruments import get_instrument
from forge_core.parallelism import workers_per_task
from forge_core.paths import Home
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.steps import (
    check_results,
    finish_sweep,
    forget_results,
    load_sweep,
    pending_tasks,
    plan_sweep,
    run_sweep_task,
)
from forge_pipelines.defs.market.assets import WRITES_STORE, raw_materialization
from forge_pipelines.defs.mass_test.assets import (
    DEFAULT_SWEEP,
    SWEEP_TAG,
    MassTestConfig,
    month_materializations,
    ranking_materialization,
)
from forge_pipelines.defs.mass_test.checks import month_evaluations
from forge_pipelines.lib.console import CONSOLE_CONFIG, console_logger
from forge_pipelines.lib.executor import RETRY, executor
from forge_pipelines.lib.materialization import record
from forge_pipelines.lib.resources import BarStoreResource, HomeResource, WorkersResource
from forge_pipelines.lib.steps import first_step, step


@dg.op(
    out={"plan": dg.Out(dict), "tasks": dg.DynamicOut(dict, is_required=False)},
    tags=WRITES_STORE,
    retry_policy=RETRY,
)
def plan_tests(
    context: dg.OpExecutionContext,
    config: MassTestConfig,
    home: HomeResource,
    store: BarStoreResource,
    workers: WorkersResource,
) -> Iterator[dg.Output | dg.DynamicOutput]:
    """Read the sweep, take in its bars, and send each symbol and interval on its way."""
    with first_step(context, workers):
        spec = load_sweep(config.sweep or context.run.tags[SWEEP_TAG])
        plan = plan_sweep(spec, home.open(), context.log)
        record_bars(context, spec.symbols, home.open(), store)
        if config.again:
            context.log.info(f"sweep {spec.name}: {forget_results(plan, context.log):,} recorded tests run again")
        pending = pending_tasks(plan)
    series = f"{len(plan['tasks'])} series, {len(pending)} of them not complete yet"
    context.log.info(f"sweep {spec.name}: {plan['tests']:,} tests on {series}")
    yield dg.Output(plan, "plan")
    for number, task in enumerate(pending or plan["tasks"][:1]):  # without any, what follows would be skipped
        yield dg.DynamicOutput({**plan, "tasks": [task]}, mapping_key=str(number), output_name="tasks")


@dg.op(retry_policy=RETRY)
def sweep_series(context: dg.OpExecutionContext, task: dict, workers: WorkersResource) -> dict:
    """Test every strategy on every month of one symbol and interval, but for what is there already."""
    (series,) = task["tasks"]
    with step():
        threads = workers_per_task(task["series"], workers.number())
        return run_sweep_task(task, series["symbol"], series["interval"], log=context.log, threads=threads)


@dg.op(retry_policy=RETRY)
def rank_tests(context: dg.OpExecutionContext, plan: dict, reports: list) -> dict[str, Any]:
    """Record the months, rank the strategies, and say what was done."""
    with step():
        report = finish_sweep(plan, reports)
        read = SweepPlan.read(plan)
        record(context, month_materializations(read))
        for evaluation in month_evaluations(read):
            context.log_event(evaluation)  # type: ignore[arg-type]  # accepted, but not in its annotation
        record(context, [ranking_materialization(read, read_table(Path(report["ranking"])).to_pandas())])
    counts = f"{report['asked']:,} tests, {report['run']:,} of them now, {report['failed']:,} failed"
    context.log.info(f"sweep {report['sweep']}: {counts}")
    with step():
        check_results(report)
    if report["best"] is not None:
        context.log.info(f"best: {report['best']}; `forge sweep top {report['sweep']}` shows more")
    return report


def record_bars(context: dg.OpExecutionContext, symbols: list[str], home: Home, store: BarStoreResource) -> None:
    """Record the bars of ``symbols`` as they are."""
    with store.open() as bars:
        for symbol in symbols:
            record(context, [raw_materialization(get_instrument(symbol), bars, home)])


@dg.config_mapping
def mass_test_config(config: MassTestConfig) -> dict:
    """Show one flat set of values in the launchpad."""
    return {"ops": {"plan_tests": {"config": config.model_dump()}}, "loggers": CONSOLE_CONFIG}


@dg.graph
def mass_test_graph() -> None:
    """Plan, test all series in parallel, rank the strategies."""
    plan, tasks = plan_tests()
    rank_tests(plan, tasks.map(sweep_series).collect())


mass_test = mass_test_graph.to_job(
    name="mass_test",
    config=mass_test_config,
    executor_def=executor,
    logger_defs={"console": console_logger},
    tags={SWEEP_TAG: os.environ.get("FORGE_SWEEP") or DEFAULT_SWEEP},
    description=(
        "Sweep strategies over months, symbols and intervals: every combination of their parameters, each result kept "
        "once. Run again, it does what is missing. `FORGE_WORKERS` says how many series at a time."
    ),
)
