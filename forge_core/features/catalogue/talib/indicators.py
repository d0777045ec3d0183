"""TA-Lib's indicators as feature definitions.

Names, parameters, inputs and outputs are from TA-Lib's metadata; scales, thresholds and search grids from
``features.catalogue.talib``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import talib
from talib import abstract

from forge_core.features.catalogue.talib import CATALOGUE
from forge_core.features.catalogue.talib.entry import Entry
from forge_core.features.catalogue.undefined import UNDEFINED, UndefinedAt, blank
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.reference import Number

_HIGHEST_PERIOD = 100_000  # TA-Lib's own limit
_HIGHEST_AVERAGE_TYPE = 13
_REAL_RANGES = {
    "fastlimit": (0.01, 0.99),
    "slowlimit": (0.01, 0.99),
    "vfactor": (0.0, 1.0),
    "percentile": (0.0, 100.0),
    "startvalue": (-1e9, 1e9),
}
_OTHER_REALS = (0.0, 1e9)  # multipliers, accelerations, penetrations; TA-Lib accepts a larger, useless range


def _lookback(function: Any, params: Params) -> int:
    """Return TA-Lib's number of bars before the first value, -1 for invalid parameters; its state is per thread."""
    function.set_parameters(dict(params))
    return int(function.lookback)


def _parameter(function: Any, name: str, default: Number, grid: tuple[Number, ...]) -> Parameter:
    if isinstance(default, float):
        low, high = _REAL_RANGES.get(name, _OTHER_REALS)
        return Parameter(name, default, False, low, high, grid)
    if name.endswith("matype"):
        return Parameter(name, default, True, 0, _HIGHEST_AVERAGE_TYPE, grid)
    defaults = dict(function.info["parameters"])
    lowest = next(value for value in (1, 2) if _lookback(function, {**defaults, name: value}) >= 0)
    return Parameter(name, default, True, lowest, _HIGHEST_PERIOD, grid)


def _definition(entry: Entry) -> FeatureDefinition:
    name = entry.name.upper()
    function = abstract.Function(name)  # type: ignore[attr-defined]  # missing from its stubs
    info = function.info
    parameters = tuple(
        _parameter(function, key, default, entry.grids.get(key, ())) for key, default in info["parameters"].items()
    )
    outputs = tuple(Output(key, entry.scale_of(key), entry.thresholds_of(key)) for key in info["output_names"])

    def bars_needed(params: Params) -> int:
        return _lookback(function, params)

    return FeatureDefinition(
        name=entry.name,
        kind="indicator",
        description=f"{info['display_name']}.",
        parameters=parameters,
        outputs=outputs,
        default_output=entry.default_output or outputs[0].name,
        function=_computation(getattr(talib, name), _input_fields(info), bars_needed, UNDEFINED.get(entry.name)),
        bars_needed=bars_needed,
        ascending=entry.ascending,
        tied=entry.tied,
        search=bool(entry.grids) or entry.search,
        relations=entry.relations,
    )


def _input_fields(info: Any) -> tuple[str, ...]:
    """Return the bar fields that a TA-Lib function takes, in the order of its arguments."""
    names = info["input_names"].values()
    return tuple(field for value in names for field in ([value] if isinstance(value, str) else value))


def _computation(
    call: Callable[..., Any],
    fields: tuple[str, ...],
    bars_needed: Callable[[Params], int],
    undefined: UndefinedAt | None,
) -> Callable[[Bars, Params], tuple[Floats, ...]]:
    def compute(bars: Bars, params: Params) -> tuple[Floats, ...]:
        inputs = [bars[field] for field in fields]
        result = call(*inputs, **params)
        columns = result if isinstance(result, tuple) else (result,)
        columns = tuple(c if c.dtype == np.float64 else _floats(c, inputs, bars_needed(params)) for c in columns)
        if undefined is not None:
            blank(columns, undefined, bars, params)
        return columns

    return compute


def _floats(column: Any, inputs: list[Floats], lookback: int) -> Floats:
    """Return an integer column as floats, NaN in the warm-up where TA-Lib writes 0."""
    values = column.astype(np.float64)
    missing = np.isnan(np.sum(inputs, axis=0))
    values[: missing.argmin() + lookback if not missing.all() else values.size] = np.nan
    return values


INDICATORS = tuple(_definition(entry) for entry in CATALOGUE)
