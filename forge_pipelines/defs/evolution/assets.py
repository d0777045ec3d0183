"""Generations, the Pareto front and the champion of a study."""

from functools import partial
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa

from forge_core.engine.backtest import backtest
from forge_core.errors import StudyError
from forge_core.evolution.nsga.front import losses, nondominated
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.steps import finish_study
from forge_core.evolution.storage.manifest import manifest_hash, read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.evolution.storage.tables import read_hypervolume, table_hash
from forge_core.files import canonical_json, content_hash, read_table
from forge_core.metrics.catalog import METRICS
from forge_core.paths import Home
from forge_core.plays.parser import parse_play
from forge_core.plotting.png import equity_png, front_png
from forge_core.plotting.svg import points_svg
from forge_pipelines.defs.features.assets import indicator_bank
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.materialization import Content
from forge_pipelines.lib.metadata import Metadata, code_block, figure, markdown_table, picture, sketch
from forge_pipelines.lib.partitions import GENERATIONS, STUDIES, generation_key

MANIFEST_TAG = "forge/study_manifest"
"""The tag of a generation's event that names the manifest, of which all its numbers are a function."""

_FRONT_SHOWN = 25
_TRADES_SHOWN = 10
_FRONTS = 4
_HYPERVOLUMES = 11

generation_fitness = dg.AssetSpec(
    "generation_fitness",
    deps=[indicator_bank],
    partitions_def=GENERATIONS,
    group_name="evolution",
    kinds={"parquet"},
    description=(
        "One generation of a study, all islands together: parents and offspring with their genes, objectives and "
        "metrics. Recorded by the `evolve` job each time the islands have met."
    ),
)


@dg.asset(partitions_def=STUDIES, deps=[generation_fitness], group_name="evolution", kinds={"parquet"})
def pareto_front(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The Plays of a study that no other Play beats in every objective, of all that were ever evaluated.

    Recorded by `evolve` at its end; materialize it to compute it anew from the study's tables.
    """
    with user_errors():
        plan = begun_plan(context.partition_key)
        return front_content(plan, finish_study(plan)).result()


@dg.asset(partitions_def=STUDIES, deps=[pareto_front], group_name="evolution", kinds={"yaml"})
def champion(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The one Play of the front that the study stands for: chosen on train alone, then shown the holdout.

    Recorded by `evolve` at its end; materialize it to compute it anew from the study's tables.
    """
    with user_errors():
        plan = begun_plan(context.partition_key)
        return champion_content(plan, finish_study(plan)).result()


def begun_plan(study: str) -> dict[str, Any]:
    """Return the plan of a study as it was begun, whatever its file says now; raises StudyError unless it was."""
    home = Home.current()
    manifest = read_manifest(StudyFolder.of(study, home))
    if manifest is None:
        raise StudyError(f"study {study!r} has not begun: run `make evolve STUDY={study}`")
    return {"home": str(home.root), "spec": manifest["study"], "manifest_hash": manifest_hash(manifest)}


def generation_content(study: str, manifest: str, figures: dict[str, Any], speed: float | None = None) -> Content:
    """Return the content of ``generation_fitness`` from the ``figures`` of a merged generation.

    ``speed``: evaluations a second, None where the generation was not run now.
    """

    def describe() -> Metadata:
        points, names = figures["points"], list(figures["best"])
        metadata: Metadata = {
            "dagster/row_count": figures["survivors"],
            "dagster/uri": dg.MetadataValue.path(figures["table"]),
            "content_hash": figures["content_hash"],
            **{f"best {name}": value for name, value in figures["best"].items() if value is not None},
            **{name: value for name, value in figures.items() if isinstance(value, int | float)},
        }
        if speed is not None:
            metadata["evaluations_per_second"] = round(speed, 1)
        if len(names) > 1 and points["front"]:
            metadata["picture"] = sketch(points_svg([points["survivors"], points["front"]], names), "front so far")
        return metadata

    key = generation_key(study, figures["generation"])
    return Content("generation_fitness", key, figures["content_hash"], describe, {MANIFEST_TAG: manifest})


def front_content(plan: dict[str, Any], report: dict[str, Any]) -> Content:
    """Return the content of ``pareto_front``; ``report`` is what ``finish_study`` returned."""
    study = StudyPlan.read(plan)
    front = read_table(study.folder.pareto_front)
    return Content("pareto_front", study.spec.name, table_hash(front), partial(_describe_front, study, front, report))


def _describe_front(study: StudyPlan, front: pa.Table, report: dict[str, Any]) -> Metadata:
    objectives = study.tables.objectives
    names = [name.removeprefix("objective.") for name in objectives]
    shown = [*objectives, *(f"{d}.{metric}" for d in study.spec.train for metric in ("total_return", "total_trades"))]
    rows = [
        (row["play"], *(figure(row[name]) for name in shown))
        for row in front.slice(0, _FRONT_SHOWN).select(["play", *shown]).to_pylist()
    ]
    metadata: Metadata = {
        "dagster/row_count": front.num_rows,
        "dagster/uri": dg.MetadataValue.path(str(study.folder.pareto_front)),
        "champion": str(report["play"]),
        "front": markdown_table(("Play", *(name.removeprefix("objective.") for name in shown)), rows),
    }
    if front.num_rows and len(objectives) > 1:
        last = read_table(study.folder.generation_table(study.final_generation))
        png = front_png(
            _matrix(front, objectives),
            names,
            others=_matrix(last.filter(last["feasible"]), objectives),
            chosen=front["play"].to_pylist().index(report["play"]),
            title=f"{study.spec.name}: train",
        )
        metadata["picture"] = picture(png, "Pareto front")
        fronts = fronts_over_generations(study)
        metadata["front_over_generations"] = sketch(
            points_svg(list(fronts.values()), names), f"front after generations {', '.join(map(str, fronts))}"
        )
    metadata["hypervolume_over_generations"] = markdown_table(
        ("generation", "hypervolume"),
        [
            (str(generation), figure(read_hypervolume(study.folder.generation_table(generation))))
            for generation in milestones(study.final_generation, _HYPERVOLUMES)
        ],
    )
    return metadata


def milestones(last: int, count: int) -> list[int]:
    """Return at most ``count`` generations, evenly spread from the first to the ``last``."""
    return sorted({int(generation) for generation in np.linspace(1, last, count).round()})


def fronts_over_generations(study: StudyPlan) -> dict[int, np.ndarray]:
    """Return the objective values of the front as it was after a few generations, the last among them."""
    objectives = study.tables.objectives
    wanted = milestones(study.final_generation, _FRONTS)
    seen = np.empty((0, len(objectives)))
    fronts = {}
    for generation in range(1, study.final_generation + 1):
        table = read_table(study.folder.generation_table(generation), [*objectives, "feasible"])
        seen = np.unique(np.vstack([seen, _matrix(table.filter(table["feasible"]), objectives)]), axis=0)
        seen = seen[nondominated(losses(seen, study.goals.objectives))]
        if generation in wanted:
            fronts[generation] = seen
    return fronts


def champion_content(plan: dict[str, Any], report: dict[str, Any]) -> Content:
    """Return the content of ``champion``; ``report`` is what ``finish_study`` returned."""
    study = StudyPlan.read(plan)
    describe = partial(_describe_champion, study, report)
    return Content("champion", study.spec.name, content_hash(canonical_json(report)), describe)


def _describe_champion(study: StudyPlan, report: dict[str, Any]) -> Metadata:
    if report["play"] is None:
        return {"reason": report["reason"], "front_size": report["front_size"]}
    parts = [(part, dataset, report[part][dataset]) for part in ("train", "holdout") for dataset in report[part]]
    columns = [f"{part}: {dataset}" for part, dataset, _ in parts]
    rows = [(m.name, *(figure(figures["metrics"][m.name]) for _, _, figures in parts), m.unit) for m in METRICS]
    rows.append(("looks at this holdout", *(figure(figures.get("look")) for _, _, figures in parts), "count"))
    rows.append(("buy and hold, total return", *(figure(figures["buy_and_hold"]) for _, _, figures in parts), "share"))
    play, spec = parse_play(report["yaml"]), study.spec
    curves, trades = {}, {}
    for column, (_, dataset, _) in zip(columns, parts, strict=True):
        result = backtest(play, study.open_feed(dataset), costs=spec.costs, cash=spec.cash, policy=spec.policy)
        curves[column] = result.equity / spec.cash
        trades[f"trades, {column}"] = _last_trades(result.trades)
    return {
        "dagster/uri": dg.MetadataValue.path(report["champion_play"]),
        "play": report["play"],
        "chosen_by": report["chosen_by"],
        **{f"train {objective}": value for objective, value in report["objectives"].items()},
        "metrics": markdown_table(("metric", *columns, "unit"), rows),
        "equity": picture(equity_png(curves, title=spec.name, ylabel="equity / starting cash"), "equity"),
        **trades,
        "yaml": code_block(report["yaml"], "yaml"),
    }


def _last_trades(trades: pd.DataFrame) -> dg.MarkdownMetadataValue:
    """Show the last trades; ``forge study export`` writes them all."""
    rows = [
        (
            f"{trade['entry_time']:%Y-%m-%d %H:%M}",
            "long" if trade["side"] > 0 else "short",
            figure(trade["entry_price"]),
            f"{trade['exit_time']:%Y-%m-%d %H:%M}",
            figure(trade["exit_price"]),
            trade["exit_reason"],
            figure(trade["net_pnl"]),
            f"{trade['return_pct']:+.2f}",
        )
        for trade in trades.tail(_TRADES_SHOWN).to_dict("records")
    ]
    columns = ("entry", "side", "price", "exit", "price", "reason", "net profit", "%")
    return markdown_table((f"last of {len(trades)}: {columns[0]}", *columns[1:]), rows)


def _matrix(table: pa.Table, columns: list[str]) -> np.ndarray:
    return np.column_stack([table[column].to_numpy() for column in columns])
