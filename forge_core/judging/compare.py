"""Comparison of complete studies: objectives, holdout, and how alike their Plays trade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from forge_core.engine.simulate import simulate
from forge_core.errors import StudyError
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import ChampionReport
from forge_core.evolution.run.status import study_status
from forge_core.evolution.storage.tables import read_hypervolume
from forge_core.files import read_json, read_table
from forge_core.paths import Home
from forge_core.plays.parser import parse_play

MIN_DAYS = 30  # common days that a correlation needs
ALIKE = 0.7  # correlation from which on two Plays are in one cluster
_HOLDOUT = ("total_return", "sharpe", "max_drawdown", "total_trades")


@dataclass(frozen=True)
class Comparison:
    """``studies``: a row each. ``champions``: correlation of the champions' daily returns. ``clusters``: a row for each
    Play of the fronts, with its ``cluster``, largest first. NaN where two have fewer than ``MIN_DAYS`` common days."""

    studies: pd.DataFrame
    champions: pd.DataFrame = field(repr=False)
    clusters: pd.DataFrame = field(repr=False)


def compare_studies(
    names: Sequence[str], home: Home | None = None, *, limit: int = 50, alike: float = ALIKE
) -> Comparison:
    """Compare complete studies by their objectives, their holdouts and the daily returns of their Plays on train.

    ``limit``: Plays of each front, best first. ``alike``: correlation from which on Plays are clustered (average
    linkage). Returns are those of each study's own train datasets; a day of several is their mean. No holdout
    evaluation is added. Raises StudyError for an unknown or incomplete study.
    """
    home = home or Home.current()
    if len(set(names)) != len(names) or len(names) < 1:
        raise StudyError(f"expected different studies, got {', '.join(names) or 'none'}")
    rows: list[dict[str, object]] = []
    returns: dict[tuple[str, str], pd.Series] = {}
    champions: dict[str, pd.Series] = {}
    for name in names:
        state = study_status(name, home).state
        if state != "complete":
            raise StudyError(f"study {name!r} is {state}; run it to its end before it is compared")
        plan = StudyPlan.open(name, home)
        report = ChampionReport.read(read_json(plan.folder.champion))
        rows.append(_row(plan, report))
        front = read_table(plan.folder.pareto_front, ["play", "yaml"]).to_pandas().head(limit)
        documents = dict(zip(front["play"], front["yaml"], strict=True))
        if report.champion is not None:
            documents.setdefault(report.champion.play, report.champion.yaml)
        found = train_returns(plan, documents)
        returns |= {(name, play): series for play, series in found.items()}
        if report.champion is not None:
            champions[name] = found[report.champion.play]
    return Comparison(pd.DataFrame(rows).set_index("study"), correlations(champions), _clusters(returns, alike))


def _row(plan: StudyPlan, report: ChampionReport) -> dict[str, object]:
    spec = plan.spec
    row: dict[str, object] = {
        "study": spec.name,
        "train": ", ".join(spec.train),
        "objectives": ", ".join(f"{term.aggregate} {term.metric}" for term in plan.objectives.terms),
        "generations": plan.final_generation,
        "front": report.front_size,
        "hypervolume": read_hypervolume(plan.folder.generation_table(plan.final_generation)),
        "champion": report.play,
    }
    if report.champion is not None:
        row |= {f"champion {name}": value for name, value in report.champion.objectives.items()}
    for dataset, figures in report.holdout.items():
        row |= {f"{dataset} {metric}": figures.metrics[metric] for metric in _HOLDOUT}
        row[f"{dataset} evaluation"] = figures.evaluation
    return row


def train_returns(plan: StudyPlan, documents: Mapping[str, str]) -> dict[str, pd.Series]:
    """Return the daily returns of Plays (YAML by hash) on the study's train datasets, by date."""
    spec = plan.spec
    feeds = [plan.open_feed(name) for name in spec.train]
    dates = [pd.DatetimeIndex(np.unique(feed.day[feed.start :]).astype("datetime64[D]")) for feed in feeds]
    found = {}
    for name, text in documents.items():
        play = parse_play(text)
        parts = [
            pd.Series(simulate(play, feed, **spec.terms).daily_returns, index)
            for feed, index in zip(feeds, dates, strict=True)
        ]
        joined = pd.concat(parts)
        found[name] = joined.groupby(joined.index).mean()
    return found


def correlations(returns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the correlation of daily returns on common days; NaN with fewer than ``MIN_DAYS``."""
    if not returns:
        return pd.DataFrame()
    return pd.DataFrame(dict(returns)).corr(min_periods=MIN_DAYS)


def _clusters(returns: Mapping[tuple[str, str], pd.Series], alike: float) -> pd.DataFrame:
    table = pd.DataFrame([{"study": study, "play": play} for study, play in returns])
    if len(table) < 2:
        return table.assign(cluster=1, size=len(table))
    frame = pd.concat(list(returns.values()), axis=1, keys=range(len(table)))
    matrix = frame.corr(min_periods=MIN_DAYS).to_numpy(copy=True)
    np.fill_diagonal(matrix, 1.0)
    distance = 1.0 - np.nan_to_num(matrix, nan=0.0)  # unknown: as if independent
    distance = (distance + distance.T) / 2.0
    np.fill_diagonal(distance, 0.0)
    labels = fcluster(linkage(squareform(np.maximum(distance, 0.0), checks=False), "average"), 1.0 - alike, "distance")
    sizes = pd.Series(labels).value_counts()
    order = {label: number for number, label in enumerate(sizes.index, start=1)}
    table = table.assign(cluster=[order[label] for label in labels], size=[int(sizes[label]) for label in labels])
    return table.sort_values(["cluster", "study"], kind="stable", ignore_index=True)
