"""Generations, Pareto front and champion of a study, as assets that evolve it."""

from typing import Any

import dagster as dg

from forge_pipelines.defs.evolution.ops import end_at_generation, finish, unroll
from forge_pipelines.lib.partitions import (
    GENERATIONS,
    GENERATIONS_OF_STUDY,
    HOLDOUT_OF_STUDY,
    STUDIES,
    TRAIN_OF_GENERATION,
)

_BANK, _GENERATION, _FRONT, _CHAMPION = (
    dg.AssetKey(name) for name in ("indicator_bank", "generation_fitness", "pareto_front", "champion")
)


@dg.graph(out={"generation_fitness": dg.GraphOut()})
def evolve_generations(indicator_bank: dg.Nothing) -> Any:  # type: ignore[valid-type]
    """Plan the study, evolve and record its generations up to the last one that is asked for."""
    return end_at_generation(unroll(upstream=indicator_bank))


@dg.graph(out={"pareto_front": dg.GraphOut(), "champion": dg.GraphOut()})
def evolve_study(generation_fitness: dg.Nothing, holdout_bank: dg.Nothing) -> Any:  # type: ignore[valid-type]
    """Plan the study, evolve and record all of its generations, find its front and its champion."""
    front, champion = finish(unroll(upstream=generation_fitness, holdout=holdout_bank))
    return {"pareto_front": front, "champion": champion}


generation_fitness = dg.AssetsDefinition.from_graph(
    evolve_generations,
    keys_by_input_name={"indicator_bank": _BANK},
    keys_by_output_name={"generation_fitness": _GENERATION},
    partitions_def=GENERATIONS,
    partition_mappings={"indicator_bank": TRAIN_OF_GENERATION},
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="evolution",
    descriptions_by_output_name={
        "generation_fitness": (
            "One generation of a study, all islands together: parents and offspring with their genes, objectives and "
            "metrics. Materialize one or a range: the study evolves up to the last one chosen, and no further. Every "
            "generation on the way is recorded as soon as its islands have written it. A study whose file is new shows "
            "its generations after Reload definitions."
        )
    },
    tags_by_output_name={"generation_fitness": {"dagster/kind/parquet": ""}},
)

study_results = dg.AssetsDefinition.from_graph(
    evolve_study,
    keys_by_input_name={"generation_fitness": _GENERATION, "holdout_bank": _BANK},
    keys_by_output_name={"pareto_front": _FRONT, "champion": _CHAMPION},
    internal_asset_deps={"pareto_front": {_GENERATION}, "champion": {_FRONT, _BANK}},
    partitions_def=STUDIES,
    partition_mappings={"generation_fitness": GENERATIONS_OF_STUDY, "holdout_bank": HOLDOUT_OF_STUDY},
    can_subset=True,
    group_name="evolution",
    descriptions_by_output_name={
        "pareto_front": (
            "Plays of a study that no other Play beats in every objective, of all that were ever evaluated. "
            "Materialize it to evolve the study, to resume it where it stopped, or to find the front again in the "
            "tables of a complete one. A study whose file is new appears after Reload definitions."
        ),
        "champion": (
            "The Play of the front that the study chooses, on train alone, then evaluated on the holdout. Materialize "
            "it to evolve the study, to resume it where it stopped, or to make a complete one's files again: the same "
            "Play on the same holdout stays one holdout evaluation. A study whose file is new appears after Reload "
            "definitions."
        ),
    },
    tags_by_output_name={
        "pareto_front": {"dagster/kind/parquet": ""},
        "champion": {"dagster/kind/yaml": ""},
    },
)
