"""Parser and writer of a single rule, such as ``fast crosses_above slow``."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from forge_core.errors import PlayError, unknown
from forge_core.features.reference import PRICE_FIELDS, FeatureRef, price_field
from forge_core.features.registry import all_features, get_feature
from forge_core.plays.model import Compare, Comparison, Direction, Group, Play, Rule, Trend
from forge_core.plays.schema import CONNECTIVES, MAX_STREAK, OPERATORS

MIRROR: dict[Comparison, Comparison] = {
    ">": "<",
    "<": ">",
    ">=": "<=",
    "<=": ">=",
    "crosses_above": "crosses_below",
    "crosses_below": "crosses_above",
}
"""``a operator b`` is ``b MIRROR[operator] a``."""

_DIRECTIONS: dict[str, Direction] = {"rising": "rising", "falling": "falling"}
_COMPARISONS: dict[str, Comparison] = {operator: operator for operator in MIRROR}
_OPERATOR_HINTS = {
    "=>": "write >=",
    "=<": "write <=",
    "=": "prices are hardly ever equal, use > < >= <=",
    "==": "prices are hardly ever equal, use > < >= <=",
    "!=": "prices are hardly ever equal, use > < >= <=",
    "<>": "prices are hardly ever equal, use > < >= <=",
}
_CONNECTIVES = {*CONNECTIVES, "&", "&&", "|", "||", ","}
_FORMS = "a rule is 'fast > slow', 'rsi crosses_above 30' or 'slow rising 3'"

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<word>[A-Za-z_]\w*(?:\.\w+)*)
      | (?P<symbol>[<>=!]+)
      | (?P<other>[&|]+|\S[\w.]*)
    )""",
    re.VERBOSE | re.ASCII,
)


class _Token(NamedTuple):
    kind: str
    text: str

    @property
    def is_operator(self) -> bool:
        return self.kind == "symbol" or self.text in OPERATORS


@dataclass(frozen=True)
class Scope:
    """The columns that a rule can name: the Play's features and the bar fields of its ``timeframe``."""

    timeframe: str
    features: Mapping[str, FeatureRef] = field(default_factory=dict)

    def column(self, word: str) -> FeatureRef:
        """Return the column named by ``word`` (``rsi``, ``bands.upperband``, ``close``); raises PlayError."""
        name, dot, output = word.partition(".")
        if name in self.features:
            reference = self.features[name]
            if not dot:
                return reference
            column = get_feature(reference.name).output(output).name
            return replace(reference, output=column)
        if name in PRICE_FIELDS:
            if dot:
                raise PlayError(f"{name} is a bar field and has no output {output!r}; write {name}")
            return price_field(name, self.timeframe)
        raise PlayError(unknown("feature", name, [*self.features, *PRICE_FIELDS]) + _declare(name))


def _declare(name: str) -> str:
    """Return a hint to declare the feature if ``name`` is one of the registry, else an empty string."""
    kinds = {definition.name: definition.kind for definition in all_features()}
    kind = kinds.get(name.lower())
    return f"; declare it under features, as {name}: {{{kind}: {name.lower()}}}" if kind else ""


def parse_rule(text: str, scope: Scope) -> Compare | Trend:
    """Parse one rule; a number on the left is moved to the right (``30 > rsi`` is ``rsi < 30``).

    Raises PlayError for anything that is not a rule, an unknown feature, output or operator, two numbers, and a column
    compared with itself. The caller adds file and line.
    """
    tokens = [_Token(str(match.lastgroup), match[0].strip()) for match in _TOKEN.finditer(text)]
    _check_form(tokens)
    left, operator, right = tokens
    if operator.text in _DIRECTIONS:
        return Trend(_feature(left, scope), _DIRECTIONS[operator.text], _streak(operator.text, right))
    comparison = _COMPARISONS[operator.text]
    if left.kind == "number":
        if right.kind == "number":
            raise PlayError("two numbers are compared; a rule reads at least one feature")
        return Compare(_feature(right, scope), MIRROR[comparison], _number(left))
    column = _feature(left, scope)
    if right.kind == "number":
        return Compare(column, comparison, _number(right))
    other = _feature(right, scope)
    if other == column:
        what = "itself" if left.text == right.text else f"{right.text}, which is the same column"
        raise PlayError(f"{left.text} is compared with {what}")
    return Compare(column, comparison, other)


def rule_text(rule: Compare | Trend, name: Callable[[FeatureRef], str]) -> str:
    """Return one rule as text, columns formatted by ``name``; ``parse_rule`` restores it exactly."""
    if isinstance(rule, Trend):
        return f"{name(rule.feature)} {rule.direction} {rule.bars}"
    right = name(rule.right) if isinstance(rule.right, FeatureRef) else number_text(rule.right)
    return f"{name(rule.left)} {rule.operator} {right}"


def columns(rule: Rule) -> Iterator[FeatureRef]:
    """Yield the columns that a rule or a group reads, in order, including duplicates."""
    if isinstance(rule, Group):
        for inner in rule.rules:
            yield from columns(inner)
    elif isinstance(rule, Trend):
        yield rule.feature
    else:
        yield rule.left
        if isinstance(rule.right, FeatureRef):
            yield rule.right


def play_columns(play: Play) -> Iterator[FeatureRef]:
    """Yield the columns that the rules of a Play read, including duplicates."""
    for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short):
        if group is not None:
            yield from columns(group)


def number_text(value: float) -> str:
    """Return a number as text without loss of precision, whole numbers without a decimal point."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _check_form(tokens: list[_Token]) -> None:
    """Raise PlayError, with a hint at the likely intention, unless the tokens are operand, operator, operand."""
    texts = [token.text for token in tokens]
    if not tokens:
        raise PlayError(f"the rule is empty; {_FORMS}")
    for token in tokens:
        if token.text.lower() in _CONNECTIVES:
            raise PlayError(f"{token.text!r}: a rule compares two things; list several under all: (and) or any: (or)")
        if token.kind == "other":
            raise PlayError(f"{token.text!r} has no meaning in a rule: rules compare columns, they do not calculate")
        if token.kind == "symbol" and token.text not in OPERATORS:
            hint = _OPERATOR_HINTS.get(token.text)
            raise PlayError(f"unknown operator {token.text!r}: {hint}" if hint else _unknown_operator(token.text))
    operators = [index for index, token in enumerate(tokens) if token.is_operator]
    if len(operators) > 1:
        raise PlayError(
            f"two operators, {' and '.join(texts[i] for i in operators)}: split it into two rules; {_FORMS}"
        )
    if len(tokens) == 2 and operators == [1] and texts[1] in _DIRECTIONS:
        raise PlayError(f"{texts[1]} needs a number of bars, as in '{texts[0]} {texts[1]} 3'")
    if len(tokens) == 4 and f"{texts[1]}_{texts[2]}" in OPERATORS:
        raise PlayError(f"unknown operator '{texts[1]} {texts[2]}' (did you mean '{texts[1]}_{texts[2]}'?)")
    if len(tokens) == 3 and not operators and tokens[1].kind == "word":
        raise PlayError(_unknown_operator(texts[1]))
    if len(tokens) != 3 or operators != [1]:
        raise PlayError(f"cannot be parsed; {_FORMS}")


def _unknown_operator(text: str) -> str:
    return unknown("operator", text, OPERATORS)


def _feature(token: _Token, scope: Scope) -> FeatureRef:
    if token.kind == "number":
        raise PlayError(f"{token.text} is a number; a feature is expected in its place")
    return scope.column(token.text)


def _number(token: _Token) -> float:
    try:
        value = float(token.text)
    except ValueError:
        raise PlayError(f"{token.text!r} is not a number") from None
    if not math.isfinite(value):
        raise PlayError(f"{token.text} is too large for a number")
    return value


def _streak(direction: str, token: _Token) -> int:
    """Parse the ``n`` of ``rising n``."""
    if token.kind != "number" or not (bars := _number(token)).is_integer() or not 1 <= bars <= MAX_STREAK:
        raise PlayError(f"{direction} {token.text}: a whole number of bars from 1 to {MAX_STREAK} is expected")
    return int(bars)
