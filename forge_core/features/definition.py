"""What a feature is: its parameters, its outputs and the function of bars that computes them."""

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
from forge_core.features.scale import Scale

Floats = NDArray[np.float64]
Bars = Mapping[str, Floats]  # open, high, low, close, volume, one value a bar
Params = dict[str, Any]  # every parameter, checked: int where whole numbers are wanted, else float
Kind = Literal["indicator", "structure", "price"]


@dataclass(frozen=True)
class Parameter:
    """One number a feature depends on, between ``low`` and ``high``; ``grid`` is what a search may try (ascending)."""

    name: str
    default: Number
    integer: bool
    low: float
    high: float
    grid: tuple[Number, ...] = ()

    def check(self, value: object, feature: str) -> Number:
        """Return ``value`` as a plain int or float, or raise PlayError saying what would be right."""
        wanted = f"{'a whole number' if self.integer else 'a number'} from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise PlayError(f"{feature}: {self.name} is {value!r}; it must be {wanted}")
        number = float(value)
        if not self.low <= number <= self.high or (self.integer and not number.is_integer()):
            raise PlayError(f"{feature}: {self.name} is {value}; it must be {wanted}")
        return int(number) if self.integer else number


@dataclass(frozen=True)
class Output:
    """One column a feature gives; ``thresholds`` are the constants worth comparing it with, ascending, often none."""

    name: str
    scale: Scale
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True)
class FeatureDefinition:
    """One indicator, structure or bar field.

    ``function(bars, params)`` returns the columns in the order of ``outputs``; ``bars_needed(params)`` counts the bars
    before the first value. ``ascending`` lists groups of parameters whose values must rise strictly
    (``("fastperiod", "slowperiod")``): the wrong way round TA-Lib swaps them silently or turns the sign, so a Play that
    has them so does not say what it does. ``tied`` lists pairs (follower, leader): a search gives the follower the
    leader's value. ``search`` marks the features an evolution may draw from.
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

    def resolve(self, params: Mapping[str, object]) -> tuple[tuple[str, Number], ...]:
        """Return every parameter with its value, defaults filled in, in the definition's order.

        Raises PlayError on an unknown parameter, a value that is not a number, not whole where it must be, out of
        range or NaN, and on periods that must rise and do not.
        """
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
        """Return each output as a float64 column, one value a bar, NaN where there is none (warm-up, 0/0).

        The value at bar i depends on bars 0..i only and is never infinite. ``bars`` maps open, high, low, close and
        volume to float64 arrays of one length. Raises PlayError as ``resolve`` does.
        """
        columns = self.function(bars, dict(self.resolve(params)))
        return {output.name: _finite(column) for output, column in zip(self.outputs, columns, strict=True)}

    def lookback(self, params: Mapping[str, object]) -> int:
        """Return how many bars come before the first value; raises PlayError as ``resolve`` does."""
        return self.bars_needed(dict(self.resolve(params)))

    def output(self, name: str | None = None) -> Output:
        """Return the output called ``name`` (None: the default one); raises PlayError with a suggestion."""
        wanted = self.default_output if name is None else name
        for output in self.outputs:
            if output.name == wanted:
                return output
        known = [output.name for output in self.outputs]
        raise PlayError(f"{self.name}: unknown output {wanted!r}{suggest(wanted, known)}; known: {', '.join(known)}")

    def combinations(self) -> tuple[Params, ...]:
        """Return every valid choice of parameters from the grids, a parameter without a grid at its default.

        The order is fixed, and a step along it changes one parameter to a neighbouring value of its grid, save where
        invalid choices lie between.
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
    """Yield the product of ``grids`` in an order in which neighbours differ by one step of one grid."""
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
