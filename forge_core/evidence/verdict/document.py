"""Document of a study's evidence: the content of ``verdict.json``, typed."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from forge_core.evidence.verdict.judge import Word
from forge_core.evolution.spec.evidence import EvidenceSpec

FORMAT = 2
"""Of ``verdict.json``; a document of another format does not count, and ``make prove`` writes it again."""

ProbeKind = Literal["costs", "delay", "start", "noise", "neighbour", "trades", "drawdown"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LuckEvidence(_Part):
    """The luck test: ``searches`` that count of those ``planned``, how many were ``as_good``, and their ``scores`` in
    order (None: nothing was feasible) with mean and standard ``deviation``."""

    p: float
    planned: int
    searches: int
    as_good: int
    stopped: bool
    scores: tuple[float | None, ...]
    mean: float | None
    deviation: float | None


class LuckLine(_Part):
    """Sharpe ratio a year that the best of ``trials`` Plays has by luck over ``days``, and the champion's."""

    dataset: str
    trials: int
    days: int
    sharpe: float
    champion: float | None


class WalkForwardEvidence(_Part):
    """The stitched walk-forward. Sharpe ratios are yearly; ``sharpe_interval``: 95 %, stationary bootstrap."""

    windows: int
    days: int
    sharpe: float
    sharpe_interval: tuple[float, float]
    total_return: float
    train_sharpe: float | None
    efficiency: float | None
    p: float


class HoldoutEvidence(_Part):
    """The champion on the holdout: ``p`` is compared with ``level``, the share of the 5 % of this ``evaluation``."""

    p: float
    level: float
    sharpe: float
    evaluation: int


class RandomSearchEvidence(_Part):
    """Random search of equal intensity: its score on train and its Sharpe ratio a year in the walk-forward."""

    score: float | None
    walk_forward_sharpe: float | None


class LotteryEvidence(_Part):
    """Lottery trading: the champion's mean return of a trade (``own``) and that of all ``draws``."""

    p: float
    own: float
    mean: float
    draws: int


class ChampionStatistics(_Part):
    """Usual statistics of the champion on one train dataset; docs/evidence.md says how each of them errs."""

    dataset: str
    probabilistic_sharpe: float
    deflated_sharpe: float
    minimum_track_record_days: float | None


class Evidence(_Part):
    """All evidence of a study: the verdict first, then what it rests on. A part that was left out is None or empty.

    ``score_is`` names the ``score``: the one objective, or the hypervolume. ``probes``: by kind, figures by variant, or
    count and quantiles of the Sharpe ratio.
    """

    format: int = FORMAT
    study: str
    manifest_hash: str
    play: str | None
    evidence: EvidenceSpec
    verdict: Word
    sentence: str
    score: float | None = None
    score_is: str = ""
    luck: LuckEvidence | None = None
    luck_lines: tuple[LuckLine, ...] = ()
    walk_forward: WalkForwardEvidence | None = None
    holdout: HoldoutEvidence | None = None
    random_search: RandomSearchEvidence | None = None
    lottery: LotteryEvidence | None = None
    probes: Mapping[ProbeKind, Mapping[str, float | None]] = {}
    weaknesses: tuple[str, ...] = ()
    statistics: tuple[ChampionStatistics, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the evidence as ``verdict.json`` stores it."""
        return self.model_dump(mode="json")

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self | None:
        """Return the evidence of a ``document``; None for one of another format."""
        return cls.model_validate(document) if document.get("format") == FORMAT else None
