"""The report of a complete study: verdict, champion on every dataset, front, generations, holdout evaluations."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from forge_core.engine.backtest import backtest
from forge_core.engine.report.result import BacktestResult
from forge_core.engine.simulate import ENGINE_VERSION
from forge_core.errors import StudyError
from forge_core.evidence.verdict.section import EvidenceSection, evidence_section
from forge_core.evidence.verdict.text import evidence_text
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import Champion, ChampionReport
from forge_core.evolution.run.status import study_status
from forge_core.evolution.storage.tables import read_hypervolume
from forge_core.files import read_json, read_table, write_text
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.values import format_value
from forge_core.paths import Home
from forge_core.plays.describe import describe_column
from forge_core.plays.model import Group, Play
from forge_core.plays.parser import parse_play
from forge_core.plays.rules import columns
from forge_core.reports import charts, html
from forge_core.reports.play import performance_parts, rules_parts, summary_parts, terms_parts, trade_list, trade_parts

_USED = 20  # features listed


def write_study_report(name: str, path: Path | None = None, home: Home | None = None) -> Path:
    """Write the report of a complete study as one HTML page; return its path. See docs/reports.md.

    ``path`` is by default ``reports/<study>.html`` in the home folder.
    """
    home = home or Home.current()
    path = path or home.root / "reports" / f"{name}.html"
    write_text(path, study_page(name, home))
    return path


def study_page(name: str, home: Home | None = None) -> str:
    """Return the report of a complete study as a page. No holdout evaluation is added: the champion's is repeated.

    Raises StudyError unless the study is complete.
    """
    home = home or Home.current()
    status = study_status(name, home)
    if status.state != "complete" or status.champion is None:
        raise StudyError(f"study {name!r} is {status.state}; run `make evolve STUDY={name}` to its end first")
    plan = StudyPlan.open(name, home)
    section = evidence_section(name, home)
    report: ChampionReport = status.champion
    parts = [html.heading(f"Study {name}", 1), *_verdict(name, home, section)]
    if report.champion is not None:
        parts += _champion(plan, report.champion)
    else:
        parts.append(html.paragraph(f"No champion: {report.reason}."))
    if section is not None:
        parts += _evidence(section)
    parts += _front(plan, report)
    parts += _generations(plan)
    parts += _most_used(plan)
    parts += _holdout_evaluations(plan)
    parts += [html.heading("The study"), html.code(_settings(plan))]
    return html.page(f"Study {name}", parts)


def _verdict(name: str, home: Home, section: EvidenceSection | None) -> list[str]:
    if section is not None:
        return [html.paragraph(section.evidence.sentence, "lead"), *(html.paragraph(line) for line in section.lines)]
    return [
        html.paragraph(line, "lead" if not n else "") for n, line in enumerate(evidence_text(name, home).split("\n"))
    ]


def _champion(plan: StudyPlan, champion: Champion) -> list[str]:
    play, spec = parse_play(champion.yaml), plan.spec
    datasets = [("train", name) for name in spec.train] + [("holdout", name) for name in spec.holdout]
    results: dict[str, BacktestResult] = {}
    for _, name in datasets:
        feed = plan.open_feed(name)
        results[name] = backtest(play, feed, source=name, **spec.terms)
    parts = [
        html.heading(f"Champion {champion.play}"),
        html.paragraph(f"Chosen on the train datasets alone ({spec.champion}); objectives "
                       + ", ".join(f"{name} {value:.4g}" for name, value in champion.objectives.items()) + "."),
        *rules_parts(play),
        html.heading("Metrics on every dataset", 3),
        _metrics_table(champion, datasets),
    ]  # fmt: skip
    for part, name in datasets:
        result = results[name]
        figures = (champion.train if part == "train" else champion.holdout)[name]
        title = f"{part}: {name}"
        if figures.evaluation is not None:
            title += f" (evaluation {figures.evaluation} of this holdout; {figures.relation})"
        inner = [
            html.paragraph(result.headline),
            *summary_parts(result),
            *performance_parts(result),
            *trade_parts(result),
            html.heading(f"All {len(result.trades):,} trades", 3),
            trade_list(result),
            html.heading("Terms", 3),
            *terms_parts(result, {"engine": ENGINE_VERSION}),
        ]
        parts.append(html.details(title, "".join(inner), opened=part == "holdout" or not spec.holdout))
    return parts


def _metrics_table(champion: Champion, datasets: list[tuple[str, str]]) -> str:
    by_name = {**champion.train, **champion.holdout}
    rows = [
        (metric.name, *(format_value(metric, by_name[name].metrics.get(metric.name)) for _, name in datasets))
        for metric in METRICS
    ]
    held = tuple(_share(by_name[name].buy_and_hold) for _, name in datasets)
    return html.table(("metric", *(f"{part}: {name}" for part, name in datasets)), [*rows, ("buy and hold", *held)])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:,.2f} %"


def _evidence(section: EvidenceSection) -> list[str]:
    parts = [html.heading("Luck or edge")]
    if section.luck_scores and section.score is not None:
        parts.append(
            charts.histogram(
                "The same search in markets without memory",
                section.luck_scores,
                xlabel=section.score_is,
                ylabel="searches",
                marks=[("this study", section.score)],
            )
        )
    if section.equity is not None:
        lines = [
            charts.Line("Plays drawn at random", section.equity["random"], charts.GREY),
            charts.Line("champions of the windows", section.equity["champions"]),
        ]
        parts.append(charts.time_chart("Walk-forward: growth of 1 on days that were not searched", lines))
    for title, frame in (("Walk-forward windows", section.windows), ("Probes of the champion", section.probes)):
        if frame is not None:
            parts.append(html.details(title, _frame_table(frame)))
    return parts


def _frame_table(frame: pd.DataFrame) -> str:
    rows = [tuple(_cell(value) for value in row) for row in frame.itertuples(index=False)]
    return html.table([str(name) for name in frame.columns], rows, sortable=True)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _front(plan: StudyPlan, report: ChampionReport) -> list[str]:
    front = read_table(plan.folder.pareto_front).to_pandas()
    names = plan.tables.objectives
    parts = [html.heading(f"Pareto front: {len(front)} Plays")]
    if front.empty:
        return parts
    if len(names) > 1:
        last = read_table(plan.folder.generation_table(plan.final_generation)).to_pandas()
        others = last[last["feasible"]]
        chosen = front[front["play"] == report.play]
        groups = [
            ("champion", charts.ORANGE, chosen[names[0]], chosen[names[1]]),
            ("last generation", charts.GREY, others[names[0]], others[names[1]]),
            ("front", charts.BLUE, front[names[0]], front[names[1]]),
        ]
        labels = [name.removeprefix("objective.") for name in names]
        parts.append(
            charts.scatter_chart(
                "Objectives on train", groups, xlabel=labels[0], ylabel=labels[1], line=len(names) == 2, radius=7
            )
        )
    shown = [name for name in front if name.startswith("objective.")]
    shown += [f"{name}.{metric}" for name in plan.spec.train for metric in ("total_return", "sharpe", "total_trades")]
    table = front[["play", *dict.fromkeys(name for name in shown if name in front)]]
    parts.append(_frame_table(table.rename(columns=lambda name: str(name).removeprefix("objective."))))
    rules = "".join(
        html.heading(play, 3) + html.code(text) for play, text in zip(front["play"], front["yaml"], strict=True)
    )
    return [*parts, html.details("Rules of every Play of the front", rules)]


def _generations(plan: StudyPlan) -> list[str]:
    rows, volumes, names = [], [], plan.tables.objectives
    for generation in range(1, plan.final_generation + 1):
        path = plan.folder.generation_table(generation)
        table = read_table(path, ["survivor", "feasible", "is_duplicate", "born", *names]).to_pandas()
        volumes.append(read_hypervolume(path))
        feasible = table[table["survivor"] & table["feasible"]]
        evaluated = int(((table["born"] == generation) & ~table["is_duplicate"]).sum())
        best = [
            (feasible[name].max() if term.direction == "maximize" else feasible[name].min()) if len(feasible) else None
            for name, term in zip(names, plan.objectives.terms, strict=True)
        ]
        rows.append((str(generation), str(evaluated), str(len(feasible)), f"{volumes[-1]:.4f}", *map(_cell, best)))
    numbers = pd.Series(range(1, len(volumes) + 1), dtype=float)
    labels = [name.removeprefix("objective.") for name in names]
    groups = [("", charts.BLUE, numbers, pd.Series(volumes))]
    return [
        html.heading("Generations"),
        charts.scatter_chart("Hypervolume of the front", groups, xlabel="generation", ylabel="hypervolume", line=True),
        html.details(
            f"{len(rows)} generations",
            html.table(("generation", "evaluated", "feasible", "hypervolume", *(f"best {x}" for x in labels)), rows),
        ),
    ]


def _most_used(plan: StudyPlan) -> list[str]:
    """Return which features and parameters the Plays of the front and the last survivors read."""
    genes = read_table(plan.folder.pareto_front, ["genes"])["genes"].to_pylist()
    front = [plan.genome.decode(values) for values in genes]
    last = read_table(plan.folder.generation_table(plan.final_generation), ["survivor", "genes"]).to_pandas()
    survivors = [plan.genome.decode(list(genes)) for genes in last["genes"][last["survivor"]]]
    counts = [_features(plays) for plays in (front, survivors)]
    names = [name for name, _ in (counts[0] + counts[1]).most_common(_USED)]
    totals = (max(len(front), 1), max(len(survivors), 1))
    rows = [
        (name, *(f"{count[name]} ({count[name] / total:.0%})" for count, total in zip(counts, totals, strict=True)))
        for name in names
    ]
    columns_ = ("feature", f"of {len(front)} on the front", f"of {len(survivors)} last survivors")
    return [html.heading("Features used most"), html.table(columns_, rows)]


def _features(plays: list[Play]) -> Counter[str]:
    found: Counter[str] = Counter()
    for play in plays:
        groups: list[Group | None] = [play.entry_long, play.entry_short, play.exit_long, play.exit_short]
        used = {reference for group in groups if group is not None for reference in columns(group)}
        found.update({describe_column(reference, play.timeframe) for reference in used})
    return found


def _holdout_evaluations(plan: StudyPlan) -> list[str]:
    if not plan.spec.holdout:
        return []
    parts = [html.heading("All holdout evaluations")]
    for dataset in plan.spec.holdout:
        entries = [read_json(path) for path in (plan.home.ledger / "holdout" / dataset).glob("*.json")]
        rows = sorted(((int(entry.get("evaluation", entry.get("look", 0))), entry) for entry in entries), key=_number)
        text = (
            f"{dataset}: {len(rows)} evaluations, of all studies. The more there are, the less the best of them says."
        )
        parts.append(html.paragraph(text))
        cells = [(str(number), entry["study"], entry["play"], entry["dataset_hash"]) for number, entry in rows]
        parts.append(html.table(("evaluation", "study", "Play", "version of the bars"), cells))
    return parts


def _number(row: tuple[int, dict[str, Any]]) -> int:
    return row[0]


def _settings(plan: StudyPlan) -> str:
    settings = plan.spec.model_dump(mode="json", exclude_none=True, exclude={"evidence"})
    pinned = {name: entry["hash"] for name, entry in plan.manifest["datasets"].items()}
    versions = dict(plan.manifest["versions"])
    text = yaml.safe_dump({**settings, "datasets": pinned, "versions": versions}, sort_keys=False, allow_unicode=True)
    return f"# manifest {plan.hash}; run: make evolve STUDY={plan.spec.name}\n{text}"
