"""One-line descriptions of Plays, rules and columns, for tables, logs and metadata."""

from functools import partial

from forge_core.features.catalogue.relative import RELATIVE
from forge_core.features.reference import PRICE_FIELDS, FeatureRef
from forge_core.features.registry import get_feature
from forge_core.features.transforms import steps_of
from forge_core.plays.model import Distance, Group, Play, Risk, Rule
from forge_core.plays.rules import number_text, rule_text
from forge_core.plays.schema import WEEKDAYS
from forge_core.plays.writer import clock_text

_UNITS = {"atr": "ATR", "ticks": "ticks"}


def describe_play(play: Play) -> str:
    """Return one line per side: entry, exit rule, stop and other risk settings.

    ``long: ema(12) > ema(48)@1h and rsi(14) crosses_above 30; exit rsi(14) > 75; stop 2.5 ATR``
    """
    sides = (
        ("long", play.entry_long, play.exit_long, "short"),
        ("short", play.entry_short, play.exit_short, "long"),
    )
    lines = []
    for side, entry, leave, other in sides:
        if entry is None:
            continue
        parts = [describe_rule(entry, play.timeframe)]
        if play.sides == other:
            lines.append(f"{side} (only closes {other}): {parts[0]}")
            continue
        if leave is not None:
            parts.append(f"exit {describe_rule(leave, play.timeframe)}")
        lines.append(f"{side}: " + "; ".join([*parts, *_hours(play), *_risk(play.risk)]))
    return "\n".join(lines)


def describe_rule(rule: Rule, timeframe: str, *, nested: bool = False) -> str:
    """Return a rule or group as text; columns of ``timeframe``, the Play's own, are written without it."""
    if not isinstance(rule, Group):
        return rule_text(rule, partial(describe_column, timeframe=timeframe))
    inner = [describe_rule(r, timeframe, nested=len(rule.rules) > 1) for r in rule.rules]
    if len(inner) == 1:
        return inner[0]
    if rule.at_least not in (1, len(inner)):
        return f"{rule.at_least} of ({', '.join(inner)})"
    text = (" or " if rule.at_least == 1 else " and ").join(inner)
    return f"({text})" if nested else text


def describe_column(reference: FeatureRef, timeframe: str) -> str:
    """Return a column as text: ``ema(48)@1h``, ``bbands(20).upperband``, ``close``.

    Trailing parameters at their defaults are omitted, except the first parameter. A transform is written around the
    column: ``zscore(rsi(14), 100)``.
    """
    text = _column(reference, timeframe)
    for step, window in steps_of(reference.transform):
        text = f"{step}({text}, {window})" if window else f"{step}({text})"
    return text


def _column(reference: FeatureRef, timeframe: str) -> str:
    """Return a column as text, before its transform."""
    at = "" if reference.timeframe == timeframe else f"@{reference.timeframe}"
    if reference.name == RELATIVE:
        return f"relative({reference.symbol}){at}"
    at += f"@{reference.symbol}" if reference.symbol else ""
    if reference.name in PRICE_FIELDS:
        return f"{reference.name}{at}"
    definition = get_feature(reference.name)
    values = [value for _, value in reference.params]
    defaults = [parameter.default for parameter in definition.parameters]
    while len(values) > 1 and values[-1] == defaults[len(values) - 1]:
        values.pop()
    shown = f"({', '.join(number_text(value) for value in values)})" if values else ""
    output = "" if reference.output == definition.default_output else f".{reference.output}"
    return f"{reference.name}{shown}{output}{at}"


def _hours(play: Play) -> list[str]:
    parts = []
    zone = f" {play.when.timezone}" if play.when is not None and play.when.timezone else ""
    if play.when is not None and play.when.restricts:
        days = " ".join(WEEKDAYS[day] for day in play.when.weekdays)
        hours = f"{clock_text(play.when.start)}-{clock_text(play.when.end)}{zone}"
        parts.append(f"entries {hours} {days}".rstrip())
    if play.flat_by is not None:
        parts.append(f"flat by {clock_text(play.flat_by)}{zone}")
    return parts


def _risk(risk: Risk) -> list[str]:
    parts = [
        f"{name} {_distance(distance)}"
        for name, distance in (("stop", risk.stop), ("target", risk.take_profit), ("trail", risk.trailing))
        if distance is not None
    ]
    if risk.max_bars is not None:
        parts.append(f"at most {risk.max_bars} bars")
    if risk.cooldown:
        parts.append(f"cooldown {risk.cooldown} bars")
    if (risk.size.kind, risk.size.value) != ("fraction", 1.0):
        parts.append(f"size {risk.size.kind} {number_text(risk.size.value)}")
    return parts


def _distance(distance: Distance) -> str:
    if distance.kind == "percent":
        return f"{100 * distance.value:g} %"
    period = f"({distance.timeperiod})" if distance.kind == "atr" and distance.timeperiod != 14 else ""
    return f"{number_text(distance.value)} {_UNITS[distance.kind]}{period}"
