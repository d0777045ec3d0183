"""TA-Lib's indicators as feature definitions: names, parameters, inputs and outputs are TA-Lib's own metadata.

What TA-Lib does not say (scales, thresholds, search grids) is declared in ``talib_catalogue``.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import talib
from talib import abstract

from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.reference import Number
from forge_core.features.talib_catalogue import CATALOGUE, Entry

_HIGHEST_PERIOD = 100_000  # TA-Lib's own limit
_HIGHEST_REAL = 1e9
_HIGHEST_MA_TYPE = 13


def _parameter(
    function: Any, name: str, default: Number, grid: tuple[Number, ...], bounds: Mapping[str, tuple[float, float]]
) -> Parameter:
    """Describe one parameter; TA-Lib is asked for the lowest period it takes (its lookback is -1 for a refusal)."""
    integer = isinstance(default, int)
    if name in bounds:
        low, high = bounds[name]
    elif name.endswith("matype"):
        low, high = 0, _HIGHEST_MA_TYPE
    elif integer:
        defaults = dict(function.info["parameters"])
        low = next(value for value in (1, 2) if _lookback(function, {**defaults, name: value}) >= 0)
        high = _HIGHEST_PERIOD
    else:
        low, high = 0.0, _HIGHEST_REAL
    return Parameter(name, default, integer, low, high, grid)


def _lookback(function: Any, params: Params) -> int:
    function.set_parameters(dict(params))
    return int(function.lookback)


def _definition(entry: Entry) -> FeatureDefinition:
    name = entry.name.upper()
    function = abstract.Function(name)  # type: ignore[attr-defined]  # missing from its stubs
    info = function.info
    call = getattr(talib, name)
    inputs = [
        field for value in info["input_names"].values() for field in ([value] if isinstance(value, str) else value)
    ]
    defaults = dict(info["parameters"])
    parameters = tuple(
        _parameter(function, key, value, entry.grids.get(key, ()), entry.bounds) for key, value in defaults.items()
    )

    def bars_needed(params: Params) -> int:
        return _lookback(function, params)

    def compute(bars: Bars, params: Params) -> tuple[Floats, ...]:
        result = call(*(bars[field] for field in inputs), **params)
        columns = result if isinstance(result, tuple) else (result,)
        return tuple(c if c.dtype == np.float64 else _integers(c, bars, inputs, bars_needed(params)) for c in columns)

    return FeatureDefinition(
        name=entry.name,
        kind="indicator",
        description=info["display_name"],
        parameters=parameters,
        outputs=tuple(
            Output(output, entry.scale_of(output), entry.thresholds_of(output)) for output in info["output_names"]
        ),
        default_output=entry.default_output or info["output_names"][0],
        function=compute,
        bars_needed=bars_needed,
        ascending=entry.ascending,
        search=entry.search,
    )


def _integers(column: Any, bars: Bars, inputs: list[str], lookback: int) -> Floats:
    """Return an integer output as floats: TA-Lib writes 0 where it has no value yet, Forge NaN."""
    values = column.astype(np.float64)
    complete = ~np.isnan(sum((bars[field] for field in inputs), start=np.zeros(values.size)))
    first = int(np.argmax(complete)) if complete.any() else values.size
    values[: min(first + lookback, values.size)] = math.nan
    return values


INDICATORS = tuple(_definition(entry) for entry in CATALOGUE)
