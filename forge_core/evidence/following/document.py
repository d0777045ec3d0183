"""Document of a forward test, the content of ``forward.json``, and its days."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

FORMAT = 1
"""Of ``forward.json``; a document of another format does not count."""

State = Literal["waiting", "no promise", "open", "earns as promised", "dead"]


class Expected(BaseModel):
    """Growth of 1 after the last day that 90 % of the paths of the promise lie within, and the ``share`` of them that
    lie below the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    median: float
    high: float
    share: float

    @property
    def place(self) -> str:
        """Where the champion is: below, within or above the cone."""
        return "below" if self.share < 0.05 else "above" if self.share > 0.95 else "within"


class Forward(BaseModel):
    """A champion on the days after everything its study saw (``after``): ``state`` of the e-process, and the cone.

    ``evaluation``: number of the forward evaluation of this champion; one on the same days keeps its number.
    ``promise`` (``sharpe`` a year): what it earned out of sample, by the ``source``. ``log_e``: logarithm of the
    e-process after the last day. ``expected_days``: how many days it takes to tell either way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    study: str
    manifest_hash: str
    play: str
    after: date
    symbols: tuple[str, ...]
    state: State
    sentence: str
    evaluation: int = 0
    source: str | None = None
    promise: float | None = None
    days: int = 0
    first: date | None = None
    last: date | None = None
    trades: int = 0
    total_return: float | None = None
    sharpe: float | None = None
    log_e: float | None = None
    decided_on: date | None = None
    expected_days: int | None = None
    expected: Expected | None = None

    @property
    def behaves(self) -> bool:
        """Whether nothing says that it no longer behaves as found."""
        return self.state != "dead" and (self.expected is None or self.expected.place != "below")

    def document(self) -> dict[str, Any]:
        """Return the forward test as ``forward.json`` stores it."""
        return self.model_dump(mode="json")

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self | None:
        """Return the forward test of a ``document``; None for one of another format."""
        return cls.model_validate(document) if document.get("format") == FORMAT else None
