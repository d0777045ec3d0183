"""Semantic checks of a Play: comparable scales, no constant rules, an exit for each side entered."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from forge_core.configuration import validate_model
from forge_core.errors import ConfigError, PlayError
from forge_core.features.order import column_order, difference_of
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import column_scale, get_feature, make_reference
from forge_core.features.scale import Scale
from forge_core.features.transforms import STREAK
from forge_core.market.reference.timeframes import Timeframe
from forge_core.plays.constant import constant_result
from forge_core.plays.describe import describe_column, describe_rule
from forge_core.plays.model import Compare, Comparison, Group, Play, Rule, Trend
from forge_core.plays.rules import columns
from forge_core.plays.schema import (
    MAX_DEPTH,
    MAX_RULES,
    MAX_STREAK,
    MAX_WARMUP,
    RiskShape,
    WhenShape,
    check_feature_name,
)
from forge_core.plays.writer import risk_to_dict, when_to_dict

Place = tuple[str | int, ...]
"""Position in a Play: ``("entry", "long", 0, 1)`` is the second rule of the first rule (a group) of the long entry."""


class _Issue(NamedTuple):
    place: Place
    message: str
    rule: Rule | None = None


def check_play(play: Play, places: Mapping[Place, str] | None = None) -> None:
    """Raise PlayError, one line per error, unless ``play`` is valid.

    ``places`` maps a position in the Play to its label in errors (file, line and text, from the parser); any other
    position is described from the Play. Features are checked before the rules that read them.
    """
    for check in (_features, _rules, _sides, _risk, _hours):
        issues = [f"{_name(play, issue, places or {})}: {issue.message}" for issue in check(play)]
        if issues:
            raise PlayError("\n".join(issues))


def _name(play: Play, issue: _Issue, places: Mapping[Place, str]) -> str:
    if issue.place in places:
        return places[issue.place]
    text = f"Play {play.name!r}: {'.'.join(part for part in issue.place if isinstance(part, str))}"
    return f"{text}: {describe_rule(issue.rule, play.timeframe)!r}" if issue.rule else text


def _groups(play: Play) -> Iterator[tuple[Place, Group]]:
    for place, group in (
        (("entry", "long"), play.entry_long),
        (("entry", "short"), play.entry_short),
        (("exit", "long"), play.exit_long),
        (("exit", "short"), play.exit_short),
    ):
        if group is not None:
            yield place, group


def _features(play: Play) -> Iterator[_Issue]:
    try:
        timeframe = Timeframe.parse(play.timeframe)
    except ConfigError as error:
        yield _Issue(("timeframe",), str(error))
        return
    for name, reference in play.features.items():
        place: Place = ("features", name)
        try:
            check_feature_name(name)
        except ValueError as error:
            yield _Issue(place, str(error))
        yield from (_Issue(place, issue) for issue in _column(reference, timeframe))
    named = set(play.features.values())
    for place, group in _groups(play):
        unnamed = dict.fromkeys(reference for reference in columns(group) if reference not in named)
        yield from (_Issue(place, issue) for reference in unnamed for issue in _column(reference, timeframe))


def _column(reference: FeatureRef, timeframe: Timeframe) -> Iterator[str]:
    """Yield the reasons why a column cannot be computed for bars of ``timeframe``."""
    if STREAK in reference.transform.split("|"):
        yield f"{reference}: a rule cannot name a streak; use rising or falling on the column"
        return
    try:
        resolved = make_reference(
            reference.name,
            dict(reference.params),
            output=reference.output,
            timeframe=reference.timeframe,
            transform=reference.transform,
            symbol=reference.symbol,
        )
    except (PlayError, ConfigError) as error:
        yield str(error)
        return
    kind = get_feature(reference.name).kind
    if (kind == "relative" and not reference.symbol) or (kind == "calendar" and reference.symbol):
        yield f"{reference}: a ratio needs the other symbol, a calendar feature takes none"
    if resolved.canonical != reference.canonical:  # 2 where 2.0 is meant is equal, but would have another hash
        yield f"{reference} is not fully resolved; make_reference gives {resolved}"
    if Timeframe.parse(reference.timeframe) < timeframe:
        yield (
            f"{reference.name} is computed from {reference.timeframe} bars, finer than the Play's {timeframe}; "
            f"use {timeframe} or coarser"
        )


def _rules(play: Play) -> Iterator[_Issue]:
    for place, group in _groups(play):
        yield from _group(group, place, play.timeframe, 1)


def _group(group: Group, place: Place, timeframe: str, depth: int) -> Iterator[_Issue]:
    if depth > MAX_DEPTH:
        yield _Issue(place, f"groups are nested {depth} deep; at most {MAX_DEPTH} levels are allowed")
        return
    if not 1 <= len(group.rules) <= MAX_RULES:
        yield _Issue(place, f"a group of {len(group.rules)} rules; 1 to {MAX_RULES} are allowed")
    elif not 1 <= group.at_least <= len(group.rules):
        yield _Issue(place, f"at_least is {group.at_least}; there are {len(group.rules)} rules")
    for index, rule in enumerate(group.rules):
        inner = (*place, index)
        if isinstance(rule, Group):
            yield from _group(rule, inner, timeframe, depth + 1)
        elif isinstance(rule, Trend):
            if not 1 <= rule.bars <= MAX_STREAK:
                yield _Issue(
                    inner, f"{rule.direction} {rule.bars}: a number of bars from 1 to {MAX_STREAK} is expected", rule
                )
        elif (issue := _comparison(rule, timeframe)) is not None:
            yield _Issue(inner, issue, rule)


def _comparison(rule: Compare, timeframe: str) -> str | None:
    """Return why a comparison is meaningless (scales that differ, always or never true), or None if it is not."""
    scale = column_scale(rule.left)
    left = describe_column(rule.left, timeframe)
    if not isinstance(rule.right, FeatureRef):
        return _against_number(left, scale, rule.operator, rule.right)
    right = describe_column(rule.right, timeframe)
    if rule.left == rule.right:
        return f"{left} is compared with itself"
    other = column_scale(rule.right)
    if rule.left.symbol != rule.right.symbol and scale.kind not in ("bounded", "percent", "zscore"):
        return f"{left} and {right} are of different symbols: compare their transforms, such as zscore or distance"
    if scale.kind == other.kind == "unbounded" and rule.left.name != rule.right.name:
        return f"{left} and {right} have no common scale: compare {rule.left.name} with {rule.left.name} or a number"
    if not scale.comparable(other):
        return f"{left} is {_noun(scale)}, {right} is {_noun(other)}: compare like with like, or with a number"
    return _by_order(rule.left, rule.operator, rule.right, timeframe)


def _by_order(left: FeatureRef, operator: Comparison, right: FeatureRef, timeframe: str) -> str | None:
    """Return why a comparison of two columns has one result at every bar or says less than a simpler rule, or None."""
    names = describe_column(left, timeframe), describe_column(right, timeframe)
    verdict = constant_result(left, operator, right)
    if verdict is not None:
        reason = {
            "below": "{0} is below {1} at every bar at which prices move",
            "at most": "{0} is never above {1}",
            "equal": "{0} and {1} are the same values",
            "at least": "{0} is never below {1}",
            "above": "{0} is above {1} at every bar at which prices move",
        }[column_order(left, right) or "equal"].format(*names)
        return f"this is {verdict} true: {reason}"
    terms = difference_of(left, right)
    if terms is None:
        return None
    minuend, subtrahend = (describe_column(term, timeframe) for term in terms)
    difference = names[0] if left not in terms else names[1]
    return (
        f"{difference} is {minuend} minus {subtrahend}: compare {minuend} with {subtrahend}, or any of the three with "
        "a number"
    )


def _noun(scale: Scale) -> str:
    return {
        "price": "a price",
        "volume": "a volume",
        "bounded": f"bounded by {scale.low or 0:g} and {scale.high or 0:g}",
        "centred": "a swing about zero",
        "unbounded": "on a scale of its own",
        "percent": "in percent of the close",
        "zscore": "a z-score",
        "ratio": "a ratio of two closes",
    }[scale.kind]


def _against_number(left: str, scale: Scale, operator: Comparison, number: float) -> str | None:
    if not math.isfinite(number):
        return f"{number} is not a finite number"
    low, high = -math.inf if scale.low is None else scale.low, math.inf if scale.high is None else scale.high
    verdict = _verdict(low, high, operator, number)
    if verdict is None:
        return None
    bounds = f"lies between {low:g} and {high:g}" if math.isfinite(high) else f"is never below {low:g}"
    return f"this is {verdict} true: {left} {bounds}"


def _verdict(low: float, high: float, operator: Comparison, number: float) -> str | None:
    """Return ``never`` or ``always`` if the bounds ``[low, high]`` determine the comparison, else None."""
    never = {
        ">": number >= high,
        ">=": number > high,
        "<": number <= low,
        "<=": number < low,
        "crosses_above": number >= high or number < low,
        "crosses_below": number <= low or number > high,
    }
    always = {">": number < low, ">=": number <= low, "<": number > high, "<=": number >= high}
    return "never" if never[operator] else "always" if always.get(operator) else None


def _sides(play: Play) -> Iterator[_Issue]:
    entries = {"long": play.entry_long, "short": play.entry_short}
    exits = {"long": play.exit_long, "short": play.exit_short}
    entered = [side for side, rule in entries.items() if rule is not None and play.sides in ("both", side)]
    if not entered:
        if play.sides != "both" and any(entries.values()):
            other = "short" if play.sides == "long" else "long"
            yield _Issue(("entry",), f"sides is {play.sides}, but only entry.{other} has rules: the Play never enters")
        else:
            yield _Issue(("entry",), "the Play never enters: entry.long or entry.short needs a rule")
        return
    for side in entered:
        other = "short" if side == "long" else "long"
        if exits[side] is None and entries[other] is None and not _risk_closes(play):
            yield _Issue(
                ("entry", side),
                f"a {side} position has no exit: add exit.{side}, entry.{other}, or in risk a stop, take_profit, "
                "trailing or max_bars, or flat_by",
            )
    for side, rule in exits.items():
        if rule is not None and side not in entered:
            why = f"sides is {play.sides}" if entries[side] is not None else f"entry.{side} has no rules"
            yield _Issue(("exit", side), f"a {side} position is never entered ({why}): remove exit.{side}")


def _risk_closes(play: Play) -> bool:
    risk = play.risk
    return any(way is not None for way in (risk.stop, risk.take_profit, risk.trailing, risk.max_bars, play.flat_by))


def _hours(play: Play) -> Iterator[_Issue]:
    when, daily = play.when, Timeframe.parse(play.timeframe).timedelta >= pd.Timedelta(days=1)
    if when is not None:
        try:
            shape = validate_model(WhenShape, when_to_dict(when), source="when").when()
        except (ConfigError, IndexError) as error:
            yield from (_Issue(("when",), line) for line in str(error).splitlines())
            return
        if shape != when:
            yield _Issue(("when",), f"{when} is not in its simplest form; write {shape}")
        elif not when.restricts and not (when.timezone and play.flat_by is not None):
            yield _Issue(("when",), "it excludes no close: give from and to, or weekdays, or remove it")
        elif daily and (when.start, when.end) != (0, 1440):
            yield _Issue(("when",), f"bars of {play.timeframe} all close at one time of day: give weekdays only")
    if play.flat_by is not None and not 0 <= play.flat_by < 1440:
        yield _Issue(("flat_by",), f"{play.flat_by} minutes after 00:00; 0 to 1439 are allowed")
    elif play.flat_by is not None and daily:
        yield _Issue(("flat_by",), f"it needs bars shorter than a day; the Play trades {play.timeframe}")


def _risk(play: Play) -> Iterator[_Issue]:
    try:
        validate_model(RiskShape, risk_to_dict(play.risk), source="risk")
    except ConfigError as error:
        yield from (_Issue(("risk",), line) for line in str(error).splitlines())
    if play.risk.size.kind == "risk" and play.risk.stop is None:
        yield _Issue(("risk",), "size by risk needs a stop: it sets the loss at the stop; add risk.stop")
    for name, distance in (
        ("stop", play.risk.stop),
        ("take_profit", play.risk.take_profit),
        ("trailing", play.risk.trailing),
    ):
        if distance is not None and distance.kind == "atr":
            try:
                get_feature("atr").resolve({"timeperiod": distance.timeperiod})
            except PlayError as error:
                yield _Issue(("risk",), f"{name}: {error}")
    if not 0 <= play.warmup_bars <= MAX_WARMUP:
        yield _Issue(("warmup_bars",), f"{play.warmup_bars} bars; 0 to {MAX_WARMUP} are allowed")
