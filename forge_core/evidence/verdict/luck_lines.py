"""Luck line and usual statistics of a champion on its train datasets."""

import numpy as np

from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.trials import trading_trials
from forge_core.evidence.statistics.sharpe import (
    deflated_sharpe,
    luck_line,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_ratio,
    skew_and_kurtosis,
)
from forge_core.evidence.verdict.document import ChampionStatistics, LuckLine


def luck_lines(subject: Subject) -> list[LuckLine]:
    """Return for each train dataset the Sharpe ratio a year that the best of all Plays tried on it has by luck, and the
    champion's."""
    lines = []
    for name in subject.spec.train:
        market = subject.markets[name]
        days, a_year = market.days.size, market.instrument.annualization
        trials = trading_trials(subject.plan.manifest["datasets"][name]["hash"], subject.plan.home)
        found = subject.report.champion
        champion = None if found is None else found.train[name].metrics["sharpe"]
        line = luck_line(trials, days) * float(np.sqrt(a_year))
        lines.append(LuckLine(dataset=name, trials=trials, days=days, sharpe=line, champion=champion))
    return lines


def champion_statistics(subject: Subject, lines: list[LuckLine]) -> list[ChampionStatistics]:
    """Return the usual statistics of the champion on each train dataset, for the exported table alone.

    Every one of them takes the champion, or the trials, for what they are not; docs/evidence.md says how each errs.
    """
    rows = []
    for line in lines:
        returns = subject.simulate(subject.markets[line.dataset].feed()).daily_returns
        ratio, days = sharpe_ratio(returns), returns.size
        if ratio == 0.0:
            continue
        moments = dict(zip(("skew", "kurtosis"), skew_and_kurtosis(returns), strict=True))
        record = minimum_track_record(ratio, **moments)
        deflated = deflated_sharpe(ratio, days, trials=line.trials, variance=1 / (days - 1), **moments)
        rows.append(
            ChampionStatistics(
                dataset=line.dataset,
                probabilistic_sharpe=probabilistic_sharpe(ratio, days, **moments),
                deflated_sharpe=deflated,
                minimum_track_record_days=None if np.isinf(record) else record,
            )
        )
    return rows
