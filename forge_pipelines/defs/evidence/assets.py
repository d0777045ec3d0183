"""Evidence of a champion, as assets that gather it."""

from typing import Any

import dagster as dg

from forge_pipelines.defs.evidence.ops import ASSETS, judge_champion, plan_evidence, run_searches
from forge_pipelines.lib.partitions import STUDIES

_CHAMPION = dg.AssetKey("champion")


@dg.graph(out={name: dg.GraphOut() for name in ASSETS})
def prove_study(champion: dg.Nothing) -> Any:  # type: ignore[valid-type]
    """Plan the searches that are missing, run them in parallel, and judge the champion."""
    study, workers = plan_evidence(champion)
    outputs = judge_champion(study, workers.map(run_searches).collect())
    return dict(zip(ASSETS, outputs, strict=True))


study_evidence = dg.AssetsDefinition.from_graph(
    prove_study,
    keys_by_input_name={"champion": _CHAMPION},
    keys_by_output_name={name: dg.AssetKey(name) for name in ASSETS},
    internal_asset_deps={
        "luck_test": {_CHAMPION},
        "walk_forward": {_CHAMPION},
        "robustness": {_CHAMPION},
        "verdict": {_CHAMPION, *(dg.AssetKey(name) for name in ASSETS[:-1])},
    },
    partitions_def=STUDIES,
    group_name="evidence",
    descriptions_by_output_name={
        "luck_test": "The study's whole search repeated in markets without memory: how often luck is as good.",
        "walk_forward": "The whole search repeated on the past alone, each champion traded on the days that follow.",
        "robustness": "What small changes of costs, orders, parameters and bars do to the champion, and controls.",
        "verdict": "One sentence: luck, unconfirmed, fragile or confirmed, and the evidence it rests on. Materialize "
        "one of the four and all are made; searches that are done already are not run again.",
    },
    tags_by_output_name={name: {"dagster/kind/parquet": ""} for name in ASSETS},
)
