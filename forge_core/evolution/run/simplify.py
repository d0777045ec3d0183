"""Simplification of Plays: parts whose removal changes no trade are left out; near-twins of a front."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from forge_core.engine.simulate import Simulation, simulate
from forge_core.engine.terms import Terms
from forge_core.errors import PlayError
from forge_core.feeds.feed import Feed
from forge_core.plays.describe import describe_rule
from forge_core.plays.model import Group, Play, Risk
from forge_core.plays.rules import play_columns
from forge_core.plays.validation import check_play

TWIN_SHARE = 0.9
"""Two Plays of a front are near-twins if this share of the trades of the one with more is common to both."""

Side = Literal["long", "short"]
Part = TypeVar("Part", Play, Risk)
Entries = frozenset[tuple[str, int, int, int]]  # dataset, entry time, exit time and side of each trade
_SIDES: tuple[Side, ...] = ("short", "long")
_LEVELS = ("stop", "take_profit", "trailing", "max_bars", "cooldown")


@dataclass(frozen=True)
class Simplified:
    """A Play without its idle parts, a text for each part that was left out, and the trades on the feeds."""

    play: Play
    removed: tuple[str, ...]
    trades: Entries
    backtests: int


def simplify(play: Play, feeds: Mapping[str, Feed], terms: Terms) -> Simplified:
    """Return ``play`` without the sides, exits, levels, rules and features that change no trade on ``feeds``.

    The result has the same trades and metrics as ``play`` on every feed, to the last bit, and no single further part
    can be removed without a change. Parts are tried in a fixed order: sides, exit rules, levels, rules (last first).
    """
    before = {name: simulate(play, feed, **terms, record=True) for name, feed in feeds.items()}
    backtests, removed, progress = len(before), [], True
    while progress:
        progress, needed = False, set[str]()
        while found := next((each for each in _candidates(play) if each[0] not in needed), None):
            part, candidate = found
            same, runs = _trades_same(candidate, feeds, terms, before)
            backtests += runs
            if same:
                play, progress = candidate, True
                removed.append(part)
            else:
                needed.add(part)
    read = {(column.name, column.params, column.timeframe) for column in play_columns(play)}
    features = {n: f for n, f in play.features.items() if (f.name, f.params, f.timeframe) in read}
    removed += [f"feature {name}" for name in play.features if name not in features]
    return Simplified(replace(play, features=features), tuple(removed), _entries(before), backtests)


def simplify_all(plays: Sequence[Play], feeds: Mapping[str, Feed], terms: Terms, threads: int = 1) -> list[Simplified]:
    """Simplify several Plays on ``threads`` threads; the results are in the Plays' order."""
    with ThreadPoolExecutor(threads, "simplify") as pool:
        return list(pool.map(lambda play: simplify(play, feeds, terms), plays))


def near_twins(trades: Sequence[Entries], first: int = 0, share: float = TWIN_SHARE) -> list[int]:
    """Return for each Play the position of the Play that it is shown with: its own, or that of an earlier near-twin.

    ``first`` is looked at before the others, so that it is always shown. A trade is common to two Plays if dataset,
    entry, exit and side are equal.
    """
    leaders: list[int] = []
    found = list(range(len(trades)))
    for position in (first, *(number for number in found if number != first)) if trades else ():
        mine = trades[position]
        for leader in leaders:
            most = max(len(mine), len(trades[leader]))
            if len(mine & trades[leader]) >= share * most:
                found[position] = leader
                break
        else:
            leaders.append(position)
    return found


def _trades_same(
    candidate: Play, feeds: Mapping[str, Feed], terms: Terms, before: Mapping[str, Simulation]
) -> tuple[bool, int]:
    """Return whether a Play has the trades and metrics of ``before`` on every feed, and the number of backtests."""
    try:
        check_play(candidate)
    except PlayError:  # no way out, or never entered
        return False, 0
    runs = 0
    for record in (False, True):  # most candidates differ in a metric, which is cheaper to find
        for name, feed in feeds.items():
            result, expected = simulate(candidate, feed, **terms, record=record), before[name]
            runs += 1
            if not np.array_equal(result.metrics, expected.metrics, equal_nan=True):
                return False, runs
            if record and _bytes(result) != _bytes(expected):
                return False, runs
    return True, runs


def _bytes(result: Simulation) -> bytes:
    assert result.trades is not None
    return result.trades.tobytes()


def _entries(results: Mapping[str, Simulation]) -> Entries:
    return frozenset(
        (name, int(entry), int(leave), int(side))
        for name, result in results.items()
        if result.trades is not None
        for entry, leave, side in zip(*(result.trades[key] for key in ("entry_time", "exit_time", "side")), strict=True)
    )


def _candidates(play: Play) -> Iterator[tuple[str, Play]]:
    """Yield each part that may be idle, as text, with the Play without it."""
    for side in _SIDES:
        if (group := getattr(play, f"entry_{side}")) is not None:
            text = f"entry.{side}: {describe_rule(group, play.timeframe)}"
            yield text, _changed(play, {f"entry_{side}": None, f"exit_{side}": None})
    for side in _SIDES:
        if (group := getattr(play, f"exit_{side}")) is not None:
            yield f"exit.{side}: {describe_rule(group, play.timeframe)}", _changed(play, {f"exit_{side}": None})
    plain = Risk()
    for level in _LEVELS:
        if getattr(play.risk, level) != getattr(plain, level):
            yield f"risk.{level}", replace(play, risk=_changed(play.risk, {level: getattr(plain, level)}))
    for kind in ("exit", "entry"):
        for side in _SIDES:
            if (group := getattr(play, f"{kind}_{side}")) is not None:
                for text, smaller in _smaller(group, play.timeframe):
                    yield f"{kind}.{side}: {text}", _changed(play, {f"{kind}_{side}": smaller})


def _changed(part: Part, changes: Mapping[str, Any]) -> Part:
    return replace(part, **changes)


def _smaller(group: Group, timeframe: str) -> Iterator[tuple[str, Group]]:
    """Yield the group without each of its rules, the last first, and with smaller inner groups."""
    count = len(group.rules)
    for index in reversed(range(count)):
        rule, others = group.rules[index], (*group.rules[:index], *group.rules[index + 1 :])
        if others:
            text = describe_rule(rule, timeframe)
            if group.at_least == count:
                yield text, Group(count - 1, others)
            else:
                yield text, Group(min(group.at_least, count - 1), others)
                if group.at_least > 1:
                    yield f"{text} (of which {group.at_least} are needed)", Group(group.at_least - 1, others)
        if isinstance(rule, Group):
            for text, inner in _smaller(rule, timeframe):
                part = inner.rules[0] if len(inner.rules) == 1 else inner
                yield text, replace(group, rules=(*group.rules[:index], part, *group.rules[index + 1 :]))
