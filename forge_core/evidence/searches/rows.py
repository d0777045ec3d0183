"""Rows that searches of evidence leave behind, one file each."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

FORMAT = 1
"""Format of the rows. Raise it with every change of their values, so that older rows are computed again."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SearchRow(_Row):
    """A whole search: its score, and its champion's hash and objectives (None and empty: nothing was feasible)."""

    score: float | None
    play: str | None
    objectives: tuple[float, ...]
    evaluated: int


class WindowRow(_Row):
    """A walk-forward window: trade dates searched and traded (first and last), its champion, and what that earned."""

    train: tuple[int, int]
    test: tuple[int, int]
    play: str | None
    train_sharpe: float | None
    trades: int
    days: tuple[int, ...]
    returns: tuple[float, ...]


Row = SearchRow | WindowRow


def row_document(row: Row, manifest_hash: str) -> dict[str, Any]:
    """Return a row as its file stores it."""
    return {"format": FORMAT, "manifest_hash": manifest_hash, **row.model_dump(mode="json")}


def read_row(document: Mapping[str, Any], manifest_hash: str) -> Row | None:
    """Return the row of a ``document``; None if it was written for another study or by an older Forge."""
    if (document["format"], document["manifest_hash"]) != (FORMAT, manifest_hash):
        return None
    content = {key: value for key, value in document.items() if key not in ("format", "manifest_hash")}
    return WindowRow.model_validate(content) if "returns" in content else SearchRow.model_validate(content)
