"""Parameter grids: all valid combinations of the listed values."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from forge_core.errors import unknown

Model = TypeVar("Model", bound=BaseModel)
Fault = tuple[tuple[str | int, ...], str, Any]  # path in the grid, message, value

MOST_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Grid(Generic[Model]):
    """The valid combinations of a grid in the order of the model's fields, and the reason for each rejected one."""

    combinations: tuple[Model, ...]
    refused: tuple[str, ...]


def grid_faults(model: type[BaseModel], grid: Mapping[str, Any]) -> list[Fault]:
    """Return the errors of single values of ``grid``: unknown parameters, and values out of bounds."""
    faults: list[Fault] = []
    for name, values in grid.items():
        if name not in model.model_fields:
            faults.append(((name,), unknown("parameter", name, model.model_fields), grid))
            continue
        field = model.model_fields[name]
        annotation: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(strict=True))
        for place, value in _listed(name, values):
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                faults.append((place, _first_message(error), value))
        if isinstance(values, list) and not values:
            faults.append(((name,), "the list of values is empty: give at least one value", values))
    size = math.prod(len(values) if isinstance(values, list) else 1 for values in grid.values())
    if size > MOST_COMBINATIONS:
        faults.append(((), f"{size:,} combinations; expected at most {MOST_COMBINATIONS:,}: list fewer values", grid))
    return faults


def moved(place: tuple[str | int, ...], faults: list[Fault]) -> list[Fault]:
    """Return the errors of a grid with ``place`` as prefix of their paths."""
    return [((*place, *inner), message, value) for inner, message, value in faults]


def expand(model: type[Model], grid: Mapping[str, Any]) -> Grid[Model]:
    """Return all combinations of ``grid`` (a value or a list of values by parameter) that ``model`` accepts.

    Other parameters have their defaults; duplicate values are used once. ``grid`` must have passed ``grid_faults``.
    """
    names = [name for name in model.model_fields if name in grid]
    axes = [list(dict.fromkeys(value for _, value in _listed(name, grid[name]))) for name in names]
    accepted: dict[Model, None] = {}
    refused = []
    for values in itertools.product(*axes):
        try:
            accepted[model.model_validate(dict(zip(names, values, strict=True)))] = None
        except ValidationError as error:
            refused.append(_first_message(error))
    return Grid(tuple(accepted), tuple(refused))


def _listed(name: str, values: Any) -> list[tuple[tuple[str | int, ...], Any]]:
    """Return each value with its path."""
    if isinstance(values, list):
        return [((name, index), value) for index, value in enumerate(values)]
    return [((name,), values)]


def _first_message(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
