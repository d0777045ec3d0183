"""End of a study: Pareto front, champion selected on train only, one counted holdout evaluation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from forge_core.errors import StudyError
from forge_core.evolution.nsga.front import losses, nondominated
from forge_core.evolution.run.evaluations import buy_and_hold, dataset_figures, evaluate_on_holdout
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import Champion, ChampionReport
from forge_core.evolution.run.simplify import Simplified, near_twins, simplify_all
from forge_core.evolution.search.generation import Individual
from forge_core.evolution.search.loop import choose_champion as choose_of
from forge_core.evolution.search.loop import find_front as front_of
from forge_core.files import write_json, write_table, write_text
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Play
from forge_core.plays.writer import play_to_yaml

NO_FRONT = "no Play met every constraint"


def find_front(plan: StudyPlan) -> list[Individual]:
    """Return every feasible Play of the study that no other dominates, best first objective first.

    All Plays ever evaluated are compared, not only the last survivors. Of Plays with identical metrics on
    every train dataset the oldest is returned. Raises StudyError while a generation is missing.
    """
    columns = ["id", "born", "is_duplicate", "feasible", *plan.tables.objectives]
    found = []
    for generation in range(1, plan.final_generation + 1):
        path = plan.folder.generation_table(generation)
        try:
            table = plan.tables.read(path, columns)
        except FileNotFoundError:
            raise StudyError(
                f"study {plan.spec.name!r} is not complete: {path} is missing; run it to its end"
            ) from None
        fresh = (table["born"].to_numpy() == generation) & ~table["is_duplicate"].to_numpy()
        found.append(table.filter(pa.array(fresh & table["feasible"].to_numpy())))
    feasible = pa.concat_tables(found).combine_chunks()
    if feasible.num_rows == 0:
        return []
    points = _losses(plan, feasible)
    rows = feasible.take(np.flatnonzero(nondominated(points)))
    ids = set(rows["id"].to_pylist())
    individuals: list[Individual] = []
    for born in sorted(set(rows["born"].to_pylist())):
        table = plan.tables.read(plan.folder.generation_table(born))
        chosen = table.filter(pa.array([identity in ids for identity in table["id"].to_pylist()]))
        individuals += plan.tables.individuals(chosen)
    return front_of(individuals, plan.objectives.terms)


def _losses(plan: StudyPlan, table: pa.Table) -> np.ndarray:
    return losses(np.column_stack([table[name].to_numpy() for name in plan.tables.objectives]), plan.objectives.terms)


def choose_champion(plan: StudyPlan, front: list[Individual]) -> Individual:
    """Return the champion of the front by the study's rule: the knee, or the best by one objective."""
    return choose_of(front, plan.objectives.terms, plan.spec.champion)


def simplify_front(plan: StudyPlan, front: list[Individual], workers: int) -> list[Simplified]:
    """Return each Play of the front as it is shown: without the parts that change no trade on train."""
    feeds = {name: plan.open_feed(name) for name in plan.spec.train}
    plays = [_play(plan, individual, individual.play) for individual in front]
    return simplify_all(plays, feeds, plan.spec.terms, workers)


def write_front(plan: StudyPlan, front: list[Individual], shown: list[Simplified]) -> int:
    """Write ``pareto_front.parquet`` and return the number of Plays that are no near-twins of others.

    Columns: identity, objectives, metrics by dataset, the simplified Play as YAML and the number of parts left out, the
    Play that a near-twin is shown with, and the genes. ``play`` is the hash of the Play as it was evaluated.
    """
    champion = _position(front, choose_champion(plan, front)) if front else 0
    leaders = near_twins([each.trades for each in shown], champion)
    rows: dict[str, list[Any]] = {
        "play": [individual.play for individual in front],
        "id": [individual.id for individual in front],
        "born": [individual.born for individual in front],
        "island": [individual.island for individual in front],
    }
    for k, name in enumerate(plan.tables.objectives):
        rows[name] = [individual.objectives[k] for individual in front]
    metrics = np.array([individual.evaluation.metrics.ravel() for individual in front]).reshape(
        len(front), len(plan.tables.metrics)
    )
    for k, name in enumerate(plan.tables.metrics):
        rows[name] = [None if np.isnan(value) else float(value) for value in metrics[:, k]]
    rows["yaml"] = [play_to_yaml(each.play) for each in shown]
    rows["parts_removed"] = [len(each.removed) for each in shown]
    rows["twin_of"] = [None if leader == k else front[leader].play for k, leader in enumerate(leaders)]
    rows["genes"] = [individual.genes for individual in front]
    types = _TYPES | {"genes": plan.tables.schema.field("genes").type}
    fields = [pa.field(name, types.get(name, pa.float64())) for name in rows]
    schema = pa.schema(fields, metadata=plan.tables.schema.metadata)
    write_table(plan.folder.pareto_front, pa.Table.from_pydict(rows, schema=schema))
    return len(set(leaders))


_TYPES = {
    "play": pa.string(),
    "id": pa.string(),
    "born": pa.int32(),
    "island": pa.int32(),
    "yaml": pa.string(),
    "parts_removed": pa.int32(),
    "twin_of": pa.string(),
}


def finish(plan: StudyPlan, workers: int) -> ChampionReport:
    """Write the front and the champion, evaluate it on the holdout; return the content of ``champion.json``.

    The champion is shown, and evaluated on the holdout, without the parts that change no trade on train. It is fixed
    (``champion.yaml`` is written) before any holdout feed is opened, and each evaluation is in the ledger before its
    backtest. A study without any feasible Play has an empty front and no champion.
    """
    front = find_front(plan)
    shown = simplify_front(plan, front, workers)
    distinct = write_front(plan, front, shown)
    champion = None
    if front:
        chosen = choose_champion(plan, front)
        champion = _write_champion(plan, chosen, shown[_position(front, chosen)])
    if champion is None:
        plan.folder.champion_play.unlink(missing_ok=True)
    reason = None if champion else NO_FRONT
    report = ChampionReport(plan.spec.name, plan.hash, len(front), plan.spec.champion, champion, reason, distinct)
    write_json(plan.folder.champion, report.document())
    return report


def _write_champion(plan: StudyPlan, champion: Individual, shown: Simplified) -> Champion:
    play = replace(shown.play, name=f"{plan.spec.name[:80]}_champion")
    text = play_to_yaml(play)
    write_text(plan.folder.champion_play, text)
    return Champion(
        champion.play,
        champion.id,
        text,
        dict(zip((o.name for o in plan.objectives.terms), champion.objectives, strict=True)),
        dict(zip((gene.name for gene in plan.genome.genes), champion.genes, strict=True)),
        train={
            name: dataset_figures(champion.evaluation.metrics[i], buy_and_hold(plan.open_feed(name)))
            for i, name in enumerate(plan.spec.train)
        },
        holdout={name: evaluate_on_holdout(plan, name, {play_hash(play): play})[0] for name in plan.spec.holdout},
        shown=play_hash(play),
        removed=shown.removed,
    )


def _position(front: list[Individual], chosen: Individual) -> int:
    return next(place for place, individual in enumerate(front) if individual is chosen)


def _play(plan: StudyPlan, individual: Individual, name: str) -> Play:
    return replace(plan.genome.decode(individual.genes), name=name)
