"""The verdict on a champion: luck, unconfirmed, fragile or confirmed. Never "proven"."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forge_core.evidence.searches.luck import LuckResult

LEVEL = 0.05

Word = Literal["none", "untested", "luck", "unconfirmed", "fragile", "confirmed"]
WARNINGS: tuple[Word, ...] = ("none", "untested", "luck", "unconfirmed", "fragile")


@dataclass(frozen=True)
class OutOfSample:
    """The test on days that were not searched: the stitched walk-forward, else the holdout.

    ``sharpe`` is yearly. ``evaluation`` is the number of the holdout evaluation: each further one has a smaller
    share of the 5 %, number N has 1 / (N (N + 1)).
    """

    source: Literal["walk-forward", "holdout"]
    p: float
    sharpe: float
    evaluation: int = 1

    @property
    def level(self) -> float:
        """The level that ``p`` is held against."""
        return LEVEL if self.source == "walk-forward" else LEVEL / (self.evaluation * (self.evaluation + 1))

    @property
    def holds(self) -> bool:
        """Whether the champion earns out of sample."""
        return self.p <= self.level


@dataclass(frozen=True)
class Verdict:
    """One ``word`` and the plain ``sentence`` that a person reads first."""

    word: Word
    sentence: str


def judge(luck: LuckResult | None, out_of_sample: OutOfSample | None, weaknesses: Sequence[str]) -> Verdict:
    """Return the verdict: luck decides first, then what was earned out of sample, then the probes."""
    if luck is None:
        return Verdict("untested", "Untested: no luck test was run, so this may be luck.")
    markets = f"{luck.searches} market{'s' * (luck.searches != 1)} without memory"
    if luck.p > LEVEL:
        times = "once" if luck.as_good == 1 else f"{luck.as_good} times"
        found = f"found a Play as good {times}" if luck.as_good else "found none as good, which are too few to tell"
        return Verdict("luck", f"Luck: in {markets} the same search {found} (p = {luck.p:.2f}).")
    better = f"in {markets} the same search found " + (
        "none as good" if luck.as_good == 0 else f"one as good {luck.as_good} times"
    )
    better += f" (p = {luck.p:.2f})"
    if out_of_sample is None:
        return Verdict("unconfirmed", f"Unconfirmed: {better}, but it was not tried on days that were not searched.")
    source = (
        "the walk-forward"
        if out_of_sample.source == "walk-forward"
        else f"evaluation {out_of_sample.evaluation} on the holdout"
    )
    earned = f"{source} has a Sharpe ratio of {out_of_sample.sharpe:.2f} (p = {out_of_sample.p:.2g})"
    if not out_of_sample.holds:
        return Verdict("unconfirmed", f"Unconfirmed: {better}, but {earned}, which may be nothing.")
    if weaknesses:
        return Verdict("fragile", f"Fragile: {better}, and {earned}, but {weaknesses[0]}.")
    return Verdict("confirmed", f"Confirmed: {better}, and {earned}; no probe turns it to a loss.")
