"""Probes and controls of a study's champion together: their figures, and the weaknesses they show."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from forge_core.evidence.robustness.lottery import LotteryResult, lottery
from forge_core.evidence.robustness.probes import probe_table, run_probes, weaknesses
from forge_core.evidence.searches.subject import Subject

LEVEL = 0.05
"""Share of random entries that may do as well as the champion."""

ProbeFigures = dict[str, dict[str, float | None]]
_ONE_BY_ONE = {
    "costs": "sharpe",
    "delay": "sharpe",
    "start": "sharpe",
    "trades": "total_return",
    "drawdown": "drawdown",
}


@dataclass(frozen=True)
class Robustness:
    """All probes as a ``table`` and in a few ``figures``, the ``lottery`` (None: never traded), and ``weaknesses``."""

    table: pd.DataFrame
    figures: ProbeFigures
    lottery: LotteryResult | None
    weaknesses: list[str]


def examine(subject: Subject) -> Robustness:
    """Run all probes and the lottery on the champion of a study."""
    report = subject.report.champion
    assert subject.champion is not None
    assert report is not None
    genes = [report.genes[gene.name] for gene in subject.plan.genome.genes]
    probes = run_probes(subject.experiment, subject.champion, genes, subject.markets, subject.spec.seed)
    table = probe_table(probes)
    feeds = {name: market.feed() for name, market in subject.markets.items()}
    runs = {name: (subject.simulate(feed, record=True), feed) for name, feed in feeds.items()}
    drawn = lottery(runs, subject.spec.costs, subject.spec.seed)
    found = weaknesses(probes)
    if drawn is not None:
        found += lottery_weaknesses(drawn)
    return Robustness(table, _figures(table), drawn, found)


def lottery_weaknesses(drawn: LotteryResult) -> list[str]:
    """Return in words that random entries do as well as the champion, if more than 5 % do."""
    if drawn.p <= LEVEL:
        return []
    share = float((drawn.draws >= drawn.own).mean())
    return [f"{share:.0%} of random entries with its sides and holding times earned as much a trade"]


def random_search_weaknesses(
    score: float | None, drawn: float | None, sharpe: float | None, drawn_sharpe: float | None
) -> list[str]:
    """Return in words that drawing Plays at random does as well as evolving them.

    ``score`` and ``drawn`` are those on train, ``sharpe`` and ``drawn_sharpe`` those of the walk-forward (None without
    one): drawing has to be as good in all of them that there are.
    """
    if score is None or drawn is None or drawn < score:
        return []
    if sharpe is None or drawn_sharpe is None:
        return [f"as many Plays drawn at random found one as good in training ({drawn:.3g})"]
    if drawn_sharpe < sharpe:
        return []
    return [f"as many Plays drawn at random did as well, in training ({drawn:.3g}) and after it ({drawn_sharpe:.2f})"]


def _figures(table: pd.DataFrame) -> ProbeFigures:
    """Return the probes in a few numbers: costs and delays one by one, of the others the quantiles."""
    figures: ProbeFigures = {}
    for kind, rows in table.groupby("kind", sort=False):
        column = _ONE_BY_ONE.get(cast(str, kind))
        if column is not None:
            values = zip(rows["variant"], rows[column], strict=True)
            figures[str(kind)] = {variant: None if pd.isna(v) else float(v) for variant, v in values}
        else:
            quantiles = np.quantile(rows["sharpe"].to_numpy(np.float64), [0.1, 0.5, 0.9])
            low, median, high = quantiles.tolist()
            figures[str(kind)] = {"count": len(rows), "low": low, "median": median, "high": high}
    return figures
