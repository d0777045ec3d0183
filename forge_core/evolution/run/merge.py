"""Merging of island tables: one table and one set of figures for each generation of a study."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock
from numpy.typing import NDArray

from forge_core.errors import StudyError
from forge_core.evolution.nsga.front import distinct_front, hypervolume, losses
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.storage.tables import table_hash

Floats = NDArray[np.float64]

_LOCK_WAIT = 120.0  # seconds to wait for another process to merge


@dataclass(frozen=True)
class Points:
    """Objective values, one row per Play."""

    survivors: list[list[float]]
    front: list[list[float]]


@dataclass(frozen=True)
class GenerationFigures:
    """Figures of one merged generation."""

    generation: int
    evaluated: int  # backtests that were run
    children: int
    duplicates: int  # children whose Play had been evaluated before
    distinct: int  # Plays among parents and children
    survivors: int
    feasible: int  # survivors that meet every constraint
    failed: int  # evaluations
    best: dict[str, float | None]  # value of each objective among feasible survivors
    hypervolume: float  # of all feasible Plays so far
    front: int  # size of the front so far
    points: Points  # of the feasible survivors and of the front so far
    table: str  # path
    content_hash: str
    stopped: bool  # the study stops early with this generation


class GenerationMerger:
    """Merges the generations of a study in order, each once every island has written it.

    Any number of processes may merge the same study: one at a time does, under the study's merge lock. A table is a
    pure function of the islands' tables, so a generation that is merged again gets the same bytes.
    """

    def __init__(self, plan: StudyPlan, first: int = 1) -> None:
        self._plan = plan
        self._objectives = plan.objectives.terms
        self._front: Floats | None = None
        self._next = first

    def merge_written(
        self,
        last: int,
        record: Callable[[GenerationFigures], None],
        is_recorded: Callable[[int], bool],
    ) -> int:
        """Merge and record the generations up to ``last`` that every island has written; return the last of those.

        A generation whose table exists and which ``is_recorded`` is skipped. ``record`` is called under the lock, after
        the table is written: a process that is killed in between leaves a table that is not recorded, and the next
        one to merge records it.
        """
        if not self._is_written(self._next):
            return self._next - 1
        self._plan.folder.merge_lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._plan.folder.merge_lock, timeout=_LOCK_WAIT):
            while self._next <= last and self._is_written(self._next):
                generation = self._next
                if self._plan.folder.generation_table(generation).is_file() and is_recorded(generation):
                    self._skip(generation)
                else:
                    record(self.merge(generation))
                self._next = generation + 1
        return self._next - 1

    def merge(self, generation: int) -> GenerationFigures:
        """Write the table of ``generation``, which follows the one merged last; return its figures.

        Raises StudyError when an island has not written the generation.
        """
        plan, objectives = self._plan, self._objectives
        table = pa.concat_tables(_island_tables(plan, generation)).combine_chunks()
        front = distinct_front(np.vstack([self._front_before(generation), _feasible_losses(plan, table)]))
        volume = hypervolume(front, objectives)
        path = plan.folder.generation_table(generation)
        plan.tables.write_merged(path, table, volume, front)
        self._front = front
        born = pc.equal(table["born"], generation)
        fresh = table.filter(pc.and_(born, pc.invert(table["is_duplicate"])))
        survivors = table.filter(table["survivor"])
        feasible = survivors.filter(survivors["feasible"])
        return GenerationFigures(
            generation=generation,
            evaluated=fresh.num_rows,
            children=pc.sum(born).as_py(),
            duplicates=pc.sum(born).as_py() - fresh.num_rows,
            distinct=pc.count_distinct(table["play"]).as_py(),
            survivors=survivors.num_rows,
            feasible=feasible.num_rows,
            failed=fresh.num_rows - fresh["error"].null_count,
            best={
                o.name: (pc.max if o.direction == "maximize" else pc.min)(feasible[f"objective.{o.name}"]).as_py()
                for o in objectives
            },
            hypervolume=volume,
            front=len(front),
            points=Points(
                survivors=losses(_feasible_losses(plan, feasible), objectives).tolist(),
                front=losses(front, objectives).tolist(),
            ),
            table=str(path),
            content_hash=table_hash(table),
            stopped=generation == plan.final_generation < plan.spec.generations,
        )

    def _is_written(self, generation: int) -> bool:
        folder = self._plan.folder
        return all(folder.island_table(island, generation).is_file() for island in range(self._plan.spec.islands))

    def _skip(self, generation: int) -> None:
        if self._front is not None:
            self._front = distinct_front(np.vstack([self._front, _merged_losses(self._plan, generation)]))

    def _front_before(self, generation: int) -> Floats:
        """Return the losses of the front of all feasible Plays before ``generation``; read from the table before."""
        if self._front is None:
            self._front = self._plan.front_losses(generation - 1)
        return self._front


def merge_generations(plan: StudyPlan, epoch: int) -> list[GenerationFigures]:
    """Write the table of each generation of ``epoch`` and return their figures.

    Raises StudyError when an island has not written one of them.
    """
    generations = plan.generations_of(epoch)
    merger = GenerationMerger(plan)
    return [merger.merge(generation) for generation in generations]


def _island_tables(plan: StudyPlan, generation: int) -> Iterator[pa.Table]:
    for island in range(plan.spec.islands):
        path = plan.folder.island_table(island, generation)
        try:
            yield plan.tables.read(path)
        except FileNotFoundError:
            raise StudyError(
                f"study {plan.spec.name!r}: generation {generation} of island {island} is missing ({path}); "
                "evolve that island first"
            ) from None


def _merged_losses(plan: StudyPlan, generation: int) -> Floats:
    columns = [*plan.tables.objectives, "feasible"]
    return _feasible_losses(plan, plan.tables.read(plan.folder.generation_table(generation), columns))


def _feasible_losses(plan: StudyPlan, table: pa.Table) -> Floats:
    feasible = table.filter(table["feasible"])
    values = np.column_stack([feasible[name].to_numpy() for name in plan.tables.objectives])
    return losses(values, plan.objectives.terms)
