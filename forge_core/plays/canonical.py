"""Canonical form and hash of a Play, by which a search skips duplicate backtests."""

from typing import Any

from forge_core.features.reference import FeatureRef
from forge_core.files import canonical_json, content_hash
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend, When
from forge_core.plays.rules import MIRROR

_Form = str | list[Any]  # a rule's text, or a group: ["all", ...], ["any", ...], [2, ...]


def canonical_play(play: Play) -> dict[str, Any]:
    """Return the canonical form of ``play`` as JSON-able data.

    Two Plays with the same canonical form trade identically. The form ignores: names of the Play and its features, the
    order of rules, groups of one rule, an ``all`` within an ``all`` (or ``any`` within ``any``), duplicate rules in one
    of these, the direction of a comparison of columns (``a > b`` is ``b < a``), ``at_least n`` of n rules, 1 and 1.0,
    and a ``sides`` that excludes no entry.
    """
    risk = play.risk
    limited = (play.sides == "long" and play.entry_short) or (play.sides == "short" and play.entry_long)
    form = {
        "timeframe": play.timeframe,
        "entry": [_side(play.entry_long), _side(play.entry_short)],
        "exit": [_side(play.exit_long), _side(play.exit_short)],
        "sides": play.sides if limited else "both",
        "size": [risk.size.kind, _number(risk.size.value)],
        "levels": [_distance(risk.stop), _distance(risk.take_profit), _distance(risk.trailing)],
        "bars": [risk.max_bars, risk.cooldown, play.warmup_bars],
    }
    when = play.when or When()  # absent parts are not written: the hash of a Play without them stays the same
    if when.restricts:
        form["when"] = [when.start, when.end, when.timezone, list(when.weekdays)]
    if play.flat_by is not None:
        form["flat_by"] = [play.flat_by, when.timezone]
    return form


def play_hash(play: Play) -> str:
    """Return the first 16 hex digits of the SHA-256 of the canonical form."""
    return content_hash(canonical_json(canonical_play(play)))


def _side(group: Group | None) -> _Form | None:
    return None if group is None else _rule(group)


def _rule(rule: Rule) -> _Form:
    if isinstance(rule, Compare):
        return _compare(rule)
    if isinstance(rule, Trend):
        return f"{rule.feature.canonical} {rule.direction} {rule.bars}"
    return _group(rule)


def _compare(rule: Compare) -> str:
    """Return a comparison as text, two columns in alphabetical order."""
    left, right = rule.left.canonical, rule.right
    if not isinstance(right, FeatureRef):
        return f"{left} {rule.operator} {_number(right)!r}"
    other = right.canonical
    if left <= other:
        return f"{left} {rule.operator} {other}"
    return f"{other} {MIRROR[rule.operator]} {left}"


def _group(group: Group) -> _Form:
    """Return a group as its kind and its sorted rules; a group of one rule as that rule."""
    forms = [_rule(rule) for rule in group.rules]
    if len(forms) == 1 and group.at_least == 1:
        return forms[0]
    kind: str | int = group.at_least
    if group.at_least == len(forms):
        kind = "all"
    elif group.at_least == 1:
        kind = "any"
    if isinstance(kind, int):
        return [kind, *sorted(forms, key=str)]
    unique: dict[str, _Form] = {}
    for form in forms:
        for inner in form[1:] if isinstance(form, list) and form[0] == kind else (form,):
            unique[str(inner)] = inner
    if len(unique) == 1:
        return next(iter(unique.values()))
    return [kind, *(unique[text] for text in sorted(unique))]


def _number(value: float) -> float:
    return float(value) + 0.0  # -0.0 + 0.0 is 0.0


def _distance(distance: Distance | None) -> list[Any] | None:
    if distance is None:
        return None
    period = [distance.timeperiod] if distance.kind == "atr" else []
    return [distance.kind, _number(distance.value), *period]
