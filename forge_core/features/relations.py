"""Relations between columns that hold for all bars: orders, equal columns, differences.

They are part of a feature's definition; ``features.order`` derives from them which comparisons have one result only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from forge_core.features.reference import Number


@dataclass(frozen=True)
class Order:
    """``low`` is never above ``high``, two columns of one timeframe.

    Each is an output of the feature that declares the order (``upperband``) or a column of another feature
    (``sma.real``, ``close.real``), whose parameters are those of the same name, the others at their defaults.
    ``strict``: they are equal only in a market that does not move; with ``positive``, only if that parameter is above
    zero. ``where`` returns for the declaring feature's parameters whether the order holds, by default always.
    """

    low: str
    high: str
    strict: bool = False
    positive: str | None = None
    where: Callable[[Mapping[str, Number]], bool] | None = None


@dataclass(frozen=True)
class Monotone:
    """An ``output`` that never falls (``rising``) or never rises where only ``parameter`` is larger."""

    output: str
    parameter: str
    rising: bool = True
    strict: bool = False


@dataclass(frozen=True)
class Difference:
    """An output that is ``minuend`` minus ``subtrahend``, two other outputs."""

    output: str
    minuend: str
    subtrahend: str


@dataclass(frozen=True)
class Relations:
    """All relations of one feature; ``unaffected`` are the parameters that do not change an output, by output."""

    orders: tuple[Order, ...] = ()
    monotone: tuple[Monotone, ...] = ()
    unaffected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()


NO_RELATIONS = Relations()


def chain(*outputs: str, strict: bool = True) -> tuple[Order, ...]:
    """Return the orders of ``outputs``, the lowest first."""
    return tuple(Order(low, high, strict) for low, high in pairwise(outputs))


def within(low: str, output: str, high: str) -> tuple[Order, ...]:
    """Return the orders of an output that is never below ``low`` and never above ``high``."""
    return Order(low, output), Order(output, high)


def equal(output: str, other: str, where: Callable[[Mapping[str, Number]], bool] | None = None) -> tuple[Order, ...]:
    """Return the orders of two columns that are always equal."""
    return Order(output, other, where=where), Order(other, output, where=where)
