"""Ops of an evolution: plan a study, evolve its islands, merge each epoch, find the front and the champion.

The graph is unrolled to as many rounds as a study may have epochs. A round is one epoch: its islands run in parallel,
then their tables are merged. Epochs that are complete take no round, and rounds without an epoch are skipped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import dagster as dg

from forge_core.errors import DataError, StudyError
from forge_core.evidence.verdict.text import evidence_text
from forge_core.evolution.run.island import IslandReport
from forge_core.evolution.run.plan import PlanDocument, StudyPlan
from forge_core.evolution.steps import MAX_EPOCHS, finish_study, plan_study, run_island, status_text, write_pareto_front
from forge_core.evolution.storage.tables import read_hypervolume
from forge_core.market.datasets.build import open_version
from forge_core.market.reference.instruments import get_instrument
from forge_core.parallelism import workers_per_task
from forge_core.paths import Home
from forge_pipelines.defs.evolution.checks import study_evaluations
from forge_pipelines.defs.evolution.pages import MANIFEST_TAG, champion_materialization, front_materialization
from forge_pipelines.defs.evolution.recording import GenerationRecorder
from forge_pipelines.defs.evolution.request import STUDY_TAG, EvolveConfig, Request, read_request
from forge_pipelines.defs.market.assets import WRITES_STORE, dataset_materialization, raw_materialization
from forge_pipelines.lib.executor import RETRY
from forge_pipelines.lib.materialization import record, recorded_tags, unrecorded
from forge_pipelines.lib.partitions import generation_key
from forge_pipelines.lib.resources import BarStoreResource, HomeResource, WorkersResource
from forge_pipelines.lib.steps import first_step, step
from forge_pipelines.lib.study_lock import lock_study, unlock_study


class State(TypedDict):
    """State that an op hands to the next, as JSON."""

    plan: PlanDocument
    pending: list[int]  # epochs to evolve or to record
    until: int | None  # the last generation to evolve
    again: list[int]  # generations that this run was asked to materialize, recorded before or not


@dg.op(
    ins={"upstream": dg.In(dg.Nothing), "holdout": dg.In(dg.Nothing)},
    out={"state": dg.Out(dict), "islands": dg.DynamicOut(dict, is_required=False)},
    tags=WRITES_STORE,
    retry_policy=RETRY,
)
def plan(
    context: dg.OpExecutionContext,
    config: EvolveConfig,
    home: HomeResource,
    store: BarStoreResource,
    workers: WorkersResource,
) -> Iterator[dg.Output | dg.DynamicOutput]:
    """Read the study, build the datasets it needs, and record them."""
    with first_step(context, workers):
        folder = home.open()
        request = read_request(context, config, folder)
        spec = request.spec
        lock_study(spec.name, context.run_id, context.instance, folder)
        context.instance.add_run_tags(context.run_id, {STUDY_TAG: spec.name})
        document = plan_study(spec, folder, context.log.info)
        study = StudyPlan.read(document)
        record_data(context, study, store)
        pending = pending_epochs(context.instance, study, request)
    if pending:
        context.log.info(f"study {spec.name}: {len(pending)} of {spec.epochs} epochs to do, {spec.islands} islands")
    elif document["complete"]:
        context.log.info(f"study {spec.name} is complete: nothing to evolve")
    state: State = {"plan": document, "pending": pending, "until": request.until, "again": list(request.generations)}
    yield dg.Output(state, "state")
    yield from _islands(state)


@dg.op(retry_policy=RETRY)
def evolve_island(context: dg.OpExecutionContext, task: dict, workers: WorkersResource) -> dict:
    """Evolve one island for the generations of one epoch, and record those that every island has written."""
    state, island, epoch = task["state"], task["island"], task["epoch"]
    document = state["plan"]
    with step():
        lock_study(document["study"], context.run_id, context.instance, Home(Path(document["home"])))
        recorder = _recorder(context, state, epoch, workers)
        share = workers_per_task(document["islands"], workers.number())
        report = run_island(document, island, epoch, None, share, until=state["until"], written=recorder.record_written)
    return report.document()


@dg.op(
    out={"state": dg.Out(dict, is_required=False), "islands": dg.DynamicOut(dict, is_required=False)},
    retry_policy=RETRY,
)
def merge_epoch(
    context: dg.OpExecutionContext, state: dict, reports: list, workers: WorkersResource
) -> Iterator[dg.Output | dg.DynamicOutput]:
    """Merge and record what the islands did not, and start the islands of the next epoch."""
    epoch, *pending = state["pending"]
    with step():
        study = StudyPlan.read(state["plan"])
        name = study.spec.name
        lock_study(name, context.run_id, context.instance, study.home)
        recorder = _recorder(context, state, epoch, workers)
        merged = recorder.record_written()
        if merged < min(recorder.last, study.final_generation):
            raise StudyError(
                f"study {name!r}: generation {merged + 1} of an island is missing; start the run again to evolve it"
            )
        volume = read_hypervolume(study.folder.generation_table(merged))
    read = [IslandReport.read(report) for report in reports]
    evaluations, seconds = sum(report.evaluations for report in read), max(report.seconds["total"] for report in read)
    context.log.info(
        f"epoch {epoch} of {study.spec.epochs}: {evaluations} backtests in {seconds:.1f} s, hypervolume {volume:.4g}"
    )
    if merged == study.final_generation < study.spec.generations:
        context.log.info(f"study {name} stops early after generation {merged}: the hypervolume does not rise")
        pending = []
    following: State = {"plan": state["plan"], "pending": pending, "until": state["until"], "again": state["again"]}
    yield dg.Output(following, "state")
    yield from _islands(following)


@dg.op(
    out={
        "pareto_front": dg.Out(dg.Nothing, is_required=False),
        "champion": dg.Out(dg.Nothing, is_required=False),
    },
    retry_policy=RETRY,
)
def finish(context: dg.OpExecutionContext, states: list, workers: WorkersResource) -> Iterator[dg.Output]:
    """Find the front of all Plays, choose the champion on train, evaluate it on the holdout, and record both.

    Materializing ``pareto_front`` alone leaves the champion and its files as they are.
    """
    document = states[0]["plan"]
    name = document["study"]
    selected = {key.to_user_string() for key in context.selected_asset_keys} if context.has_assets_def else None
    outputs = []
    with step():
        study = StudyPlan.read(document)
        lock_study(name, context.run_id, context.instance, study.home)
        if selected == {"pareto_front"}:
            front = front_materialization(study, write_pareto_front(document, workers.number()))
            outputs.append(front.output(context, "pareto_front"))
        else:
            report = finish_study(document, workers.number())
            front, champion = front_materialization(study, report), champion_materialization(study, report)
            if selected is None or "pareto_front" not in selected:
                record(context, [front])
            else:
                outputs.append(front.output(context, "pareto_front"))
            if selected is not None:
                outputs.append(champion.output(context, "champion"))
            elif record(context, [champion]):
                for evaluation in study_evaluations(report):
                    context.log_event(evaluation)  # type: ignore[arg-type]  # accepted, but not in its annotation
        context.log.info(f"{status_text(name, study.home)}\n{evidence_text(name, study.home)}")
        unlock_study(name, context.run_id, study.home)
    yield from outputs


@dg.op(out={"generation_fitness": dg.Out(dg.Nothing, is_required=False)}, retry_policy=RETRY)
def end_at_generation(context: dg.OpExecutionContext, states: list) -> Iterator[dg.Output]:
    """End a run that was asked for some generations; each is recorded by then, so there is no output to record."""
    document, again = states[0]["plan"], states[0]["again"]
    with step():
        study = StudyPlan.read(document)
        unlock_study(study.spec.name, context.run_id, study.home)
        if (final := study.final_generation) < max(again):
            raise StudyError(
                f"study {study.spec.name!r} stopped early: generation {final} is its last, not {max(again)}"
            )
        context.log.info(status_text(study.spec.name, study.home))
    yield from ()


def unroll(**upstream: Any) -> list[Any]:
    """Compose the plan and the rounds of ``MAX_EPOCHS`` epochs inside a graph; return the state after each of them.

    ``upstream``: inputs of the graph that the plan waits for, by the op's input name.
    """
    state, islands = plan(**upstream)
    states = [state]
    for number in range(1, MAX_EPOCHS + 1):
        reports = islands.map(evolve_island.alias(f"evolve_island_{number}")).collect()
        state, islands = merge_epoch.alias(f"merge_epoch_{number}")(state=state, reports=reports)
        states.append(state)
    return states


def record_data(context: dg.OpExecutionContext, study: StudyPlan, store: BarStoreResource) -> None:
    """Record the bars and datasets of a study in the versions that it was started with."""
    pinned = study.manifest["datasets"]
    versions = {name: open_version(name, entry["hash"], study.home) for name, entry in pinned.items()}
    datasets = unrecorded(context.instance, map(dataset_materialization, versions.values()), versions_stay=True)
    if datasets:
        try:
            with store.open() as bars:
                for symbol in sorted({versions[dataset.partition].symbol for dataset in datasets}):
                    record(context, [raw_materialization(get_instrument(symbol), bars, study.home)])
        except DataError as error:  # a study needs its datasets, not the store they were cut from
            context.log.warning(f"raw_ohlcv is not recorded: {error}")
    for dataset in datasets:
        context.log_event(dataset.event(context))


def pending_epochs(instance: dg.DagsterInstance, study: StudyPlan, request: Request) -> list[int]:
    """Return the epochs up to the request's last generation with one that has no table, or no record, or is asked for.

    All recorded generations of the study are read by one query.
    """
    last = study.final_generation if request.until is None else min(request.until, study.final_generation)
    keys = {generation: generation_key(study.spec.name, generation) for generation in range(1, last + 1)}
    recorded = recorded_tags(instance, "generation_fitness", keys.values())
    done = {
        generation
        for generation, key in keys.items()
        if any(tags.get(MANIFEST_TAG) == study.hash for tags in recorded[key][:1])
        and study.folder.generation_table(generation).is_file()
    } - set(request.generations)
    epochs = [study.generations_of(epoch) for epoch in range(1, study.spec.epochs + 1)]
    return [
        epoch
        for epoch, generations in enumerate(epochs, 1)
        if any(generation not in done for generation in generations if generation <= last)
    ]


def _recorder(context: dg.OpExecutionContext, state: dict, epoch: int, workers: WorkersResource) -> GenerationRecorder:
    plan, again = StudyPlan.read(state["plan"]), frozenset(state["again"])
    return GenerationRecorder(context, plan, epoch, state["until"], again, min(workers.number(), plan.spec.islands))


def _islands(state: State) -> Iterator[dg.DynamicOutput]:
    """Yield one dynamic output per island of the first pending epoch, if there is one."""
    pending = state["pending"]
    for island in range(state["plan"]["islands"]) if pending else ():
        task = {"state": state, "island": island, "epoch": pending[0]}
        yield dg.DynamicOutput(task, mapping_key=str(island), output_name="islands")
