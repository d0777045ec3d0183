"""What a champion promised: its days out of sample, never those it was chosen on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forge_core.evidence.searches.holdout import holdout_days
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.verdict.section import evidence_section


@dataclass(frozen=True)
class Promise:
    """Daily ``returns`` out of sample and their ``sharpe`` ratio a year."""

    source: Literal["walk-forward", "holdout"]
    returns: NDArray[np.float64]
    sharpe: float

    @property
    def holds(self) -> bool:
        """Whether it earned anything, so that there is something to keep."""
        return self.sharpe > 0.0


def promise_of(subject: Subject) -> Promise | None:
    """Return the walk-forward of the study's verdict, else the champion's holdout; None without either."""
    section = evidence_section(subject.spec.name, subject.plan.home)
    if section is not None and section.evidence.walk_forward is not None and section.equity is not None:
        growth = np.concatenate([[1.0], section.equity["champions"].to_numpy()])
        return Promise("walk-forward", growth[1:] / growth[:-1] - 1.0, section.evidence.walk_forward.sharpe)
    held = holdout_days(subject)
    return None if held is None else Promise("holdout", held.returns, held.sharpe)
