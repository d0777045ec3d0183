"""Pages of generations, fronts and champions: what a person reads of a study in the UI."""

from collections import Counter
from functools import partial
from itertools import combinations
from textwrap import wrap
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forge_core.engine.backtest import backtest
from forge_core.evolution.nsga.front import losses
from forge_core.evolution.run.merge import GenerationFigures
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import Champion, ChampionReport, FrontReport
from forge_core.evolution.storage.tables import read_hypervolume, table_hash
from forge_core.files import canonical_json, content_hash, read_table
from forge_core.judging.study_report import write_study_report
from forge_core.metrics.catalog import METRICS
from forge_core.plays.describe import describe_play
from forge_core.plays.model import Play
from forge_core.plays.parser import parse_play
from forge_core.plotting.png import equity_png, front_png
from forge_core.plotting.svg import curves_svg, points_svg
from forge_pipelines.lib.materialization import Materialization
from forge_pipelines.lib.metadata import (
    OPEN_MARKDOWN,
    Metadata,
    code_block,
    figure,
    markdown_table,
    picture,
    rounded,
    sketch,
    small_sketch,
)
from forge_pipelines.lib.partitions import generation_key

MANIFEST_TAG = "forge/study_manifest"
"""The tag of a generation's event that names the manifest, which determines all its numbers."""

_FRONT_SHOWN = 25
_RULES_WIDTH = 46  # characters of a line; the page cuts longer ones off
_TRADES_SHOWN = 10
_FRONTS = 4
_HYPERVOLUMES = 11


def generation_materialization(
    plan: StudyPlan, figures: GenerationFigures, speed: float | None = None
) -> Materialization:
    """Return the content of ``generation_fitness`` from the ``figures`` of a merged generation.

    ``speed``: evaluations a second, None where the generation was not evolved now.
    """

    def describe() -> Metadata:
        points, names = figures.points, list(figures.best)
        metadata: Metadata = {
            "dagster/row_count": figures.survivors,
            "dagster/uri": dg.MetadataValue.path(figures.table),
            "content_hash": figures.content_hash,
            **{f"best {name}": rounded(value) for name, value in figures.best.items() if value is not None},
            **{name: value for name, value in vars(figures).items() if isinstance(value, int)},
            **{name: rounded(value) for name, value in vars(figures).items() if isinstance(value, float)},
        }
        if speed is not None:
            metadata["evaluations_per_second"] = round(speed, 1)
        if len(names) > 1 and points.front:
            metadata["picture"] = sketch(points_svg([points.survivors, points.front], names), "front so far")
        return metadata

    return Materialization(
        "generation_fitness",
        generation_key(plan.spec.name, figures.generation),
        figures.content_hash,
        describe,
        tags={MANIFEST_TAG: plan.hash},
        inputs={"indicator_bank": plan.spec.train},
    )


def front_materialization(plan: StudyPlan, report: FrontReport | ChampionReport) -> Materialization:
    """Return the content of ``pareto_front``; ``report`` is that of ``write_pareto_front`` or ``finish_study``."""
    front = read_table(plan.folder.pareto_front)
    keys = [generation_key(plan.spec.name, generation) for generation in range(1, plan.final_generation + 1)]
    describe = partial(_describe_front, plan, front, report)
    inputs = {"generation_fitness": keys}
    return Materialization("pareto_front", plan.spec.name, table_hash(front), describe, inputs=inputs)


def _describe_front(study: StudyPlan, front: pa.Table, report: FrontReport | ChampionReport) -> Metadata:
    objectives = study.tables.objectives
    names = [name.removeprefix("objective.") for name in objectives]
    shown = [*objectives, *(f"{d}.{metric}" for d in study.spec.train for metric in ("total_return", "total_trades"))]
    listed = front.filter(pc.is_null(front["twin_of"]))
    twins = Counter(front["twin_of"].to_pylist())
    rows = [
        (row["play"], str(twins[row["play"]]), *(figure(row[name]) for name in shown))
        for row in listed.slice(0, _FRONT_SHOWN).select(["play", *shown]).to_pylist()
    ]
    metadata: Metadata = {
        "dagster/row_count": front.num_rows,
        "without_near_twins": listed.num_rows,
        "dagster/uri": dg.MetadataValue.path(str(study.folder.pareto_front)),
        "champion": str(report.play),
        "front": markdown_table(("Play", "near-twins", *(name.removeprefix("objective.") for name in shown)), rows),
    }
    if front.num_rows and len(objectives) > 1:
        metadata |= _front_pictures(study, front, names, str(report.play))
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


def _front_pictures(study: StudyPlan, front: pa.Table, names: list[str], champion: str) -> Metadata:
    """Return a picture of the front for every pair of objectives."""
    last = read_table(study.folder.generation_table(study.final_generation))
    others, chosen = last.filter(last["feasible"]), front["play"].to_pylist().index(champion)
    pictures: Metadata = {}
    for pair in combinations(range(len(names)), 2):
        order = [*pair, *(i for i in range(len(names)) if i not in pair)]  # the first two are drawn
        columns = [study.tables.objectives[i] for i in order]
        png = front_png(
            _matrix(front, columns),
            [names[i] for i in order],
            others=_matrix(others, columns),
            chosen=chosen,
            title=f"{study.spec.name}: train",
        )
        key = "picture" if len(names) == 2 else f"picture: {' and '.join(names[i] for i in pair)}"
        pictures[key] = picture(png, "Pareto front")
    return pictures


def milestones(last: int, count: int) -> list[int]:
    """Return at most ``count`` generations, evenly spread from the first to the ``last``."""
    return sorted({int(generation) for generation in np.linspace(1, last, count).round()})


def fronts_over_generations(study: StudyPlan) -> dict[int, np.ndarray]:
    """Return the objective values of the front as it was after a few generations, the last among them."""
    wanted = milestones(study.final_generation, _FRONTS)
    return {generation: losses(study.front_losses(generation), study.objectives.terms) for generation in wanted}


def champion_materialization(plan: StudyPlan, report: ChampionReport) -> Materialization:
    """Return the content of ``champion``; ``report`` is what ``finish_study`` returned."""
    version = content_hash(canonical_json(report.document()))
    inputs = {"pareto_front": [plan.spec.name], "indicator_bank": plan.spec.holdout}
    return Materialization(
        "champion", plan.spec.name, version, partial(_describe_champion, plan, report), inputs=inputs
    )


def _describe_champion(study: StudyPlan, report: ChampionReport) -> Metadata:
    champion = report.champion
    if champion is None:
        return {"reason": str(report.reason), "front_size": report.front_size}
    parts = [("train", *item) for item in champion.train.items()]
    parts += [("holdout", *item) for item in champion.holdout.items()]
    columns = [f"{part}: {dataset}" for part, dataset, _ in parts]
    rows = [(m.name, *(figure(figures.metrics[m.name]) for _, _, figures in parts), m.unit) for m in METRICS]
    rows.append(("holdout evaluation number", *(figure(figures.evaluation) for _, _, figures in parts), "count"))
    rows.append(("buy and hold, total return", *(figure(figures.buy_and_hold) for _, _, figures in parts), "share"))
    play, spec = parse_play(champion.yaml), study.spec
    curves, trades = {}, {}
    for column, (_, dataset, _) in zip(columns, parts, strict=True):
        result = backtest(play, study.open_feed(dataset), **spec.terms)
        curves[column] = result.equity / spec.cash
        trades[f"trades, {column}"] = _last_trades(result.trades)
    values = [curve.to_numpy() for curve in curves.values()]
    return {
        "rules": _rules(play),
        "equity": small_sketch(curves_svg(values), "equity, train then holdout"),
        **objective_figures(study, champion),
        "play": champion.play,
        "chosen_by": report.chosen_by,
        "dagster/uri": dg.MetadataValue.path(str(study.folder.champion_play)),
        "report": dg.MetadataValue.path(str(write_study_report(study.spec.name, home=study.home))),
        "metrics": markdown_table(("metric", *columns, "unit"), rows),
        "equity_picture": picture(equity_png(curves, title=spec.name, ylabel="equity / starting cash"), "equity"),
        **trades,
        "yaml": code_block(champion.yaml, "yaml"),
    }


def objective_figures(study: StudyPlan, champion: Champion) -> dict[str, float]:
    """Return the study's own objectives as numbers that a page can plot: on train, and on each holdout dataset."""
    figures = {f"train {name}": rounded(value) for name, value in champion.objectives.items()}
    for metric in dict.fromkeys(objective.metric for objective in study.objectives.terms):
        for dataset, held in champion.holdout.items():
            value = held.metrics.get(metric)  # none of a formula or of an extension's metric
            name = f"holdout {metric}" if len(champion.holdout) == 1 else f"holdout {metric}, {dataset}"
            if value is not None:
                figures[name] = rounded(value)
    return figures


def _rules(play: Play) -> dg.MetadataValue[Any]:
    """Show the rules in words without a click: an item for each side, in lines that fit the page."""
    lines = describe_play(play).splitlines()
    markdown = "\n".join("- " + "\\\n  ".join(wrap(line, _RULES_WIDTH, break_on_hyphens=False)) for line in lines)
    return dg.MetadataValue.md(markdown) if len(markdown) < OPEN_MARKDOWN else dg.MetadataValue.text(" | ".join(lines))


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
