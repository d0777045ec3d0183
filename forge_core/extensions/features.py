"""Own indicators and structures: a function of bars, its parameters from the signature."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np

from forge_core.errors import ConfigError, PlayError
from forge_core.extension_files import Kind, describe_error, find_part, register, shown_path
from forge_core.extensions.feature_checks import check_feature, probe
from forge_core.features.definition import Bars, FeatureDefinition, Floats, Output, Parameter, Params
from forge_core.features.reference import Number
from forge_core.features.registry import is_builtin
from forge_core.features.relations import Order, Relations
from forge_core.features.scale import Scale, ScaleKind
from forge_core.source_hash import source_hash

ScaleLike = str | tuple[float, float]
Function = Callable[..., Any]

_KINDS = ("price", "centred", "volume", "unbounded")
_HIGHEST = 100_000


def indicator(
    *,
    scale: ScaleLike | None = None,
    outputs: Mapping[str, ScaleLike] | None = None,
    grids: Mapping[str, Sequence[Number]] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    thresholds: Sequence[float] | Mapping[str, Sequence[float]] = (),
    lookback: Callable[..., int] | None = None,
    ascending: Sequence[str] = (),
    ordered: Sequence[str] = (),
    directed: bool = True,
) -> Callable[[Function], Function]:
    """Register a function as an indicator of Plays, searches and mass tests, under its own name.

    The function takes ``bars`` (open, high, low, close, volume: float64 arrays, read-only) and its parameters with
    defaults, and returns an array, or a tuple of arrays in the order of ``outputs``: one value per bar, NaN where
    undefined. A whole default means a whole parameter. Its first docstring line describes it.

    ``scale``: ``price``, ``centred``, ``volume``, ``unbounded``, or bounds ``(low, high)``; several outputs are given
    by ``outputs``, name to scale. ``grids``: values of each parameter in a search. ``ranges``: bounds of parameters.
    ``thresholds``: constants that a search compares an output with. ``lookback(**parameters)``: bars before the first
    value, measured if not given. ``ascending``: parameters that must rise. ``ordered``: outputs from the lowest to
    the highest, if they never cross. ``directed``: False for a measure of strength or width, which does not change
    sign when a rule is mirrored.
    """
    return _feature("indicator", locals())


def structure(
    *,
    scale: ScaleLike | None = None,
    outputs: Mapping[str, ScaleLike] | None = None,
    grids: Mapping[str, Sequence[Number]] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    thresholds: Sequence[float] | Mapping[str, Sequence[float]] = (),
    lookback: Callable[..., int] | None = None,
    ascending: Sequence[str] = (),
    ordered: Sequence[str] = (),
    directed: bool = True,
) -> Callable[[Function], Function]:
    """Register a function as a market structure; the arguments are those of ``indicator``."""
    return _feature("structure", locals())


def _feature(kind: Kind, options: dict[str, Any]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        code = function.__code__
        definition = _definition(kind, function, options)
        other: Kind = "structure" if kind == "indicator" else "indicator"
        if find_part(other, definition.name) is not None:
            raise ConfigError(f"{kind} {definition.name!r} has the name of another extension, a {other}; rename it")
        check_feature(definition)
        register(
            kind,
            definition.name,
            definition,
            line=code.co_firstlineno,
            file=code.co_filename,
            source=source_hash(function, *([options["lookback"]] if options["lookback"] else [])),
        )
        return function

    return decorate


def _definition(kind: Kind, function: Function, options: dict[str, Any]) -> FeatureDefinition:
    name = function.__name__
    if is_builtin(name):
        raise ConfigError(f"{kind} {name!r} has the name of one of Forge's features; rename it")
    outputs = _outputs(name, options)
    parameters = _parameters(name, function, options)
    computation = _computation(kind, name, function, len(outputs))
    lookback = options["lookback"]

    def declared(params: Params) -> int:
        return int(lookback(**params))

    ascending = tuple(options["ascending"])
    ordered = tuple(options["ordered"])
    unknown = [each for each in ordered if each not in {output.name for output in outputs}]
    if unknown:
        raise ConfigError(f"{name}: ordered names {unknown[0]!r}; its outputs are {', '.join(o.name for o in outputs)}")
    return FeatureDefinition(
        name=name,
        kind=cast(Any, kind),
        description=f"{(inspect.getdoc(function) or name).splitlines()[0].rstrip('.')}.",
        parameters=parameters,
        outputs=outputs,
        default_output=outputs[0].name,
        function=computation,
        bars_needed=declared if lookback else _measured(computation, [p.name for p in parameters]),
        ascending=(ascending,) if ascending else (),
        search=all(parameter.grid for parameter in parameters),
        relations=Relations(tuple(Order(low, high) for low, high in pairwise(ordered))),
        directed=options["directed"],
    )


def _outputs(name: str, options: dict[str, Any]) -> tuple[Output, ...]:
    scale, outputs, thresholds = options["scale"], options["outputs"], options["thresholds"]
    if (scale is None) == (outputs is None):
        raise ConfigError(f"{name}: give scale=... for one output, or outputs={{name: scale, ...}} for several")
    scales: dict[str, ScaleLike] = {"real": scale} if outputs is None else dict(outputs)
    given = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(scales, thresholds)
    for output in given:
        if output not in scales:
            raise ConfigError(f"{name}: thresholds of {output!r}; its outputs are {', '.join(scales)}")
    return tuple(
        Output(output, _scale(name, like), tuple(sorted(float(value) for value in given.get(output, ()))))
        for output, like in scales.items()
    )


def _scale(name: str, like: ScaleLike) -> Scale:
    if isinstance(like, str):
        if like not in _KINDS:
            raise ConfigError(f"{name}: unknown scale {like!r}; use {', '.join(_KINDS)}, or bounds such as (0, 100)")
        return Scale(cast(ScaleKind, like))
    low, high = (float(value) for value in like)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{name}: the scale is {like}; bounds are two numbers, the lower first")
    return Scale("bounded", low, high)


def _parameters(name: str, function: Function, options: dict[str, Any]) -> tuple[Parameter, ...]:
    grids, ranges = options["grids"] or {}, options["ranges"] or {}
    given = list(inspect.signature(function).parameters.values())
    if not given or given[0].name != "bars":
        raise ConfigError(f"{name}: the first parameter must be bars, such as def {name}(bars, timeperiod=20)")
    parameters = []
    for each in given[1:]:
        default = each.default
        if isinstance(default, bool) or not isinstance(default, int | float):
            raise ConfigError(f"{name}: parameter {each.name} needs a number as default, such as {each.name}=20")
        whole = isinstance(default, int)
        grid = tuple(sorted({int(v) if whole else float(v) for v in grids.get(each.name, ())}))
        low, high = ranges.get(each.name, (min(1, default, *grid) if whole else -1e9, _HIGHEST if whole else 1e9))
        parameter = Parameter(each.name, default, whole, low, high, grid)
        for value in (default, *grids.get(each.name, ())):
            parameter.check(value, name)
        parameters.append(parameter)
    for key in (*grids, *ranges, *options["ascending"]):
        if key not in [parameter.name for parameter in parameters]:
            raise ConfigError(f"{name}: {key!r} is no parameter; they are {', '.join(p.name for p in parameters)}")
    return tuple(parameters)


def _computation(
    kind: str, name: str, function: Function, outputs: int
) -> Callable[[Bars, Params], tuple[Floats, ...]]:
    file, line = function.__code__.co_filename, function.__code__.co_firstlineno

    def compute(bars: Bars, params: Params) -> tuple[Floats, ...]:
        try:
            result = function(bars, **params)
        except Exception as error:
            raise PlayError(f"{describe_error(error, file)} (in {kind} {name})") from None
        columns = result if isinstance(result, tuple) else (result,)
        size = len(bars["close"])
        try:
            arrays = tuple(np.asarray(column, np.float64) for column in columns)
        except (TypeError, ValueError) as error:
            raise PlayError(f"{shown_path(file)}:{line}: {kind} {name} returned no array of numbers: {error}") from None
        if len(arrays) != outputs or any(array.shape != (size,) for array in arrays):
            got = ", ".join(str(array.shape) for array in arrays)
            raise PlayError(
                f"{shown_path(file)}:{line}: {kind} {name} returned arrays of shape {got}; expected {outputs} of "
                f"({size},), one value per bar"
            )
        return arrays

    return compute


def _measured(compute: Callable[[Bars, Params], tuple[Floats, ...]], names: list[str]) -> Callable[[Params], int]:
    """Return the number of bars before the first value, measured on bars of a random walk."""

    @lru_cache(maxsize=1024)
    def first(values: tuple[Number, ...]) -> int:
        params = dict(zip(names, values, strict=True))
        bars = probe(1, 400 + 3 * int(sum(abs(value) for value in values if isinstance(value, int))))
        return max(int(np.argmax(~np.isnan(column))) for column in compute(bars, params))

    return lambda params: first(tuple(params[name] for name in names))
