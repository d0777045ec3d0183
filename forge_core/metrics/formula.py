"""Formulas of metrics, such as ``sharpe * sqrt(total_trades)``: parsed, not executed as Python."""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forge_core.errors import ConfigError, unknown
from forge_core.metrics.catalog import METRIC_INDEX, METRICS
from forge_core.metrics.summary import objective_value

Floats = NDArray[np.float64]
_Number = Callable[[Floats], float]

FUNCTIONS: Mapping[str, tuple[Callable[..., float], int]] = {  # and the number of arguments, -1 for two or more
    "abs": (abs, 1),
    "exp": (math.exp, 1),
    "log": (math.log, 1),
    "max": (max, -1),
    "min": (min, -1),
    "sqrt": (math.sqrt, 1),
}
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: math.pow,
}
_LONGEST = 300


@dataclass(frozen=True)
class Formula:
    """A formula of metric names, numbers, ``+ - * / **``, parentheses and ``FUNCTIONS``."""

    text: str

    def __post_init__(self) -> None:
        _parse(self.text)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics it reads, in order."""
        return _parse(self.text)[1]

    def value(self, vector: Floats) -> float:
        """Return the formula of a metrics vector, NaN where it is undefined (a logarithm of a negative number).

        A metric with a direction has its value as an objective: an undefined one is its worst value or its cap.
        """
        try:
            value = float(_parse(self.text)[0](vector))
        except (ArithmeticError, ValueError):
            return math.nan
        return value if math.isfinite(value) else math.nan


@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[_Number, tuple[str, ...]]:
    if len(text) > _LONGEST:
        raise ConfigError(f"the formula has {len(text)} characters; at most {_LONGEST} are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{text!r} is no formula; write one such as sharpe * sqrt(total_trades)") from None
    names: dict[str, None] = {}
    number = _number(tree.body, names)
    if not names:
        raise ConfigError(f"{text!r} names no metric")
    return number, tuple(names)


def _number(node: ast.expr, names: dict[str, None]) -> _Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e300:
            constant = float(value)
            return lambda vector: constant
        case ast.Name(id=name):
            return _metric(name, names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand, names)
            return lambda vector: -inner(vector)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _number(operand, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            apply, a, b = _OPERATORS[type(op)], _number(left, names), _number(right, names)
            return lambda vector: apply(a(vector), b(vector))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _call(name, args, names)
    raise ConfigError(
        f"{ast.unparse(node)!r} is not allowed in a formula: use metrics, numbers, + - * / **, parentheses, and "
        + ", ".join(FUNCTIONS)
    )


def _call(name: str, args: list[ast.expr], names: dict[str, None]) -> _Number:
    if name not in FUNCTIONS:
        raise ConfigError(unknown("function", name, FUNCTIONS))
    function, count = FUNCTIONS[name]
    if (len(args) != count) if count > 0 else len(args) < 2:
        raise ConfigError(f"{name} takes {'two or more arguments' if count < 0 else 'one argument'}, got {len(args)}")
    parts = [_number(arg, names) for arg in args]
    return lambda vector: function(*(part(vector) for part in parts))


def _metric(name: str, names: dict[str, None]) -> _Number:
    if name not in METRIC_INDEX:
        raise ConfigError(unknown("metric", name, [*METRIC_INDEX, *FUNCTIONS]))
    names[name] = None
    column = METRIC_INDEX[name]
    if METRICS[column].better is None:
        return lambda vector: float(vector[column])
    return lambda vector: objective_value(vector[: len(METRICS)], name)
