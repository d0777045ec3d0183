"""A Play's rules in numpy: the four signals of docs/fill_contract.md, as input of the peers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.inputs import Columns
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Floats
from forge_core.plays.model import Compare, Group, Play, Rule, Trend

Mask = NDArray[np.bool_]


class Signals(NamedTuple):
    """Signals at each bar's close. Entries of both sides never coincide, nor does an exit with an entry."""

    enter_long: Mask
    enter_short: Mask
    exit_long: Mask
    exit_short: Mask


def compute_signals(play: Play, columns: Columns, first_signal: int) -> Signals:
    """Evaluate the rules on all bars. Long and short at the same bar, or an entry and its exit, count as no signal."""
    size = next(iter(columns.values())).size
    long, short, leave_long, leave_short = (
        np.zeros(size, np.bool_) if group is None else _group(group, columns)
        for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short)
    )
    for mask in (long, short, leave_long, leave_short):
        mask[:first_signal] = False
    enter_long = long & ~short & ~leave_long
    enter_short = short & ~long & ~leave_short
    return Signals(enter_long, enter_short, leave_long & ~enter_short, leave_short & ~enter_long)


def _group(group: Group, columns: Columns) -> Mask:
    first, *others = (_rule(rule, columns) for rule in group.rules)
    if group.at_least == len(group.rules):
        for mask in others:
            first &= mask
        return first
    if group.at_least == 1:
        for mask in others:
            first |= mask
        return first
    count = first.astype(np.uint8)
    for mask in others:
        count += mask.view(np.uint8)
    result: Mask = count >= group.at_least
    return result


def _rule(rule: Rule, columns: Columns) -> Mask:
    match rule:
        case Group():
            return _group(rule, columns)
        case Trend(feature, direction, bars):
            streak = columns[feature.streak()]
            return streak >= bars if direction == "rising" else streak <= -bars
        case Compare(left, operator, right):
            x = columns[left]
            y = columns[right] if isinstance(right, FeatureRef) else float(right)
            if operator == ">":
                return x > y
            if operator == ">=":
                return x >= y
            if operator == "<":
                return x < y
            if operator == "<=":
                return x <= y
            return _crosses(x, y, above=operator == "crosses_above")
    raise TypeError(f"unknown kind of rule: {rule!r}")


def _crosses(x: Floats, y: Floats | float, *, above: bool) -> Mask:
    now, before = (y[1:], y[:-1]) if isinstance(y, np.ndarray) else (y, y)
    result = np.zeros(x.size, np.bool_)
    if above:
        np.logical_and(x[1:] > now, x[:-1] <= before, out=result[1:])
    else:
        np.logical_and(x[1:] < now, x[:-1] >= before, out=result[1:])
    return result
