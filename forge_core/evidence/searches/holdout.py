"""Daily returns of a study's champion on its holdout, all datasets together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.walk_forward import mean_by_day
from forge_core.evidence.statistics.sharpe import sharpe_ratio


@dataclass(frozen=True)
class HoldoutDays:
    """Daily ``returns`` by trade date, ``annualization`` of them a year, and the number of the holdout evaluation, the
    highest where there are several datasets."""

    days: NDArray[np.int64]
    returns: NDArray[np.float64]
    annualization: int
    evaluation: int

    @property
    def sharpe(self) -> float:
        """The Sharpe ratio a year."""
        return sharpe_ratio(self.returns) * float(np.sqrt(self.annualization))


def holdout_days(subject: Subject) -> HoldoutDays | None:
    """Return the champion's days on the holdout, whose evaluation was counted when the study ended; None without a
    holdout or a champion."""
    if not subject.spec.holdout or subject.champion is None:
        return None
    days, returns, numbers = [], [], []
    for name in subject.spec.holdout:
        numbers.append(subject.report.holdout[name].evaluation or 1)
        feed = subject.plan.open_feed(name)
        days.append(np.unique(feed.day[feed.start :]))
        returns.append(subject.simulate(feed).daily_returns)
    a_year = max(subject.market(name).instrument.annualization for name in subject.spec.holdout)
    return HoldoutDays(*mean_by_day(days, returns), a_year, max(numbers))
