"""Writer of Plays as plain data and as YAML."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from forge_core.features.catalogue.relative import RELATIVE
from forge_core.features.reference import PRICE_FIELDS, FeatureRef, Number
from forge_core.features.registry import get_feature
from forge_core.features.transforms import steps_of
from forge_core.plays.model import Distance, Group, Play, Risk, Rule, Size, When
from forge_core.plays.rules import columns, rule_text
from forge_core.plays.schema import WEEKDAYS

_Base = tuple[str, tuple[tuple[str, Number], ...], str, str, str]  # a feature without its output


def play_to_dict(play: Play) -> dict[str, Any]:
    """Return ``play`` as plain data in the shape of its YAML file, without defaults.

    Features keep the names of ``play.features``; unnamed ones are named after their indicator and parameters
    (``ema_12``, ``ema_48_1h``).
    """
    names = _Names(play)
    result: dict[str, Any] = {"name": play.name, "timeframe": play.timeframe}
    if names.declared:
        result["features"] = {name: _feature(reference, play.timeframe) for name, reference in names.declared.items()}
    for key, long, short in (
        ("entry", play.entry_long, play.entry_short),
        ("exit", play.exit_long, play.exit_short),
    ):
        sides = {side: _outer(group, names) for side, group in (("long", long), ("short", short)) if group is not None}
        if sides:
            result[key] = sides
    result["risk"] = risk_to_dict(play.risk)
    if play.sides != "both":
        result["sides"] = play.sides
    if play.when is not None:
        result["when"] = when_to_dict(play.when)
    if play.flat_by is not None:
        result["flat_by"] = clock_text(play.flat_by)
    if play.warmup_bars:
        result["warmup_bars"] = play.warmup_bars
    return result


def play_to_yaml(play: Play) -> str:
    """Return ``play`` as YAML; ``parse_play`` restores the same Play, with names for its unnamed features."""
    value = play_to_dict(play)
    if "when" in value:
        value["when"] = _Line(value["when"])
    for part in ("features", "risk"):
        if part in value:
            value[part] = {key: _Line(v) if isinstance(v, dict) else v for key, v in value[part].items()}
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def risk_to_dict(risk: Risk) -> dict[str, Any]:
    """Return the ``risk`` part of a Play's YAML file."""
    levels = {"stop": risk.stop, "take_profit": risk.take_profit, "trailing": risk.trailing}
    result: dict[str, Any] = {"size": _size(risk.size)}
    result |= {key: _distance(distance) for key, distance in levels.items() if distance is not None}
    if risk.max_bars is not None:
        result["max_bars"] = risk.max_bars
    if risk.cooldown:
        result["cooldown"] = risk.cooldown
    return result


def when_to_dict(when: When) -> dict[str, Any]:
    """Return the ``when`` part of a Play's YAML file."""
    result: dict[str, Any] = {}
    if (when.start, when.end) != (0, 1440):
        result |= {"from": clock_text(when.start), "to": clock_text(when.end)}
    if when.timezone is not None:
        result["timezone"] = when.timezone
    if when.weekdays:
        result["weekdays"] = [WEEKDAYS[day] for day in when.weekdays]
    return result


def clock_text(minutes: int) -> str:
    """Return minutes after 00:00 as a time of day: ``13:30``."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


class _Names:
    """The name of each column of a Play, and the features to declare for them."""

    def __init__(self, play: Play) -> None:
        self.timeframe = play.timeframe
        self.declared: dict[str, FeatureRef] = dict(play.features)
        self._names: dict[_Base, str] = {}
        self._exact: dict[FeatureRef, str] = {}
        for name, reference in play.features.items():
            self._names.setdefault(_base(reference), name)
            self._exact.setdefault(reference, name)
        groups = (play.entry_long, play.entry_short, play.exit_long, play.exit_short)
        unnamed = {
            _base(reference): reference
            for group in groups
            if group is not None
            for reference in columns(group)
            if _base(reference) not in self._names and not self._is_bar_field(reference)
        }
        short_names = Counter(self._made_name(base, 1) for base in unnamed)
        for base, reference in unnamed.items():
            name = self._free_name(base, short_names)
            self._names[base] = name
            default = get_feature(reference.name).default_output
            self.declared[name] = replace(reference, output=default)
            self._exact[self.declared[name]] = name

    def __call__(self, reference: FeatureRef) -> str:
        if reference in self._exact:
            return self._exact[reference]
        if self._is_bar_field(reference):
            return reference.name
        return f"{self._names[_base(reference)]}.{reference.output}"

    def _is_bar_field(self, reference: FeatureRef) -> bool:
        plain = not reference.transform and not reference.symbol
        return plain and reference.name in PRICE_FIELDS and reference.timeframe == self.timeframe

    def _free_name(self, base: _Base, short_names: Mapping[str, int]) -> str:
        """Return an unused name: the indicator and its first parameter, or all of them where that is ambiguous."""
        short = self._made_name(base, 1)
        if short_names[short] > 1:
            short = self._made_name(base, len(base[1]))
        name, count = short, 1
        while name in self.declared:
            count += 1
            name = f"{short}_{count}"
        return name

    def _made_name(self, base: _Base, parameters: int) -> str:
        feature, params, timeframe, transform, symbol = base
        parts = [feature, *(_word(value) for _, value in params[:parameters])]
        parts += [timeframe] if timeframe != self.timeframe else []
        parts += [re.sub(r"\W+", "_", each) for each in (transform, symbol) if each]
        return "_".join(parts)


def _base(reference: FeatureRef) -> _Base:
    return reference.name, reference.params, reference.timeframe, reference.transform, reference.symbol


def _word(value: Number) -> str:
    return f"{value:g}".replace(".", "_").replace("-", "m").replace("+", "")


def _feature(reference: FeatureRef, timeframe: str) -> dict[str, Any]:
    definition = get_feature(reference.name)
    result: dict[str, Any] = {definition.kind: reference.name, **dict(reference.params)}
    if reference.name == RELATIVE:
        result = {RELATIVE: {"to": reference.symbol}}
    if reference.timeframe != timeframe:
        result["timeframe"] = reference.timeframe
    if reference.symbol and reference.name != RELATIVE:
        result["symbol"] = reference.symbol
    if reference.output != definition.default_output:
        result["output"] = reference.output
    for step, window in steps_of(reference.transform):
        result["transform"] = {step: window} if window else step
    return result


def _outer(group: Group, names: _Names) -> Any:
    """Return a side's rules as plain data, a single rule without its group."""
    return _rule(group.rules[0] if len(group.rules) == 1 and not isinstance(group.rules[0], Group) else group, names)


def _rule(rule: Rule, names: _Names) -> Any:
    if not isinstance(rule, Group):
        return rule_text(rule, names)
    rules = [_rule(inner, names) for inner in rule.rules]
    if rule.at_least == len(rules):
        return {"all": rules}
    if rule.at_least == 1:
        return {"any": rules}
    return {"at_least": rule.at_least, "of": rules}


def _size(size: Size) -> dict[str, Any]:
    return {size.kind: size.value}


def _distance(distance: Distance) -> dict[str, Any]:
    result: dict[str, Any] = {distance.kind: distance.value}
    if distance.kind == "atr" and distance.timeperiod != Distance.timeperiod:
        result["timeperiod"] = distance.timeperiod
    return result


class _Line(dict[str, Any]):
    """A mapping that YAML writes on one line."""


class _Dumper(yaml.SafeDumper):
    """Block style with indented lists, features and risk settings on one line each."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    _Line, lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line.items(), flow_style=True)
)
