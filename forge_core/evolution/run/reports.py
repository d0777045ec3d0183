"""Reports of a study: its front, its champion and the champion's figures on each dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from forge_core.engine.fill_rules import STRICT


@dataclass(frozen=True)
class FrontReport:
    """Size of a Pareto front and its candidate for champion, or the reason for an empty front."""

    study: str
    front_size: int
    play: str | None
    reason: str | None


@dataclass(frozen=True)
class DatasetFigures:
    """Figures of a Play on one dataset. ``evaluation`` (the number of the holdout evaluation), ``relation`` and
    ``failure`` are those of a holdout dataset."""

    metrics: Mapping[str, float | None]
    undefined: Mapping[str, str]
    buy_and_hold: float | None
    evaluation: int | None = None
    relation: str | None = None
    failure: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the figures as ``champion.json`` stores them."""
        document: dict[str, Any] = {
            "metrics": self.metrics,
            "undefined": self.undefined,
            "buy_and_hold": self.buy_and_hold,
        }
        if self.evaluation is not None:
            document |= {"look": self.evaluation, "relation": self.relation}
        return document | ({"failure": self.failure} if self.failure else {})

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the figures of a ``document``."""
        return cls(
            document["metrics"],
            document["undefined"],
            document.get("buy_and_hold"),
            document.get("look"),
            document.get("relation"),
            document.get("failure"),
        )


@dataclass(frozen=True)
class Champion:
    """The champion of a study: hash of the Play as it was evolved, objectives, genes, and figures by dataset.

    ``yaml`` is the Play as it is shown and evaluated on the holdout, without the parts ``removed`` that change no trade
    on train; ``shown`` is its hash.
    """

    play: str
    id: str
    yaml: str
    objectives: Mapping[str, float]
    genes: Mapping[str, int]
    train: Mapping[str, DatasetFigures]
    holdout: Mapping[str, DatasetFigures]
    shown: str = ""
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChampionReport:
    """Content of ``champion.json``; ``champion`` is None where no Play met every constraint, for the ``reason``.

    ``distinct`` counts the Plays of the front without near-twins.
    """

    study: str
    manifest_hash: str
    front_size: int
    chosen_by: str
    champion: Champion | None
    reason: str | None = None
    distinct: int | None = None

    @property
    def play(self) -> str | None:
        """The hash of the champion's Play, None without a champion."""
        return None if self.champion is None else self.champion.play

    @property
    def holdout(self) -> Mapping[str, DatasetFigures]:
        """The champion's figures by holdout dataset; empty without a champion."""
        return {} if self.champion is None else self.champion.holdout

    def document(self) -> dict[str, Any]:
        """Return the report as ``champion.json`` stores it."""
        document: dict[str, Any] = {
            "study": self.study,
            "manifest_hash": self.manifest_hash,
            "front_size": self.front_size,
            "chosen_by": self.chosen_by,
            "distinct": self.distinct,
        }
        if self.champion is None:
            return document | {"play": None, "reason": self.reason}
        figures = {
            part: {name: figures.document() for name, figures in getattr(self.champion, part).items()}
            for part in ("train", "holdout")
        }
        return document | vars(self.champion) | {"removed": list(self.champion.removed)} | figures

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the report of a ``document``."""
        champion = None
        if document["play"] is not None:
            train, holdout = (
                {name: DatasetFigures.read(figures) for name, figures in document[part].items()}
                for part in ("train", "holdout")
            )
            champion = Champion(
                **{key: document[key] for key in ("play", "id", "yaml", "objectives", "genes")},
                train=train,
                holdout=holdout,
                shown=document.get("shown", ""),
                removed=tuple(document.get("removed", ())),
            )
        return cls(
            document["study"],
            document["manifest_hash"],
            document["front_size"],
            document["chosen_by"],
            champion,
            document.get("reason"),
            document.get("distinct"),
        )


@dataclass(frozen=True)
class StudyStatus:
    """Progress of a study: ``generation`` of ``generations`` that every island has done, ``islands`` with the last
    generation of each, ``fills`` (label of the fill rules), and by dataset with a newer version than the study's its
    pinned and its latest hash."""

    study: str
    state: str  # ``not started``, ``under way`` or ``complete``
    generations: int
    islands: list[int]
    champion: ChampionReport | None = None
    fills: str = STRICT.label
    newer: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def generation(self) -> int:
        """The last generation that every island has done."""
        return min(self.islands)
