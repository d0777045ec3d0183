"""All evidence of a study put together: its tables and ``verdict.json`` in ``<study>/evidence``."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from forge_core.engine.simulate import Simulation, simulate
from forge_core.evidence.robustness.lottery import lottery
from forge_core.evidence.robustness.probes import probe_table, run_probes, weaknesses
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import Bench, Row, Task, check_complete
from forge_core.evidence.searches.trials import trading_trials
from forge_core.evidence.searches.walk_forward import Stitched, WindowResult, mean_by_day, stitch
from forge_core.evidence.statistics.bootstrap import interval
from forge_core.evidence.statistics.sharpe import (
    deflated_sharpe,
    luck_line,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_p_value,
    sharpe_ratio,
)
from forge_core.evidence.verdict.judge import OutOfSample, Verdict, judge
from forge_core.feeds.feed import Feed
from forge_core.files import write_json, write_table

Document = dict[str, Any]
_REPEATS = 2_000


def conclude(subject: Subject) -> Document:
    """Write the tables and the verdict; return what ``verdict.json`` holds. Raises StudyError while a search is
    missing. Rows of luck searches that ended after the test was decided are deleted: they do not count."""
    bench = Bench(subject)
    document: Document = {
        "study": subject.spec.name,
        "manifest_hash": subject.plan.hash,
        "play": subject.report.play,
        "evidence": subject.evidence.model_dump(),
    }
    if subject.champion is None:
        verdict = Verdict("none", f"No champion: {subject.report.reason}.")
    else:
        check_complete(bench)
        parts, verdict = _parts(bench)
        document |= parts
    document |= {"verdict": verdict.word, "sentence": verdict.sentence}
    write_json(bench.folder / "verdict.json", document)
    return document


def _parts(bench: Bench) -> tuple[Document, Verdict]:
    subject, luck = bench.subject, bench.luck()
    own, drawn = _stitched(bench, "window"), _stitched(bench, "drawn_window")
    held = _holdout(subject)
    probes, drawing, weak = _robustness(bench)
    out_of_sample = held
    if own is not None:
        out_of_sample = OutOfSample("walk-forward", own.p, own.sharpe)
    random_row = bench.row(Task("drawn", 1))
    document = {
        "score": subject.score,
        "score_is": _score_name(subject),
        "luck": _write_luck(bench),
        "luck_lines": luck_lines(subject),
        "walk_forward": _write_windows(bench, own, drawn),
        "holdout": None
        if held is None
        else {"p": held.p, "level": held.level, "sharpe": held.sharpe, "evaluation": held.evaluation},
        "random_search": None
        if random_row is None
        else {"score": random_row["score"], "walk_forward_sharpe": drawn and drawn.sharpe},
        "lottery": drawing,
        "probes": probes,
        "weaknesses": weak,
        "statistics": _statistics(subject),
    }
    return document, judge(luck, out_of_sample, weak)


def _score_name(subject: Subject) -> str:
    objectives = subject.plan.objectives.terms
    return objectives[0].name if len(objectives) == 1 else "hypervolume"


def _write_luck(bench: Bench) -> Document | None:
    result, score = bench.luck(), bench.subject.score
    if result is None or score is None:
        return None
    rows = []
    for number in range(1, bench.subject.evidence.luck + 1):
        task = Task("luck", number)
        row = bench.row(task)
        if number > result.searches:
            bench.path(task).unlink(missing_ok=True)
        elif row is not None:
            found = row["score"]
            rows.append(
                {
                    "search": number,
                    "score": found,
                    "as_good": found is not None and found >= score,
                    "play": row["play"],
                    "evaluated": row["evaluated"],
                }
            )
    table = pd.DataFrame(rows)
    write_table(bench.folder / "luck_test.parquet", pa.Table.from_pandas(table, preserve_index=False))
    scores = table["score"].astype(float).dropna()
    return {
        "p": result.p,
        "planned": bench.subject.evidence.luck,
        "searches": result.searches,
        "as_good": result.as_good,
        "stopped": result.stopped,
        "scores": [None if value is None else float(value) for value in (row["score"] for row in rows)],
        "mean": float(scores.mean()) if len(scores) else None,
        "deviation": float(scores.std()) if len(scores) > 1 else None,
    }


def luck_lines(subject: Subject) -> list[Document]:
    """Return for each train dataset the Sharpe ratio a year that the best of all Plays tried on it has by luck, beside
    the champion's."""
    lines = []
    for name in subject.spec.train:
        market = subject.markets[name]
        days, a_year = market.days.size, market.instrument.annualization
        trials = trading_trials(subject.plan.manifest["datasets"][name]["hash"], subject.plan.home)
        found = subject.report.champion
        champion = None if found is None else found.train[name].metrics["sharpe"]
        line = luck_line(trials, days) * float(np.sqrt(a_year))
        lines.append({"dataset": name, "trials": trials, "days": days, "sharpe": line, "champion": champion})
    return lines


def _stitched(bench: Bench, kind: str) -> Stitched | None:
    if not bench.windows:
        return None
    results = [_window_result(row) for row in _window_rows(bench, kind)]
    return stitch(results, _annualization(bench.subject))


def _window_rows(bench: Bench, kind: str) -> list[Row]:
    rows = [bench.row(Task(kind, n)) for n in range(1, len(bench.windows) + 1)]  # type: ignore[arg-type]
    return [row for row in rows if row is not None]


def _window_result(row: Row) -> WindowResult:
    return WindowResult(
        row["play"], row["train_sharpe"], np.array(row["days"], np.int64), np.array(row["returns"]), row["trades"]
    )


def _annualization(subject: Subject) -> int:
    return max(market.instrument.annualization for market in subject.markets.values())


def _write_windows(bench: Bench, own: Stitched | None, drawn: Stitched | None) -> Document | None:
    if own is None or drawn is None:
        return None
    a_year = _annualization(bench.subject)
    rows = []
    for number, (row, other) in enumerate(
        zip(_window_rows(bench, "window"), _window_rows(bench, "drawn_window"), strict=True), 1
    ):
        returns = np.array(row["returns"])
        rows.append(
            {
                "window": number,
                **{
                    f"{part}_{edge}": _date(row[part][place])
                    for part in ("train", "test")
                    for place, edge in enumerate(("first", "last"))
                },
                "play": row["play"],
                "train_sharpe": row["train_sharpe"],
                "test_sharpe": sharpe_ratio(returns) * float(np.sqrt(a_year)),
                "test_return": float(np.prod(1.0 + returns) - 1.0),
                "trades": row["trades"],
                "random_test_sharpe": sharpe_ratio(np.array(other["returns"])) * float(np.sqrt(a_year)),
            }
        )
    write_table(bench.folder / "walk_forward.parquet", pa.Table.from_pylist(rows))
    days = {"date": [_date(day) for day in own.days], "return": own.returns, "random_return": drawn.returns}
    write_table(bench.folder / "walk_forward_days.parquet", pa.table(days))
    low, high = interval(own.returns, sharpe_ratio, repeats=_REPEATS, seed=bench.subject.spec.seed % 2**32)
    root = float(np.sqrt(a_year))
    return {
        "windows": len(rows),
        "days": int(own.days.size),
        "sharpe": own.sharpe,
        "sharpe_interval": [low * root, high * root],
        "total_return": own.total_return,
        "train_sharpe": own.train_sharpe,
        "efficiency": own.efficiency,
        "p": own.p,
    }


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(day))


def _holdout(subject: Subject) -> OutOfSample | None:
    """Return the test on the holdout, all its datasets together; the evaluation was counted when the study ended."""
    play = subject.champion
    if not subject.spec.holdout or play is None:
        return None
    days, returns, numbers = [], [], []
    for name in subject.spec.holdout:
        numbers.append(subject.report.holdout[name].evaluation or 1)
        feed = subject.plan.open_feed(name)
        run = _simulate(subject, feed)
        days.append(np.unique(feed.day[feed.start :]))
        returns.append(run.daily_returns)
    _, joined = mean_by_day(days, returns)
    a_year = max(subject.market(name).instrument.annualization for name in subject.spec.holdout)
    yearly = sharpe_ratio(joined) * float(np.sqrt(a_year))
    return OutOfSample("holdout", sharpe_p_value(joined), yearly, max(numbers))


def _simulate(subject: Subject, feed: Feed, *, record: bool = False) -> Simulation:
    spec = subject.spec
    assert subject.champion is not None
    return simulate(subject.champion, feed, costs=spec.costs, cash=spec.cash, policy=spec.policy, record=record)


def _robustness(bench: Bench) -> tuple[Document, Document | None, list[str]]:
    """Run the probes and the lottery, write ``probes.parquet``, and return a digest of both and the weaknesses."""
    subject = bench.subject
    report = subject.report.champion
    assert subject.champion is not None
    assert report is not None
    genes = [report.genes[gene.name] for gene in subject.plan.genome.genes]
    probes = run_probes(subject.experiment, subject.champion, genes, subject.markets, subject.spec.seed)
    table = probe_table(probes)
    write_table(bench.folder / "probes.parquet", pa.Table.from_pandas(table, preserve_index=False))
    weak = weaknesses(probes)
    feeds = {name: market.feed() for name, market in subject.markets.items()}
    runs = {name: (_simulate(subject, feed, record=True), feed) for name, feed in feeds.items()}
    drawn = lottery(runs, subject.spec.costs, subject.spec.seed)
    drawing = None
    if drawn is not None:
        drawing = {"p": drawn.p, "own": drawn.own, "mean": float(drawn.draws.mean()), "draws": int(drawn.draws.size)}
        if drawn.p > 0.05:
            share = f"{(drawn.p * (drawn.draws.size + 1) - 1) / drawn.draws.size:.0%}"
            weak = [*weak, f"{share} of random entries with its sides and holding times earned as much a trade"]
    return _digest(table), drawing, weak


def _digest(table: pd.DataFrame) -> Document:
    """Return the probes in a few numbers: costs and delays one by one, of the others the median."""
    document: Document = {}
    for kind, rows in table.groupby("kind", sort=False):
        if kind in ("costs", "delay", "start", "trades", "drawdown"):
            figure = "drawdown" if kind == "drawdown" else "total_return" if kind == "trades" else "sharpe"
            values = zip(rows["variant"], rows[figure], strict=True)
            document[str(kind)] = {variant: None if pd.isna(v) else float(v) for variant, v in values}
        else:
            quantiles = np.quantile(rows["sharpe"].to_numpy(np.float64), [0.1, 0.5, 0.9])
            document[str(kind)] = {"count": len(rows)} | dict(
                zip(("low", "median", "high"), quantiles.tolist(), strict=True)
            )
    return document


def _statistics(subject: Subject) -> list[Document]:
    """Return the usual statistics of the champion on each train dataset, for the exported table alone.

    Every one of them takes the champion, or the trials, for what they are not; docs/evidence.md says how each errs.
    """
    rows = []
    for line, name in zip(luck_lines(subject), subject.spec.train, strict=True):
        returns = _simulate(subject, subject.markets[name].feed()).daily_returns
        ratio, days = sharpe_ratio(returns), returns.size
        if ratio == 0.0:
            continue
        moments = {"skew": float(stats.skew(returns)), "kurtosis": float(stats.kurtosis(returns, fisher=False))}
        record = minimum_track_record(ratio, **moments)
        rows.append(
            {
                "dataset": name,
                "probabilistic_sharpe": probabilistic_sharpe(ratio, days, **moments),
                "deflated_sharpe": deflated_sharpe(
                    ratio, days, trials=line["trials"], variance=1 / (days - 1), **moments
                ),
                "minimum_track_record_days": None if np.isinf(record) else record,
            }
        )
    return rows


def sentence_of(document: Document) -> str:
    """Return the sentence of a verdict's document."""
    return str(document["sentence"])


def scores_of(document: Document) -> Sequence[float | None]:
    """Return the scores of the luck searches that count."""
    luck = document.get("luck")
    return [] if luck is None else luck["scores"]
