"""Evaluation of Plays on a study's holdout, and export of its front."""

from pathlib import Path

import pandas as pd

from forge_core.engine.backtest import backtest
from forge_core.errors import StudyError
from forge_core.evolution.run.evaluations import evaluate_on_holdout
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import ChampionReport
from forge_core.evolution.run.status import study_status
from forge_core.evolution.storage.ledger import count_holdout_evaluations
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.files import read_checked, read_json, read_table, replacing, write_text
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import parse_play

_SHOWN = ("total_return", "sharpe", "max_drawdown", "total_trades", "exposure")


def evaluate_front_on_holdout(name: str, home: Home | None = None, limit: int | None = None) -> pd.DataFrame:
    """Backtest the Plays of a study's front (the first ``limit``) on each holdout dataset; every evaluation is counted.

    A row for each Play and holdout dataset: ``play``, the objectives on train, ``dataset``, the holdout's figures,
    ``evaluation`` (its number among those on the dataset) and ``evaluations`` (their count over all studies by now).
    An evaluation is in the ledger before its backtest; a Play that the study evaluated before keeps its number.
    Raises StudyError unless the study is complete and has a holdout.
    """
    home = home or Home.current()
    front = _finished_front(name, home)
    plan = StudyPlan.open(name, home)
    if not plan.spec.holdout:
        raise StudyError(f"study {name!r} has no holdout dataset: add `holdout:` to its file and give it a new name")
    rows = []
    chosen = front.head(limit if limit is not None else len(front)).to_dict("records")
    shown = [parse_play(entry["yaml"]) for entry in chosen]
    plays = {play_hash(play): play for play in shown}
    for dataset in plan.spec.holdout:
        for entry, figures in zip(chosen, evaluate_on_holdout(plan, dataset, plays), strict=True):
            rows.append(
                {
                    "play": entry["play"],
                    **{f"train {o.name}": entry[f"objective.{o.name}"] for o in plan.objectives.terms},
                    "dataset": dataset,
                    **{metric: figures.metrics[metric] for metric in _SHOWN},
                    "evaluation": figures.evaluation,
                }
            )
    table = pd.DataFrame(rows)
    table["evaluations"] = [count_holdout_evaluations(home.ledger, dataset) for dataset in table["dataset"]]
    return table


def export_study(name: str, folder: Path, home: Home | None = None) -> list[Path]:
    """Write the front as ``pareto_front.csv`` and ``.parquet``, its Plays and the champion as YAML; return the files.

    Of the champion also ``champion_trades_<dataset>.csv`` and ``champion_equity_<dataset>.csv``, on train and holdout.
    The Plays are ``plays/<rank>_<hash>.yaml``, the front's first one ranking 1. Files of these names in
    ``folder`` are replaced. Raises StudyError unless the study is complete.
    """
    home = home or Home.current()
    front = _finished_front(name, home)
    source = StudyFolder.of(name, home)
    written = [folder / "pareto_front.parquet", folder / "pareto_front.csv"]
    with replacing(written[0]) as temporary:
        temporary.write_bytes(read_checked(source.pareto_front))
    write_text(written[1], front.drop(columns=["yaml", "genes"]).to_csv(index=False))
    digits = len(str(len(front)))
    for rank, (play, text) in enumerate(zip(front["play"], front["yaml"], strict=True), start=1):
        written.append(folder / "plays" / f"{rank:0{digits}d}_{play}.yaml")
        write_text(written[-1], text)
    champion = ChampionReport.read(read_json(source.champion)).champion
    if champion is not None:
        text = champion.yaml
        written.append(folder / "champion.yaml")
        write_text(written[-1], text)
        plan = StudyPlan.open(name, home)
        for dataset in (*plan.spec.train, *plan.spec.holdout):
            result = backtest(parse_play(text), plan.open_feed(dataset), **plan.spec.terms)
            for kind, frame in (("trades", result.trades), ("equity", result.equity.to_frame())):
                written.append(folder / f"champion_{kind}_{dataset}.csv")
                write_text(written[-1], frame.to_csv(index=kind == "equity"))
    return written


def _finished_front(name: str, home: Home) -> pd.DataFrame:
    status = study_status(name, home)
    if status.state != "complete":
        raise StudyError(f"study {name!r} is {status.state}: it has a front once it is complete")
    return read_table(StudyFolder.of(name, home).pareto_front).to_pandas()
