"""Ops of a proof: plan its searches, run them in parallel, put the evidence together."""

from collections.abc import Iterator
from functools import partial

import dagster as dg
from pydantic import Field

from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import Bench, work
from forge_core.evidence.verdict.conclude import conclude
from forge_core.evidence.verdict.document import Evidence
from forge_core.evidence.verdict.text import evidence_text
from forge_core.files import canonical_json, content_hash
from forge_pipelines.defs.evidence.checks import verdict_evaluation
from forge_pipelines.defs.evidence.pages import PAGES
from forge_pipelines.defs.evolution.request import STUDY_TAG
from forge_pipelines.lib.executor import RETRY
from forge_pipelines.lib.materialization import Materialization, record
from forge_pipelines.lib.resources import HomeResource, WorkersResource
from forge_pipelines.lib.steps import first_step, step
from forge_pipelines.lib.study_lock import lock_study, unlock_study

ASSETS = ("luck_test", "walk_forward", "robustness", "verdict")


class ProveConfig(dg.Config):
    """Study whose champion is examined."""

    study: str | None = Field(
        default=None,
        description=f"A complete study's name; by default that of the run tag {STUDY_TAG}, which is FORGE_STUDY, or "
        "quickstart.",
    )


@dg.op(
    ins={"champion": dg.In(dg.Nothing)},
    out={"study": dg.Out(str), "workers": dg.DynamicOut(dict, is_required=False)},
    retry_policy=RETRY,
)
def plan_evidence(
    context: dg.OpExecutionContext, config: ProveConfig, home: HomeResource, workers: WorkersResource
) -> Iterator[dg.Output[str] | dg.DynamicOutput[dict]]:
    """Find the searches that are missing, and start as many workers as there are cores for them."""
    with first_step(context, workers):
        asked = context.partition_key if context.has_assets_def else config.study or context.run.tags[STUDY_TAG]
        subject = Subject.of(asked, home.open())
        name = subject.spec.name
        lock_study(name, context.run_id, context.instance, home.open())
        context.instance.add_run_tags(context.run_id, {STUDY_TAG: name})
        pending = Bench(subject).pending()
        tasks = min(workers.number(), len(pending))
    evidence = subject.evidence
    context.log.info(
        f"study {name}: {len(pending)} searches to do ({evidence.luck} in markets without memory at most, "
        f"{evidence.windows} walk-forward windows, and controls), {tasks} at the same time"
    )
    yield dg.Output(name, "study")
    for number in range(tasks):
        yield dg.DynamicOutput({"study": name, "workers": tasks}, mapping_key=str(number + 1), output_name="workers")


@dg.op(retry_policy=RETRY)
def run_searches(context: dg.OpExecutionContext, task: dict, home: HomeResource) -> int:
    """Run searches until none is left, each written as it ends; return how many were run here."""
    with step():
        lock_study(task["study"], context.run_id, context.instance, home.open())
        return work(Subject.of(task["study"], home.open()), log=context.log.info, workers=task["workers"])


@dg.op(
    out={name: dg.Out(dg.Nothing, is_required=False) for name in ASSETS},
    retry_policy=RETRY,
)
def judge_champion(
    context: dg.OpExecutionContext, study: str, done: list, home: HomeResource
) -> Iterator[dg.Output[None]]:
    """Put the evidence together: tables, probes, verdict; and record it."""
    with step():
        lock_study(study, context.run_id, context.instance, home.open())
        subject = Subject.of(study, home.open())
        work(subject, log=context.log.info)  # whatever a killed worker left
        evidence = conclude(subject)
        materializations = [_materialization(name, subject, evidence) for name in ASSETS]
        for each in materializations:  # the verdict last: it names the events of the others as its inputs
            if context.has_assets_def:
                yield each.output(context, each.asset)
            else:
                record(context, [each])
        context.log_event(verdict_evaluation(evidence))  # type: ignore[arg-type]  # accepted, but not in its annotation
        context.log.info(evidence_text(study, home.open()))
        unlock_study(study, context.run_id, home.open())


def _materialization(name: str, subject: Subject, evidence: Evidence) -> Materialization:
    version = content_hash(name, canonical_json(evidence.document()))
    before = ASSETS[:-1] if name == ASSETS[-1] else ()
    inputs = {asset: [subject.spec.name] for asset in ("champion", *before)}
    return Materialization(name, subject.spec.name, version, partial(PAGES[name], subject, evidence), inputs=inputs)
