"""The ``evolve`` job: plan a study, evolve its islands over epochs, let them meet, crown the champion.

The graph is unrolled to as many rounds as a study may have epochs. A round is one epoch: its islands run beside each
other, then meet. Epochs that are done already take no round, and rounds without an epoch are skipped.
"""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from forge_core.configuration import validate_model
from forge_core.errors import DataError
from forge_core.evolution.steps import (
    MAX_EPOCHS,
    StudySpec,
    finish_study,
    load_study,
    merge_epoch,
    plan_study,
    run_island,
    status_text,
)
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.market.datasets.build import DatasetVersion, open_version
from forge_core.market.reference.instruments import get_instrument
from forge_core.parallelism import threads_per_task, worker_count
from forge_core.paths import Home
from forge_pipelines.defs.evolution.assets import MANIFEST_TAG, champion_content, front_content, generation_content
from forge_pipelines.defs.evolution.checks import study_evaluations
from forge_pipelines.defs.features.assets import bank_content
from forge_pipelines.defs.market.assets import WRITES_STORE, dataset_content, open_store, raw_content
from forge_pipelines.lib.console import CONSOLE_CONFIG, console_logger
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.executor import TRY_AGAIN, executor
from forge_pipelines.lib.materialization import known_tags, lacking, log_lacking
from forge_pipelines.lib.partitions import GENERATIONS, STUDIES, generation_key
from forge_pipelines.lib.processes import die_with_run
from forge_pipelines.lib.study_lock import claim_study, release_study

State = dict[str, Any]
"""What the ops hand on: ``plan`` (of ``plan_study``) and ``pending``, the epochs still to be done or recorded."""


class EvolveConfig(dg.Config):
    """What to evolve. Any value that is set becomes part of the study and is written into its manifest."""

    study: str = Field(
        default=os.environ.get("FORGE_STUDY") or "quickstart",
        description="A study's name, as in `forge study list`, or the path of its YAML file.",
    )
    seed: int | None = Field(default=None, description="Another seed than the study's own.")
    population: int | None = Field(default=None, description="Another population: Plays alive at a time, all islands.")
    generations: int | None = Field(default=None, description="Another number of generations.")


@dg.op(
    out={"state": dg.Out(dict), "islands": dg.DynamicOut(dict, is_required=False)},
    tags=WRITES_STORE,
    retry_policy=TRY_AGAIN,
)
def plan(context: dg.OpExecutionContext, config: EvolveConfig) -> Iterator[dg.Output | dg.DynamicOutput]:
    """Read the study, build the datasets it lacks, and record them."""
    die_with_run()
    home = Home.current()
    with user_errors():
        worker_count()  # an invalid setting is reported before any work
        spec = read_spec(config)
        claim_study(spec.name, context.run_id, context.instance)
        context.instance.add_run_tags(context.run_id, {"forge/study": spec.name})
        document = plan_study(spec, home, context.log.info)
        log_data(context, document, home)
        pending = pending_epochs(context.instance, document, home)
    if document["complete"] and not pending:
        context.log.info(f"study {spec.name} is complete: nothing to evolve")
    else:
        context.log.info(f"study {spec.name}: {len(pending)} of {spec.epochs} epochs to do, {spec.islands} islands")
    state = {"plan": document, "pending": pending}
    yield dg.Output(state, "state")
    yield from islands_of(state)


@dg.op(retry_policy=TRY_AGAIN)
def evolve_island(context: dg.OpExecutionContext, task: dict) -> dict:
    """Evolve one island for the generations of one epoch, each written as it is done."""
    die_with_run()
    document = task["plan"]
    with user_errors():
        claim_study(document["study"], context.run_id, context.instance)
        threads = threads_per_task(document["islands"])
        return run_island(document, task["island"], task["epoch"], context.log.info, threads)


@dg.op(
    out={
        "state": dg.Out(dict, is_required=False),
        "islands": dg.DynamicOut(dict, is_required=False),
    },
    retry_policy=TRY_AGAIN,
)
def meet(context: dg.OpExecutionContext, state: dict, reports: list) -> Iterator[dg.Output | dg.DynamicOutput]:
    """Put the islands' tables of an epoch together, record each generation, and send the islands on."""
    die_with_run()
    document, (epoch, *pending) = state["plan"], state["pending"]
    study, home = document["study"], Home.current()
    with user_errors():
        claim_study(study, context.run_id, context.instance)
        figures = merge_epoch(document, epoch)
        banks = [bank_content(version, home) for version in dataset_versions(document).values()]
        log_lacking(context, banks, versions_stay=True)
        speeds = evaluation_speeds(figures, reports)
        contents = [
            generation_content(study, document["manifest_hash"], entry, speeds.get(entry["generation"]))
            for entry in figures
        ]
        context.instance.add_dynamic_partitions(str(GENERATIONS.name), [content.partition for content in contents])
        log_lacking(context, contents)
    evaluations, seconds = sum(r["evaluations"] for r in reports), max(r["seconds"]["total"] for r in reports)
    context.log.info(
        f"epoch {epoch} of {document['epochs']}: {evaluations} backtests in {seconds:.1f} s, "
        f"{figures[-1]['feasible']} survivors feasible, {figures[-1]['front']} on the front, "
        f"hypervolume {figures[-1]['hypervolume']:.4g}"
    )
    if figures[-1]["stopped"]:
        context.log.info(
            f"the hypervolume has stalled: study {study} stops after generation {figures[-1]['generation']}"
        )
    state = {"plan": document, "pending": [] if figures[-1]["stopped"] else pending}
    yield dg.Output(state, "state")
    yield from islands_of(state)


@dg.op(retry_policy=TRY_AGAIN)
def finish(context: dg.OpExecutionContext, states: list) -> dict:
    """Find the front of all Plays, choose the champion on train, show it the holdout, and record both."""
    die_with_run()
    document = states[0]["plan"]
    study = document["study"]
    with user_errors():
        claim_study(study, context.run_id, context.instance)
        report = finish_study(document)
        context.instance.add_dynamic_partitions(str(STUDIES.name), [study])
        log_lacking(context, [front_content(document, report)])
        if log_lacking(context, [champion_content(document, report)]):
            for evaluation in study_evaluations(report):
                context.log_event(evaluation)  # type: ignore[arg-type]  # Dagster takes it, its annotation does not
        context.log.info(status_text(study))
        release_study(study, context.run_id)
    return {key: report[key] for key in ("study", "front_size", "play")}


def read_spec(config: EvolveConfig) -> StudySpec:
    """Return the study that ``config`` names, with the values it sets instead of the study's own."""
    spec = load_study(config.study)
    changes = {name: value for name, value in config.model_dump(exclude={"study"}).items() if value is not None}
    if not changes:
        return spec
    return validate_model(
        StudySpec, {**spec.model_dump(), **changes}, source=f"study {spec.name} as this run asks for it"
    )


def dataset_versions(document: dict[str, Any]) -> dict[str, DatasetVersion]:
    """Return the datasets of a plan in the versions its study was begun with."""
    return {name: open_version(name, version) for name, version in document["datasets"].items()}


def log_data(context: dg.OpExecutionContext, document: dict[str, Any], home: Home) -> None:
    """Log the bars and datasets of a plan that the instance does not know as they are."""
    versions = dataset_versions(document)
    datasets = lacking(context.instance, map(dataset_content, versions.values()), versions_stay=True)
    if datasets:
        try:
            with open_store(home) as store:
                for symbol in sorted({versions[content.partition].symbol for content in datasets}):
                    log_lacking(context, [raw_content(get_instrument(symbol), store, home)])
        except DataError as error:  # a study needs its datasets, not the store they were cut from
            context.log.warning(f"raw_ohlcv is not recorded: {error}")
    for content in datasets:
        context.log_event(content.event())


def pending_epochs(instance: dg.DagsterInstance, document: dict[str, Any], home: Home) -> list[int]:
    """Return the epochs of which a generation has no table yet or is not recorded in the instance."""
    study, manifest = document["study"], document["manifest_hash"]
    folder = StudyFolder.of(study, home)
    keys = {g: generation_key(study, g) for g in range(1, document["generations"] + 1)}
    known = known_tags(instance, "generation_fitness", keys.values())
    done = {
        generation
        for generation, key in keys.items()
        if any(tags.get(MANIFEST_TAG) == manifest for tags in known[key][:1])
        and folder.generation_table(generation).is_file()
    }
    pending, last = [], 0
    for epoch, count in enumerate(document["generations_per_epoch"], 1):
        first, last = last + 1, last + count
        if not done.issuperset(range(first, last + 1)):
            pending.append(epoch)
    return pending


def evaluation_speeds(figures: list[dict[str, Any]], reports: list[dict[str, Any]]) -> dict[int, float]:
    """Return the evaluations a second of each generation that was run now, by its slowest island."""
    slowest: dict[int, float] = {}
    for report in reports:
        for generation, seconds in report["generation_seconds"].items():
            slowest[int(generation)] = max(seconds, slowest.get(int(generation), 0.0))
    counts = {entry["generation"]: entry["evaluated"] for entry in figures}
    return {generation: counts[generation] / seconds for generation, seconds in slowest.items() if seconds > 0}


def islands_of(state: State) -> Iterator[dg.DynamicOutput]:
    """Send the islands of the first pending epoch on their way, if there is one."""
    document, pending = state["plan"], state["pending"]
    for island in range(document["islands"]) if pending else ():
        task = {"plan": document, "island": island, "epoch": pending[0]}
        yield dg.DynamicOutput(task, mapping_key=str(island), output_name="islands")


@dg.config_mapping
def evolve_config(config: EvolveConfig) -> dict:
    """Show one flat set of values in the launchpad."""
    return {"ops": {"plan": {"config": config.model_dump()}}, "loggers": CONSOLE_CONFIG}


@dg.graph
def evolve_graph() -> None:
    """Plan, then round after round the islands of an epoch and their meeting, then finish."""
    state, islands = plan()
    states = [state]
    for number in range(1, MAX_EPOCHS + 1):
        reports = islands.map(evolve_island.alias(f"evolve_island_{number}")).collect()
        state, islands = meet.alias(f"meet_{number}")(state=state, reports=reports)
        states.append(state)
    finish(states)


evolve = evolve_graph.to_job(
    name="evolve",
    config=evolve_config,
    executor_def=executor,
    logger_defs={"console": console_logger},
    description=(
        "Evolve a study: build what data it lacks, run NSGA-II on its islands over epochs, record each generation, "
        "find the Pareto front and the champion. Run again, it goes on where it was, or says that it is complete."
    ),
)
