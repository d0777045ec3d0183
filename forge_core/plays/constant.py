"""Comparisons that are never or always true by the order of their two columns."""

from typing import Literal

from forge_core.features.order import ColumnOrder, column_order, difference_of
from forge_core.features.reference import FeatureRef
from forge_core.plays.model import Comparison

Verdict = Literal["never", "always"]

_NEVER: dict[ColumnOrder, frozenset[Comparison]] = {
    "below": frozenset((">", ">=", "crosses_above", "crosses_below")),
    "at most": frozenset((">", "crosses_above")),
    "equal": frozenset((">", "<", "crosses_above", "crosses_below")),
    "at least": frozenset(("<", "crosses_below")),
    "above": frozenset(("<", "<=", "crosses_above", "crosses_below")),
}
_ALWAYS: dict[ColumnOrder, frozenset[Comparison]] = {
    "below": frozenset(("<", "<=")),
    "at most": frozenset(("<=",)),
    "equal": frozenset(("<=", ">=")),
    "at least": frozenset((">=",)),
    "above": frozenset((">", ">=")),
}


def constant_result(left: FeatureRef, operator: Comparison, right: FeatureRef) -> Verdict | None:
    """Return whether ``left operator right`` is never or always true by the order of the columns, else None."""
    order = column_order(left, right)
    if order is None:
        return None
    return "never" if operator in _NEVER[order] else "always" if operator in _ALWAYS[order] else None


def worth_comparing(left: FeatureRef, right: FeatureRef) -> bool:
    """Return whether some comparison of the columns depends on the bars and says more than a simpler rule.

    False for columns that are always ordered or equal, and for a difference (``macdhist``) and one of its terms.
    """
    return column_order(left, right) in (None, "at most", "at least") and difference_of(left, right) is None
