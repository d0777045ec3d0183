"""Data of the evidence section of a report: the verdict, its tables, and what its pictures draw."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from forge_core.evidence.verdict.document import Evidence
from forge_core.evidence.verdict.tables import PROBES, WALK_FORWARD, WALK_FORWARD_DAYS
from forge_core.evidence.verdict.text import evidence_lines, read_verdict, verdict_path
from forge_core.files import read_table
from forge_core.paths import Home


@dataclass(frozen=True)
class EvidenceSection:
    """What a report shows of a verdict.

    ``lines``: what the ``evidence.sentence`` rests on, in words. ``luck_scores``: those of the luck searches that found
    anything, to be drawn as a histogram with ``score``, the study's own, both in units of ``score_is``.
    ``equity``: growth of 1 over the days of the walk-forward, which were not searched, for ``champions`` and for
    ``random`` Plays, with a DatetimeIndex; None without a walk-forward. ``windows``: its windows, a row each.
    ``probes``: columns kind, variant, sharpe, total_return, trades, drawdown.
    """

    evidence: Evidence
    lines: Sequence[str]
    luck_scores: Sequence[float]
    score: float | None
    score_is: str
    equity: pd.DataFrame | None = field(repr=False)
    windows: pd.DataFrame | None = field(repr=False)
    probes: pd.DataFrame | None = field(repr=False)


def evidence_section(study: str, home: Home | None = None) -> EvidenceSection | None:
    """Return the evidence of a study for a report; None for a study without a verdict."""
    home = home or Home.current()
    evidence = read_verdict(study, home)
    if evidence is None:
        return None
    folder = verdict_path(study, home).parent
    equity = windows = None
    if evidence.walk_forward is not None:
        days = read_table(folder / WALK_FORWARD_DAYS).to_pandas()
        index = pd.DatetimeIndex(pd.to_datetime(days["date"]), tz="UTC", name="date")
        growth = (1.0 + days[["return", "random_return"]]).cumprod().set_axis(["champions", "random"], axis=1)
        equity = growth.set_index(index)
        windows = read_table(folder / WALK_FORWARD).to_pandas()
    scores = () if evidence.luck is None else evidence.luck.scores
    return EvidenceSection(
        evidence=evidence,
        lines=evidence_lines(evidence),
        luck_scores=[score for score in scores if score is not None],
        score=evidence.score,
        score_is=evidence.score_is,
        equity=equity,
        windows=windows,
        probes=read_table(folder / PROBES).to_pandas() if evidence.probes else None,
    )
