"""Steps of a study for a scheduler or ``run_study``, with a plan as JSON input and typed reports as output.

``plan_study``, then for each epoch ``run_island`` for every island (in any order, in any processes) and
``merge_epoch``, then ``finish_study``. Every step is idempotent: it resumes from the files on disk and ends with the
same files.
"""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from forge_core.errors import StudyError
from forge_core.evolution.run.champion import NO_FRONT, choose_champion, find_front, finish, simplify_front, write_front
from forge_core.evolution.run.holdout import evaluate_front_on_holdout, export_study
from forge_core.evolution.run.island import IslandReport, Written, evolve_island
from forge_core.evolution.run.merge import GenerationFigures, merge_generations
from forge_core.evolution.run.plan import Log, PlanDocument, StudyPlan
from forge_core.evolution.run.reports import ChampionReport, FrontReport
from forge_core.evolution.run.status import read_front, reset_study, status_text, study_status
from forge_core.evolution.spec.study import MAX_EPOCHS, StudySpec, list_studies, load_study
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.parallelism import worker_count, workers_per_task
from forge_core.paths import Home

__all__ = [
    "MAX_EPOCHS",
    "StudySpec",
    "evaluate_front_on_holdout",
    "export_study",
    "finish_study",
    "list_studies",
    "load_study",
    "merge_epoch",
    "plan_study",
    "read_front",
    "reset_study",
    "run_island",
    "run_study",
    "status_text",
    "study_status",
    "write_pareto_front",
]


def plan_study(spec: StudySpec, home: Home | None = None, log: Log | None = None) -> PlanDocument:
    """Start or resume a study: build missing datasets, and write or check the manifest.

    Returns the plan: study, datasets and their hashes, islands and their sizes, epochs, generations_per_epoch (a list),
    population, reference_point, whether it is complete, and the input of the other steps. Raises StudyError, with a
    diff and a remedy, if the inputs differ from the manifest, and DataError if bars are not available.
    """
    return StudyPlan.make(spec, home, log).document()


def run_island(
    plan: PlanDocument,
    island: int,
    epoch: int,
    log: Log | None = None,
    workers: int | None = None,
    *,
    until: int | None = None,
    written: Callable[[Written], object] | None = None,
) -> IslandReport:
    """Evolve the generations of ``epoch`` (from 1) that ``island`` (from 0) does not have on disk; return its report.

    ``workers`` is the number of processes that backtest, by default the workers per island
    (``forge_core.parallelism``); it does not affect results. ``until`` is the last generation to evolve. ``written`` is
    called after each generation is written. Raises StudyError when another process evolves the island or an earlier
    epoch is not complete.
    """
    study = StudyPlan.read(plan)
    if not 0 <= island < study.spec.islands:
        raise StudyError(f"study {study.spec.name!r} has islands 0 to {study.spec.islands - 1}, not {island}")
    if workers is None:
        workers = workers_per_task(study.spec.islands)
    return evolve_island(study, island, epoch, workers=workers, log=log, until=until, written=written)


def merge_epoch(plan: PlanDocument, epoch: int) -> list[GenerationFigures]:
    """Write the merged table of each generation of ``epoch``; return the figures of each."""
    return merge_generations(StudyPlan.read(plan), epoch)


def write_pareto_front(plan: PlanDocument, workers: int | None = None) -> FrontReport:
    """Write only the Pareto front; return its size and the candidate for champion."""
    study = StudyPlan.read(plan)
    front = find_front(study)
    write_front(study, front, simplify_front(study, front, workers or worker_count()))
    play = choose_champion(study, front).play if front else None
    return FrontReport(study.spec.name, len(front), play, None if front else NO_FRONT)


def finish_study(plan: PlanDocument, workers: int | None = None) -> ChampionReport:
    """Write the Pareto front and the champion, evaluate it on the holdout, and return the champion's report."""
    return finish(StudyPlan.read(plan), workers or worker_count())


def run_study(
    spec: StudySpec, home: Home | None = None, log: Log | None = None, workers: int | None = None
) -> ChampionReport:
    """Run a whole study in this process, one island at a time; return the champion's report.

    The files are the same as those of any other way to run the study. ``workers`` is the number of processes that
    backtest, by default ``FORGE_WORKERS`` (``forge_core.parallelism``).
    """
    plan = plan_study(spec, home, log)
    lock = StudyFolder.of(spec.name, Home(Path(plan["home"]))).run_lock
    try:
        with FileLock(lock, timeout=0):
            for epoch in range(1, spec.epochs + 1):
                for island in range(spec.islands):
                    run_island(plan, island, epoch, log, workers or worker_count())
                figures = merge_epoch(plan, epoch)[-1]
                if log:
                    log(
                        f"epoch {epoch}/{spec.epochs}: {figures.feasible} feasible, {figures.front} on the "
                        f"front, hypervolume {figures.hypervolume:.4g}"
                    )
                if figures.stopped:
                    break
            return finish_study(plan, workers)
    except Timeout:
        raise StudyError(f"study {spec.name!r} is being run by another process; wait for it, or stop it") from None
