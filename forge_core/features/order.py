"""Order of two columns at every bar, derived from the relations that their features declare."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

from forge_core.errors import PlayError
from forge_core.features.definition import FeatureDefinition
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import get_feature, make_reference

ColumnOrder = Literal["below", "at most", "equal", "at least", "above"]
"""Order of one column against another at every bar; ``below`` and ``above`` allow equality if nothing moves."""

_CACHED = 16_384


class _Reached(NamedTuple):
    reference: FeatureRef
    strict: bool


@lru_cache(maxsize=_CACHED)
def column_order(left: FeatureRef, right: FeatureRef) -> ColumnOrder | None:
    """Return the order of ``left`` against ``right`` that holds at every bar, None if there is none.

    Only columns of one timeframe are ordered. The order follows from any chain of declared relations.
    """
    if left.timeframe != right.timeframe or left.transform or right.transform or left.symbol != right.symbol:
        return None
    left, right = replace(left, symbol=""), replace(right, symbol="")  # relations hold for the bars of every symbol
    low, high = _never_above(left, right), _never_above(right, left)
    if low and high:
        return "equal"
    if low:
        return "below" if low == "strict" else "at most"
    if high:
        return "above" if high == "strict" else "at least"
    return None


def difference_of(left: FeatureRef, right: FeatureRef) -> tuple[FeatureRef, FeatureRef] | None:
    """Return (minuend, subtrahend) if one column is the difference of the other and a third, else None."""
    if replace(left, output=right.output) != right or left.transform:
        return None
    for each in get_feature(left.name).relations.differences:
        terms = {each.minuend, each.subtrahend}
        if (left.output == each.output and right.output in terms) or (
            right.output == each.output and left.output in terms
        ):
            return replace(left, output=each.minuend), replace(left, output=each.subtrahend)
    return None


def _never_above(low: FeatureRef, high: FeatureRef) -> Literal["strict", "weak"] | None:
    """Return whether ``low`` is at most ``high`` at every bar, and whether always below it."""
    found: Literal["strict", "weak"] | None = None
    ends = _closure(high, upwards=False)
    for start in _closure(low, upwards=True):
        for end in ends:
            step = _step(start.reference, end.reference)
            if step == "strict" or (step is not None and (start.strict or end.strict)):
                return "strict"
            found = step or found
    return found


@lru_cache(maxsize=_CACHED)
def _closure(start: FeatureRef, *, upwards: bool) -> tuple[_Reached, ...]:
    """Return every column that declared orders put above (or below) ``start``, itself included."""
    first = _without_effectless(start)
    reached, pending = {first: False}, [first]
    while pending:
        reference = pending.pop()
        for other, strict in _neighbours(reference, upwards=upwards):
            now = reached[reference] or strict
            if other not in reached or (now and not reached[other]):
                reached[other] = now
                pending.append(other)
    return tuple(_Reached(reference, strict) for reference, strict in reached.items())


def _neighbours(reference: FeatureRef, *, upwards: bool) -> Iterator[tuple[FeatureRef, bool]]:
    """Yield the columns next to ``reference`` in its feature's orders, and whether never equal to it."""
    params = dict(reference.params)
    for order in get_feature(reference.name).relations.orders:
        this, other = (order.low, order.high) if upwards else (order.high, order.low)
        if this == reference.output and (order.where is None or order.where(params)):
            column = _column(reference, other)
            if column is not None:
                yield column, order.strict and (order.positive is None or params[order.positive] > 0)


def _column(reference: FeatureRef, output: str) -> FeatureRef | None:
    """Return the column an order of the feature of ``reference`` names; None if it takes no such parameters."""
    name, dot, other = output.partition(".")
    if not dot:
        return _without_effectless(replace(reference, output=output))
    known = {parameter.name for parameter in get_feature(name).parameters}
    params = {key: value for key, value in reference.params if key in known}
    try:
        return _without_effectless(make_reference(name, params, output=other, timeframe=reference.timeframe))
    except PlayError:  # its parameters have another range
        return None


def _without_effectless(reference: FeatureRef) -> FeatureRef:
    """Return the reference with parameters that do not change the column at their defaults."""
    definition: FeatureDefinition = get_feature(reference.name)
    effectless = definition.relations.unaffected.get(reference.output)
    if not effectless:
        return reference
    defaults = {parameter.name: parameter.default for parameter in definition.parameters}
    params = tuple((key, defaults[key] if key in effectless else value) for key, value in reference.params)
    return replace(reference, params=params)


def _step(low: FeatureRef, high: FeatureRef) -> Literal["strict", "weak"] | None:
    """Return whether two columns are equal, or the first never above by a parameter in which alone they differ."""
    if low == high:
        return "weak"
    if (low.name, low.output) != (high.name, high.output):
        return None
    changed = [(name, a, b) for (name, a), (_, b) in zip(low.params, high.params, strict=True) if a != b]
    if len(changed) != 1:
        return None
    name, a, b = changed[0]
    for each in get_feature(low.name).relations.monotone:
        if (each.output, each.parameter) == (low.output, name) and (a < b) == each.rising:
            return "strict" if each.strict else "weak"
    return None
