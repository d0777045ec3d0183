"""No order of keys carries meaning: specs and plans survive JSON that is written with sorted keys."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
from pydantic import BaseModel

from forge_core.configuration import InKeyOrder
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.search.evaluation import Objectives
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.study import StudySpec, list_studies, load_study
from forge_core.evolution.steps import finish_study, merge_epoch, plan_study, run_island
from forge_core.evolution.storage.tables import TableFormat
from forge_core.files import write_json
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash
from forge_core.sweeps.spec import SweepSpec, list_sweeps, load_sweep
from tests.evolution.studies import small_spec

SEED = {
    "timeframe": "1d",
    "name": "seed",
    "features": {"slow": {"timeperiod": 50, "indicator": "ema"}, "fast": {"indicator": "ema", "timeperiod": 20}},
    "entry": {"short": "fast < slow", "long": "fast > slow"},
    "risk": {"stop": {"atr": 2}},
}
# keys in an order that is not sorted, in every mapping that a study has
STUDY = small_spec(
    "order",
    space={
        "level": 2,
        "indicators": {"rsi": {}, "macd": {"slowperiod": [21, 26], "fastperiod": [8, 12]}, "ema": {}},
        "structures": {"zones": {}, "swings": {}},
        "structure_slots": 2,
    },
    constraints={"min_trades": 3, "min_exposure": 0.01, "max_drawdown": 0.9},
    seeds=[],
)
SWEEP = SweepSpec.model_validate(
    {
        "name": "order",
        "symbols": ["SP500", "NASDAQ"],
        "strategies": {"rsi": {"upper": [70, 80], "period": [7, 14]}, "ema": {"short_period": [5, 9]}, "macd": {}},
        "options": {"trailing_stop": [None, 0.03], "sides": ["both", "long"]},
    }
)


def shuffled(value: Any, rng: random.Random) -> Any:
    """Return plain data with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(entry, rng) for entry in value] if isinstance(value, list) else value


def orders(spec: BaseModel) -> Iterator[Any]:
    """Yield the document of a spec as sorted JSON restores it, then with its keys in other orders."""
    document = spec.model_dump(mode="json", by_alias=True)
    yield json.loads(json.dumps(document, sort_keys=True))
    yield from (shuffled(document, random.Random(seed)) for seed in range(3))


def derived(spec: StudySpec) -> tuple:
    """Return what a study's tables and Plays are made of."""
    objectives = Objectives.of(spec)
    space = build_space(spec.space, timeframe=spec.timeframe, sides=spec.sides, available=spec.timeframes)
    genome = Genome(space)
    rng = np.random.default_rng(1)
    genes = [tuple(int(rng.integers(gene.size)) for gene in genome.genes) for _ in range(20)]
    plays = [play_hash(genome.decode(values)) for values in genes]
    return TableFormat("m", genome.genes, spec.train, objectives).schema, objectives, space.fingerprint(), plays


@pytest.mark.parametrize("spec", [STUDY, *map(load_study, list_studies())], ids=lambda spec: spec.name)
def test_a_study_is_the_same_after_any_order_of_keys(spec: StudySpec) -> None:
    expected = derived(spec)
    for document in orders(spec):
        again = StudySpec.model_validate(document)
        assert again.model_dump_json() == spec.model_dump_json()
        assert derived(again) == expected


@pytest.mark.parametrize("spec", [SWEEP, *map(load_sweep, list_sweeps())], ids=lambda spec: spec.name)
def test_a_sweep_is_the_same_after_any_order_of_keys(spec: SweepSpec) -> None:
    for document in orders(spec):
        again = SweepSpec.model_validate(document)
        assert again.model_dump_json() == spec.model_dump_json()
        assert again.variants == spec.variants
        assert again.fingerprint == spec.fingerprint


def test_seeds_are_the_same_after_any_order_of_keys() -> None:
    space = {"level": 2, "indicators": {"ema": {"timeperiod": [20, 50]}}}
    spec = small_spec("seeded", space=space, seeds=[SEED])
    for document in orders(spec):
        assert StudySpec.model_validate(document).model_dump_json() == spec.model_dump_json()


def mappings(model: type[BaseModel], seen: set[type]) -> Iterator[tuple[str, bool]]:
    """Yield each field of ``model`` and the models in it that may hold a mapping, and whether it is kept in order."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        pending: list[tuple[Any, bool]] = [(field.annotation, InKeyOrder in field.metadata)]
        while pending:
            annotation, ordered = pending.pop()
            if get_origin(annotation) is Annotated:
                inner, *metadata = get_args(annotation)
                pending.append((inner, ordered or InKeyOrder in metadata))
                continue
            if get_origin(annotation) is dict:
                yield f"{model.__name__}.{name}", ordered
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from mappings(annotation, seen)
            pending += [(argument, ordered) for argument in get_args(annotation)]


@pytest.mark.parametrize("model", [StudySpec, SweepSpec])
def test_every_mapping_of_a_spec_is_kept_in_the_order_of_its_keys(model: type[BaseModel]) -> None:
    found = list(mappings(model, set()))
    assert found
    assert [name for name, ordered in found if not ordered] == []


def test_a_study_started_in_process_is_resumed_by_the_plan_document(tmp_path: Path) -> None:
    """The tables of a study of several constraints are readable by whichever process resumes it."""
    home = Home(tmp_path)
    spec = small_spec("order", constraints={"min_trades": 3, "max_drawdown": 0.95}, train=["SP500_BULL_2013"])
    plan = plan_study(spec, home)
    for island in (0, 1):
        run_island(plan, island, 1)
    handed = json.loads(json.dumps(plan, sort_keys=True))
    merge_epoch(handed, 1)
    write_json(tmp_path / "plan.json", plan)
    again = plan_study(StudySpec.model_validate(json.loads((tmp_path / "plan.json").read_text())["spec"]), home)
    assert again["manifest_hash"] == plan["manifest_hash"]
    for island in (0, 1):
        run_island(again, island, 2)
    merge_epoch(again, 2)
    finish_study(plan)
    opened = StudyPlan.open("order", home)  # from the manifest, whose keys are sorted
    opened.tables.read(opened.folder.generation_table(4))
    assert opened.tables.schema == StudyPlan.read(plan).tables.schema
