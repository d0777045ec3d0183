"""Findings of quality checks, including those over several bars."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from forge_core.market.quality import suspicious
from forge_core.market.quality.suspicious import Stretch
from forge_core.market.reference.timeframes import Timeframe

Severity = Literal["info", "warning", "error"]

_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One finding: ``count`` bars (or items of ``kind``), first at ``first``, described by ``text``."""

    kind: Literal[
        "unsound", "gaps", "duplicates", "idle", "stuck", "outliers", "contradiction", "stale", "funding",
        "repeated", "reversed", "level", "market",
    ]  # fmt: skip
    severity: Severity
    count: int
    text: str
    first: pd.Timestamp | None = None


def suspicious_stretches(
    bars: pd.DataFrame, timeframe: Timeframe, others: Mapping[str, pd.DataFrame]
) -> Iterator[Finding]:
    """Yield repeated, reversed and stuck stretches, breaks in level, and bars of another market.

    ``others``: by symbol, bars of the same timeframe of symbols with the same name at the source.
    """
    repeated = [
        (stretch, f"{_spelled(bars, stretch)} are those from {bars.index[source]:%Y-%m-%d %H:%M} again")
        for stretch, source in suspicious.repeated_blocks(bars)
    ]
    yield from _finding("repeated", bars, repeated, "a page of bars was stored twice, under other times")
    reverse = [(stretch, _spelled(bars, stretch)) for stretch in suspicious.reversed_blocks(bars)]
    yield from _finding("reversed", bars, reverse, "they open where the next bar closed, so they run from new to old")
    stuck = [(stretch, _spelled(bars, stretch)) for stretch in suspicious.stuck_blocks(bars)]
    yield from _finding("stuck", bars, stuck, "their prices are constant although there is volume: the feed was stuck")
    level = [
        ((k, k + 1), f"from {bars['close'].iloc[k - 1]:g} to {bars['open'].iloc[k]:g} at {bars.index[k]}")
        for k in suspicious.level_breaks(bars, timeframe).tolist()
    ]
    yield from _finding("level", bars, level, "the price steps between bars that follow each other")
    for symbol, other in others.items():
        same = [(stretch, _spelled(bars, stretch)) for stretch in suspicious.rows_of_another(bars, other)]
        yield from _finding("market", bars, same, f"they are the bars of {symbol}")
    breaks = suspicious.decimal_breaks(bars)
    both = {at for at, text in breaks if text.startswith("prices")} & {
        at for at, text in breaks if text.startswith("volumes")
    }
    for severity, chosen in (
        ("warning", [(at, text) for at, text in breaks if at in both]),
        ("info", [(at, text) for at, text in breaks if at not in both]),
    ):
        if chosen:
            listed = "; ".join(f"{text} ({bars.index[at]:%Y-%m-%d})" for at, text in chosen[:_SHOWN])
            yield Finding(
                kind="market",
                severity="warning" if severity == "warning" else "info",
                count=len(chosen),
                text=f"{listed}: another market, or another tick or lot of the same",
                first=bars.index[chosen[0][0]],
            )


def _finding(
    kind: Literal["repeated", "reversed", "stuck", "level", "market"],
    bars: pd.DataFrame,
    found: list[tuple[Stretch, str]],
    cause: str,
) -> Iterator[Finding]:
    if found:
        count = sum(end - first for (first, end), _ in found)
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        text = f"{'; '.join(text for _, text in found[:_SHOWN])}{more}: {cause}"
        yield Finding(kind=kind, severity="warning", count=count, text=text, first=bars.index[found[0][0][0]])


def _spelled(bars: pd.DataFrame, stretch: Stretch) -> str:
    first, end = stretch
    return f"{end - first} bars from {bars.index[first]:%Y-%m-%d %H:%M} to {bars.index[end - 1]:%Y-%m-%d %H:%M}"
