"""Definition of a feature: parameters, outputs and the function that computes them from bars."""

import itertools
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from forge_core.errors import PlayError, suggest, unknown
from forge_core.features.reference import Number
from forge_core.features.relations import NO_RELATIONS, Relations
from forge_core.features.scale import Scale

Floats = NDArray[np.float64]
Bars = Mapping[str, Floats]  # open, high, low, close, volume, one value per bar
Params = dict[str, Any]  # every parameter, checked: int where a whole number is expected, else float
_RESOLVED = 4_096  # parameter sets remembered per feature

Kind = Literal["indicator", "structure", "price", "calendar", "relative"]


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter between ``low`` and ``high``; ``grid`` holds the values of a search, ascending."""

    name: str
    default: Number
    integer: bool
    low: float
    high: float
    grid: tuple[Number, ...] = ()

    def check(self, value: object, feature: str) -> Number:
        """Return ``value`` as int or float, or raise PlayError with the range expected."""
        wanted = f"{'a whole number' if self.integer else 'a number'} from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise PlayError(f"{feature}: {self.name} is {value!r}; it must be {wanted}")
        number = float(value)
        if not self.low <= number <= self.high or (self.integer and not number.is_integer()):
            raise PlayError(f"{feature}: {self.name} is {value}; it must be {wanted}")
        return int(number) if self.integer else number


@dataclass(frozen=True)
class Output:
    """One column of a feature; ``thresholds`` are the constants a search compares it with, ascending, often none."""

    name: str
    scale: Scale
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True)
class FeatureDefinition:
    """One indicator, structure, calendar or bar field.

    ``function(bars, params)`` returns the columns in the order of ``outputs``; ``bars_needed(params)`` counts the bars
    before the first value. ``ascending`` lists groups of parameters whose values must be strictly ascending
    (``("fastperiod", "slowperiod")``): in another order TA-Lib silently swaps them or changes the sign. ``tied`` lists
    pairs (follower, leader): a search sets the follower to the leader's value. ``search`` marks the features that an
    evolution may use. ``relations`` declares orders of the columns: a rule that has one result by them is refused.
    A feature that is not ``directed`` measures strength or width: it means the same in a rise and in a fall.
    """

    name: str
    kind: Kind
    description: str
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    default_output: str
    function: Callable[[Bars, Params], tuple[Floats, ...]] = field(repr=False, compare=False)
    bars_needed: Callable[[Params], int] = field(repr=False, compare=False)
    ascending: tuple[tuple[str, ...], ...] = ()
    tied: tuple[tuple[str, str], ...] = ()
    search: bool = False
    relations: Relations = field(default=NO_RELATIONS, repr=False, compare=False)
    directed: bool = True

    def resolve(self, params: Mapping[str, object]) -> tuple[tuple[str, Number], ...]:
        """Return every parameter with its value, defaults filled in, in the definition's order.

        Raises PlayError for an unknown parameter, for a value that is not a number, not whole where it must be, out of
        range or NaN, and for periods that are not ascending where they must be.
        """
        key = tuple((name, type(value), value) for name, value in params.items())
        try:
            found = self._resolved.get(key)
        except TypeError:  # a value that is not hashable is not a number
            return self._checked(params)
        if found is None:
            found = self._checked(params)
            if len(self._resolved) >= _RESOLVED:
                self._resolved.clear()
            self._resolved[key] = found
        return found

    @cached_property
    def _resolved(self) -> dict[object, tuple[tuple[str, Number], ...]]:
        """Valid parameters seen before: every month of a mass test asks for the same ones."""
        return {}

    def _checked(self, params: Mapping[str, object]) -> tuple[tuple[str, Number], ...]:
        names = [parameter.name for parameter in self.parameters]
        for name in params:
            if name not in names:
                raise PlayError(f"{self.name}: {unknown('parameter', str(name), names)}")
        full = {p.name: p.check(params.get(p.name, p.default), self.name) for p in self.parameters}
        for group in self.ascending:
            if not self._rises(full, group):
                values = ", ".join(f"{name} {full[name]}" for name in group)
                raise PlayError(f"{self.name}: {' < '.join(group)} must hold, but {values}")
        return tuple(full.items())

    def compute(self, bars: Bars, params: Mapping[str, object]) -> dict[str, Floats]:
        """Return each output as a float64 column, one value per bar, NaN where it is undefined (warm-up, 0/0).

        The value at bar i depends on bars 0..i only and is never infinite. ``bars`` maps open, high, low, close and
        volume to float64 arrays of one length. Raises PlayError as ``resolve`` does.
        """
        columns = self.function(bars, dict(self.resolve(params)))
        return {output.name: _finite(column) for output, column in zip(self.outputs, columns, strict=True)}

    def lookback(self, params: Mapping[str, object]) -> int:
        """Return the number of bars before the first value; raises PlayError as ``resolve`` does."""
        return self.bars_needed(dict(self.resolve(params)))

    def output(self, name: str | None = None) -> Output:
        """Return the output named ``name`` (None: the default output); raises PlayError with a suggestion."""
        wanted = self.default_output if name is None else name
        for output in self.outputs:
            if output.name == wanted:
                return output
        known = [output.name for output in self.outputs]
        raise PlayError(f"{self.name}: unknown output {wanted!r}{suggest(wanted, known)}; known: {', '.join(known)}")

    def combinations(self) -> tuple[Params, ...]:
        """Return every valid combination of the parameter grids; parameters without a grid are at their defaults.

        The order is fixed: consecutive combinations differ in one parameter by one step of its grid, except where
        invalid combinations are skipped.
        """
        return tuple(dict(choice) for choice in self._combinations)

    @cached_property
    def _combinations(self) -> tuple[Params, ...]:
        leaders = dict(self.tied)
        free = [parameter for parameter in self.parameters if parameter.name not in leaders]
        choices = []
        for values in _snake([parameter.grid or (parameter.default,) for parameter in free]):
            choice = dict(zip([parameter.name for parameter in free], values, strict=True))
            choice.update({follower: choice[leader] for follower, leader in self.tied})
            if all(self._rises(choice, group) for group in self.ascending):
                choices.append({parameter.name: choice[parameter.name] for parameter in self.parameters})
        return tuple(choices)

    @staticmethod
    def _rises(params: Mapping[str, Number], group: tuple[str, ...]) -> bool:
        return all(params[a] < params[b] for a, b in itertools.pairwise(group))


def _snake(grids: list[tuple[Number, ...]]) -> Iterator[tuple[Number, ...]]:
    """Yield the product of ``grids`` in an order in which consecutive items differ by one step of one grid."""
    if not grids:
        yield ()
        return
    forward = list(_snake(grids[1:]))
    for position, value in enumerate(grids[0]):
        for rest in forward if position % 2 == 0 else reversed(forward):
            yield (value, *rest)


def _finite(column: Floats) -> Floats:
    """Return ``column`` as contiguous float64 with every infinity replaced by NaN."""
    column = np.ascontiguousarray(column, dtype=np.float64)
    infinite = np.isinf(column)
    return np.where(infinite, np.nan, column) if infinite.any() else column
