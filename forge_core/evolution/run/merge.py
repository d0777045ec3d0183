"""Islands meet: their tables of each generation become one, with the figures a person reads of it."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forge_core.errors import StudyError
from forge_core.evolution.nsga.front import hypervolume, losses, nondominated
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.storage.tables import table_hash

Floats = NDArray[np.float64]


def merge_generations(plan: StudyPlan, epoch: int) -> list[dict]:
    """Write the table of each generation of ``epoch`` and return its figures, JSON-able.

    Of a generation: ``evaluated`` backtests that were run, ``children`` bred, ``duplicates`` children whose Play was
    known, ``distinct`` Plays among parents and children, ``feasible`` survivors and ``survivors``, ``failed``
    evaluations, ``best`` value of each objective among feasible survivors, ``hypervolume`` of all feasible Plays so
    far, ``front`` their number on the front, their ``points`` (objective values of the feasible survivors and of the
    front), ``table`` and its ``content_hash``, and whether the study ``stopped`` early with it. Raises StudyError when
    an island lacks a generation.
    """
    generations = plan.generations_of(epoch)
    objectives = plan.goals.objectives
    front = _front_so_far(plan, generations[0] - 1)
    reference = losses(np.array([list(plan.manifest["reference_point"][o.name] for o in objectives)]), objectives)[0]
    figures = []
    for generation in generations:
        table = pa.concat_tables(_island_tables(plan, generation)).combine_chunks()
        path = plan.folder.generation_table(generation)
        front = _pareto(np.vstack([front, _feasible_losses(plan, table)]))
        volume = hypervolume(front, reference)
        plan.tables.write(path, table, volume)
        born = pc.equal(table["born"], generation)
        fresh = table.filter(pc.and_(born, pc.invert(table["known"])))
        survivors = table.filter(table["survivor"])
        feasible = survivors.filter(survivors["feasible"])
        figures.append(
            {
                "generation": generation,
                "evaluated": fresh.num_rows,
                "children": pc.sum(born).as_py(),
                "duplicates": pc.sum(born).as_py() - fresh.num_rows,
                "distinct": pc.count_distinct(table["play"]).as_py(),
                "survivors": survivors.num_rows,
                "feasible": feasible.num_rows,
                "failed": fresh.num_rows - fresh["reason"].null_count,
                "best": {
                    o.name: (pc.max if o.direction == "maximize" else pc.min)(feasible[f"objective.{o.name}"]).as_py()
                    for o in objectives
                },
                "hypervolume": volume,
                "front": len(front),
                "points": {
                    "survivors": losses(_feasible_losses(plan, feasible), objectives).tolist(),
                    "front": losses(front, objectives).tolist(),
                },
                "table": str(path),
                "content_hash": table_hash(table),
            }
        )
    stopped = figures[-1]["generation"] == plan.final_generation < plan.spec.generations
    return [{**entry, "stopped": stopped and entry is figures[-1]} for entry in figures]


def _island_tables(plan: StudyPlan, generation: int) -> Iterator[pa.Table]:
    for island in range(plan.spec.islands):
        path = plan.folder.island_table(island, generation)
        try:
            yield plan.tables.read(path)
        except FileNotFoundError:
            raise StudyError(
                f"study {plan.spec.name!r}: island {island} lacks generation {generation} ({path}); run it first"
            ) from None


def _front_so_far(plan: StudyPlan, last: int) -> Floats:
    """Return the losses of the front of all feasible Plays up to generation ``last``."""
    columns = [*plan.tables.objectives, "feasible"]
    points = [np.empty((0, len(plan.tables.objectives)))]
    for generation in range(1, last + 1):
        points.append(_feasible_losses(plan, plan.tables.read(plan.folder.generation_table(generation), columns)))
    return _pareto(np.vstack(points))


def _feasible_losses(plan: StudyPlan, table: pa.Table) -> Floats:
    feasible = table.filter(table["feasible"])
    values = np.column_stack([feasible[name].to_numpy() for name in plan.tables.objectives])
    return losses(values, plan.goals.objectives)


def _pareto(points: Floats) -> Floats:
    points = np.unique(points, axis=0)
    return points[nondominated(points)]
