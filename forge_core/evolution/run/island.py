"""Evolution of one island over the generations of an epoch, in one process."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

from filelock import FileLock, Timeout

from forge_core.errors import StudyError
from forge_core.evolution.run.memory_usage import Memory, ended_children_cpu, peak_memory_mb, unique_memory
from forge_core.evolution.run.migration import parents_after_migration, source_island
from forge_core.evolution.run.plan import Log, StudyPlan
from forge_core.evolution.search.forked_assessor import open_assessor
from forge_core.evolution.search.generation import Generation, Individual, Timing
from forge_core.evolution.search.loop import evolve_generations
from forge_core.evolution.storage.background_writer import BackgroundWriter
from forge_core.evolution.storage.known_plays import read_known_plays


@dataclass(frozen=True)
class IslandReport:
    """Work of one call of ``evolve_island``; memory is of this process."""

    study: str
    island: int
    epoch: int
    generations: int  # written now
    children: int
    evaluations: int
    seconds: dict[str, float]  # by part, and ``total``
    began: float  # seconds since 1970-01-01 UTC
    cpu_seconds: float  # of this process and its workers
    workers_cpu_seconds: float  # of the workers alone, 0 where this process backtested itself
    serial_cpu_seconds: float  # of this process's main thread: with workers what limits the gain from more of them
    generation_seconds: dict[str, float]  # by generation
    evaluations_per_second: float
    peak_memory_mb: float
    memory_mb: dict[str, float]
    memory_mb_after_first_generation: dict[str, float]
    workers: int
    process: int

    def document(self) -> dict[str, Any]:
        """Return the report as JSON-able data."""
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the report of a ``document``."""
        return cls(**document)


@dataclass(frozen=True)
class Written:
    """One generation of one island that is on disk, and how long it took."""

    generation: int
    evaluations: int
    seconds: float


def evolve_island(
    plan: StudyPlan,
    island: int,
    epoch: int,
    *,
    workers: int = 1,
    log: Log | None = None,
    until: int | None = None,
    written: Callable[[Written], object] | None = None,
) -> IslandReport:
    """Evolve the generations of ``epoch`` (from 1) that ``island`` (from 0) does not have on disk.

    ``workers`` is the number of processes that backtest. ``until`` is the last generation to evolve, by default the
    epoch's. ``written`` is called in this thread after each generation is written, in order, while later ones may be
    under way. The tables depend on the study and the island alone: not on workers, interruptions, ``until`` or other
    islands of the same epoch. Raises StudyError when another process evolves this island or an earlier epoch is not
    complete, DataError when a table is damaged, and WorkerDied when a worker was killed.
    """
    started_at, began, cpu, serial = time.time(), time.perf_counter(), time.process_time(), time.thread_time()
    children_cpu = ended_children_cpu()
    timing = Timing()
    evaluations = children = 0
    first: Memory | None = None
    took: dict[str, float] = {}

    def report(generation: int, outcome: Generation, seconds: float) -> None:
        took[str(generation)] = seconds
        if log:
            log(_progress(plan, island, generation, outcome, seconds))
        if written:
            written(Written(generation, len(outcome.trials), seconds))

    with _locked(plan, island):
        done = plan.folder.last_generation(island)
        final = plan.final_generation if until is None else min(until, plan.final_generation)
        generations = [g for g in plan.generations_of(epoch) if done < g <= final]
        if generations:
            if done < generations[0] - 1:
                raise _behind(plan, island, done + 1)
            ends = [plan.last_generation(number) for number in range(1, plan.spec.epochs + 1)]
            known = read_known_plays(plan.tables, plan.folder, island, generations[0] - 1, ends)
            evaluator = plan.evaluator(plan.spec.train)
            first_days = {name: int(feed.day[feed.start]) for name, feed in evaluator.feeds.items()}
            size = plan.spec.island_sizes[island]
            name = f"island {island} of study {plan.spec.name!r}"
            with (
                BackgroundWriter(workers) as writer,  # its threads start after the workers were forked
                open_assessor(plan.genome, evaluator, workers, size, meanwhile=writer.settle, name=name) as assessor,
            ):
                parents = _parents(plan, island, generations[0])
                started = time.perf_counter()
                for generation, outcome, bred_from in evolve_generations(
                    plan.search, island, generations, parents, known, assessor
                ):
                    _check_any_worked(plan, generation, outcome)
                    children += len(outcome.offspring)
                    evaluations += len(outcome.trials)
                    for part, seconds in asdict(outcome.timing).items():
                        setattr(timing, part, getattr(timing, part) + seconds)
                    first = first or unique_memory()
                    now = time.perf_counter()
                    writer.submit(
                        partial(_write, plan, first_days, island, generation, outcome, bred_from),
                        partial(report, generation, outcome, now - started),
                    )
                    started = now
    total = time.perf_counter() - began
    workers_cpu = ended_children_cpu() - children_cpu
    return IslandReport(
        study=plan.spec.name,
        island=island,
        epoch=epoch,
        generations=len(took),
        children=children,
        evaluations=evaluations,
        seconds={**asdict(timing), "total": total},
        began=started_at,
        cpu_seconds=time.process_time() - cpu + workers_cpu,
        workers_cpu_seconds=workers_cpu,
        serial_cpu_seconds=time.thread_time() - serial,
        generation_seconds=took,
        evaluations_per_second=evaluations / total if evaluations else 0.0,
        peak_memory_mb=peak_memory_mb(),
        memory_mb=unique_memory()._asdict(),
        memory_mb_after_first_generation=(first or unique_memory())._asdict(),
        workers=workers,
        process=os.getpid(),
    )


def _parents(plan: StudyPlan, island: int, generation: int) -> list[Individual]:
    """Return the parents of ``generation``, read from the tables of the generation before."""
    previous = generation - 1
    if previous == 0:
        return []
    parents = _survivors(plan, island, previous)
    meets = previous in {plan.last_generation(epoch) for epoch in range(1, plan.spec.epochs)}
    if not meets or plan.spec.islands == 1:
        return parents
    neighbours = _survivors(plan, source_island(island, plan.spec.islands), previous)
    return parents_after_migration(
        plan.algorithm, parents, neighbours, count=plan.spec.migrant_count, size=plan.spec.island_sizes[island]
    )


def _survivors(plan: StudyPlan, island: int, generation: int) -> list[Individual]:
    try:
        return plan.tables.survivors(plan.tables.read(plan.folder.island_table(island, generation)))
    except FileNotFoundError:
        raise _behind(plan, island, generation) from None


def _behind(plan: StudyPlan, island: int, generation: int) -> StudyError:
    return StudyError(
        f"study {plan.spec.name!r}: island {island} has no generation {generation} yet "
        f"({plan.folder.island_table(island, generation)}); every island finishes an epoch before the next one begins"
    )


def _check_any_worked(plan: StudyPlan, generation: int, outcome: Generation) -> None:
    """Raise StudyError when every Play of the first generation failed: the cause is not in the Plays."""
    reasons = [child.evaluation.error for child in outcome.offspring]
    if generation == 1 and all(reasons):
        raise StudyError(f"study {plan.spec.name!r}: no Play could be backtested; the first: {reasons[0]}")


def _write(
    plan: StudyPlan,
    first_days: Mapping[str, int],
    island: int,
    generation: int,
    outcome: Generation,
    parents: list[Individual],
) -> None:
    # the ledger first: a generation that has a table has its Plays in the ledger
    plan.ledger.write_trials(island, generation, outcome.trials, first_days)
    plan.tables.write(plan.folder.island_table(island, generation), plan.tables.table(outcome, parents))


def _progress(plan: StudyPlan, island: int, generation: int, outcome: Generation, seconds: float) -> str:
    feasible = [individual for individual in outcome.survivors if individual.evaluation.feasible]
    best = ", ".join(
        f"{objective.name} {(max if objective.direction == 'maximize' else min)(i.objectives[k] for i in feasible):.4g}"
        for k, objective in enumerate(plan.objectives.terms)
        if feasible
    )
    evaluated = len(outcome.trials)
    return (
        f"island {island}, generation {generation}/{plan.spec.generations}: {evaluated} backtested, "
        f"{len(outcome.offspring) - evaluated} known, {len(feasible)} of {len(outcome.survivors)} survivors feasible"
        f"{'; best ' + best if best else ''}; {evaluated / seconds:.0f} a second"
    )


@contextmanager
def _locked(plan: StudyPlan, island: int) -> Iterator[None]:
    """Hold the island's lock, which the system releases when the process ends, however it ends."""
    path = plan.folder.island_lock(island)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            for leftover in plan.folder.island(island).glob(".*.tmp"):  # of an interrupted write
                leftover.unlink(missing_ok=True)
            yield
    except Timeout:
        raise StudyError(
            f"island {island} of study {plan.spec.name!r} is being evolved by another process; wait for it, or stop it"
        ) from None
