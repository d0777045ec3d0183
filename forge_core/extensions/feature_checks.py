"""Checks of own features on random bars: values, scale, look-ahead, determinism."""

import itertools
from collections.abc import Iterator

import numpy as np

from forge_core.errors import ConfigError
from forge_core.features.column import read_only
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Params

_TOLERANCE = 1e-9  # relative; sums of other lengths may be rounded in another order


def probe(seed: int, size: int) -> Bars:
    """Return bars of a random walk around 100, read-only."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, size)))
    open_ = np.concatenate([close[:1], close[:-1]]) * np.exp(random.normal(0.0, 0.002, size))
    bars = {
        "open": open_,
        "high": np.maximum(open_, close) * (1.0 + np.abs(random.normal(0.0, 0.003, size))),
        "low": np.minimum(open_, close) * (1.0 - np.abs(random.normal(0.0, 0.003, size))),
        "close": close,
        "volume": random.lognormal(3.0, 1.0, size),
    }
    return {name: read_only(column) for name, column in bars.items()}


def check_feature(definition: FeatureDefinition) -> None:
    """Raise ConfigError unless the feature computes what it declares and reads no future bar.

    Tried with the defaults and the corners of the grids.
    """
    for params in _choices(definition):
        size = min(400 + 3 * definition.lookback(params), 20_000)
        bars = probe(2, size)
        values = definition.compute(bars, params)
        where = f"{definition.name}({', '.join(f'{name}={value}' for name, value in params.items())})"
        _check_values(where, definition, params, bars, values)
        _check_repeat(where, values, definition.compute(bars, params))
        _check_scale(where, definition, values, definition.compute(_times(bars, 2.0), params))
        _check_future(where, definition, params, bars, values)


def _choices(definition: FeatureDefinition) -> Iterator[Params]:
    defaults = dict(definition.resolve({}))
    yield defaults
    corners = itertools.product(*({p.grid[0], p.grid[-1]} if p.grid else {p.default} for p in definition.parameters))
    for values in itertools.islice(corners, 8):
        params = dict(zip(defaults, values, strict=True))
        try:
            resolved = dict(definition.resolve(params))
        except ValueError:  # periods that do not ascend
            continue
        if resolved != defaults:
            yield resolved


def _check_values(
    where: str, definition: FeatureDefinition, params: Params, bars: Bars, values: dict[str, Floats]
) -> None:
    lookback, size = definition.lookback(params), len(bars["close"])
    for output in definition.outputs:
        column = values[output.name]
        if np.isnan(column).all():
            raise ConfigError(f"{where}: {output.name} has no value on {size} bars of a random walk; all are NaN")
        if lookback < 0 or np.isnan(column[lookback : lookback + 1]).any():
            first = int(np.argmax(~np.isnan(column)))
            raise ConfigError(
                f"{where}: lookback is {lookback}, but the first value of {output.name} is at bar {first}"
            )
        low, high = output.scale.low, output.scale.high
        found = (float(np.nanmin(column)), float(np.nanmax(column)))
        if low is not None and high is not None and not (low - 1e-9 <= found[0] and found[1] <= high + 1e-9):
            raise ConfigError(
                f"{where}: {output.name} is declared between {low:g} and {high:g}, but has values from {found[0]:g} "
                f"to {found[1]:g}; give wider bounds or scale='unbounded'"
            )


def _check_repeat(where: str, first: dict[str, Floats], second: dict[str, Floats]) -> None:
    for name, column in first.items():
        if not np.array_equal(column, second[name], equal_nan=True):
            raise ConfigError(f"{where}: {name} has other values when computed again on the same bars")


def _check_scale(
    where: str, definition: FeatureDefinition, values: dict[str, Floats], doubled: dict[str, Floats]
) -> None:
    for output in definition.outputs:
        one, two = values[output.name], doubled[output.name]
        factor = {"price": 2.0, "bounded": 1.0, "volume": 1.0}.get(output.scale.kind)
        if factor is not None and not np.allclose(two, factor * one, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise ConfigError(f"{where}: {output.name} is declared {output.scale}, but {_scaling(output, one, two)}")


def _scaling(output: Output, one: Floats, two: Floats) -> str:
    if np.allclose(two, one, rtol=1e-6, equal_nan=True):
        return "does not change when all prices double; declare it centred, unbounded or with bounds"
    if np.allclose(two, 2.0 * one, rtol=1e-6, equal_nan=True):
        return "doubles when all prices double; declare it price, centred or unbounded"
    return "neither doubles nor stays the same when all prices double; declare it centred or unbounded"


def _check_future(
    where: str, definition: FeatureDefinition, params: Params, bars: Bars, values: dict[str, Floats]
) -> None:
    """Compare with bars cut off, and with other bars, after three points of time."""
    size = len(bars["close"])
    other = probe(3, size)
    start = min(definition.lookback(params) + 1, size - 2)
    for cut in sorted({start + (size - start) * part // 4 for part in (1, 2, 3)}):
        changed = {
            name: read_only(np.concatenate([column[:cut], 1.5 * other[name][cut:]])) for name, column in bars.items()
        }
        for what, computed in (
            ("are replaced", definition.compute(changed, params)),
            ("are cut off", definition.compute({name: column[:cut] for name, column in bars.items()}, params)),
        ):
            for name, column in values.items():
                same = np.isclose(computed[name][:cut], column[:cut], rtol=_TOLERANCE, atol=1e-12, equal_nan=True)
                if not same.all():
                    bar = int(np.argmin(same))
                    raise ConfigError(
                        f"{where}: look-ahead: {name} at bar {bar} changes when the bars from {cut} on {what}; the "
                        "value at a bar may depend on that bar and earlier ones only"
                    )


def _times(bars: Bars, factor: float) -> Bars:
    return {name: column if name == "volume" else read_only(factor * column) for name, column in bars.items()}
