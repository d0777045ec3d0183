"""Plays one step away from a Play: each with one number changed."""

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef, Number
from forge_core.features.registry import get_feature
from forge_core.plays.canonical import play_hash
from forge_core.plays.describe import describe_column, describe_rule
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend
from forge_core.plays.parser import parse_play, play_to_dict
from forge_core.plays.rules import columns

_SHARE = 0.2  # step of a number without a grid

Numbered = tuple[str, tuple[tuple[str, Number], ...], str]


def neighbours(play: Play) -> Iterator[tuple[str, Play]]:
    """Yield each valid Play with one number of ``play`` one step lower or higher, and what was changed.

    Parameters of features move along their search grids, constants in rules along the column's thresholds, streaks by
    a bar, everything else by 20 %. A feature changes in all rules that read it. Each distinct Play is yielded once.
    """
    seen = {play_hash(play)}
    for label, changed in _changes(play):
        try:
            valid = parse_play(play_to_dict(replace(changed, features={})))
        except PlayError:
            continue
        name = play_hash(valid)
        if name not in seen:
            seen.add(name)
            yield label, valid


def _changes(play: Play) -> Iterator[tuple[str, Play]]:
    for base, reference in _features(play).items():
        for key, value in base[1]:
            for other in _steps(value, _grid(base[0], key), whole=isinstance(value, int)):
                yield (
                    f"{describe_column(reference, play.timeframe)}: {key} {value:g} to {other:g}",
                    _mapped(play, _with_parameter(base, key, other)),
                )
    for place, rule in _rules(play):
        for text, other_rule in _rule_steps(rule):
            yield (
                f"{describe_rule(rule, play.timeframe)}: {text}",
                _with_rule(play, place, other_rule),
            )
    for name in ("stop", "take_profit", "trailing"):
        distance: Distance | None = getattr(play.risk, name)
        if distance is not None:
            for value in _steps(distance.value, (), whole=False):
                changes: dict[str, Any] = {name: replace(distance, value=value)}
                risk = replace(play.risk, **changes)
                yield f"{name}: {distance.value:g} to {value:g} {distance.kind}", replace(play, risk=risk)
    if play.risk.max_bars is not None:
        for bars in _steps(play.risk.max_bars, (), whole=True):
            yield (
                f"max_bars: {play.risk.max_bars} to {bars}",
                replace(play, risk=replace(play.risk, max_bars=int(bars))),
            )


def _features(play: Play) -> dict[Numbered, FeatureRef]:
    groups = (play.entry_long, play.entry_short, play.exit_long, play.exit_short)
    references = [reference for group in groups if group is not None for reference in columns(group)]
    return {(reference.name, reference.params, reference.timeframe): reference for reference in references}


def _grid(feature: str, key: str) -> Sequence[Number]:
    return next(parameter.grid for parameter in get_feature(feature).parameters if parameter.name == key)


def _steps(value: Number, grid: Sequence[Number], *, whole: bool) -> list[Number]:
    """Return the nearest lower and higher values of the grid; without one, 20 % less and more (whole: at least 1)."""
    if grid:
        below, above = bisect.bisect_left(grid, value), bisect.bisect_right(grid, value)
        return [grid[place] for place in (below - 1, above) if 0 <= place < len(grid)]
    if not value:
        return []
    if whole:
        step = max(1, round(abs(value) * _SHARE))
        return [int(value) - step, int(value) + step]
    return [value * (1 - _SHARE), value * (1 + _SHARE)]


def _rule_steps(rule: Compare | Trend) -> Iterator[tuple[str, Compare | Trend]]:
    if isinstance(rule, Trend):
        for bars in (rule.bars - 1, rule.bars + 1):
            yield f"{rule.bars} to {bars} bars", replace(rule, bars=bars)
    elif not isinstance(rule.right, FeatureRef):
        definition = get_feature(rule.left.name)
        thresholds = definition.output(rule.left.output).thresholds
        for value in _steps(rule.right, thresholds, whole=False):
            yield f"{rule.right:g} to {value:g}", replace(rule, right=float(value))


def _rules(play: Play) -> Iterator[tuple[tuple[str, tuple[int, ...]], Compare | Trend]]:
    for side in ("entry_long", "entry_short", "exit_long", "exit_short"):
        group: Group | None = getattr(play, side)
        if group is not None:
            for path, rule in _leaves(group, ()):
                yield (side, path), rule


def _leaves(group: Group, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Compare | Trend]]:
    for number, rule in enumerate(group.rules):
        if isinstance(rule, Group):
            yield from _leaves(rule, (*path, number))
        else:
            yield (*path, number), rule


def _with_rule(play: Play, place: tuple[str, tuple[int, ...]], rule: Rule) -> Play:
    side, path = place

    def changed(group: Group, rest: tuple[int, ...]) -> Group:
        inner = group.rules[rest[0]]
        if len(rest) > 1:
            assert isinstance(inner, Group)
            new: Rule = changed(inner, rest[1:])
        else:
            new = rule
        return replace(group, rules=(*group.rules[: rest[0]], new, *group.rules[rest[0] + 1 :]))

    changes: dict[str, Any] = {side: changed(getattr(play, side), path)}
    return replace(play, **changes)


def _with_parameter(base: Numbered, key: str, value: Number) -> Callable[[FeatureRef], FeatureRef]:
    params = tuple((name, value if name == key else own) for name, own in base[1])

    def change(reference: FeatureRef) -> FeatureRef:
        if (reference.name, reference.params, reference.timeframe) != base:
            return reference
        return replace(reference, params=params)

    return change


def _mapped(play: Play, change: Callable[[FeatureRef], FeatureRef]) -> Play:
    def mapped(rule: Rule) -> Rule:
        if isinstance(rule, Group):
            return replace(rule, rules=tuple(mapped(inner) for inner in rule.rules))
        if isinstance(rule, Trend):
            return replace(rule, feature=change(rule.feature))
        right = change(rule.right) if isinstance(rule.right, FeatureRef) else rule.right
        return replace(rule, left=change(rule.left), right=right)

    sides: dict[str, Any] = {}
    for side in ("entry_long", "entry_short", "exit_long", "exit_short"):
        group = getattr(play, side)
        sides[side] = None if group is None else mapped(group)
    return replace(play, **sides)
