"""Parameter grids: every combination of the values listed, but for those that make no sense."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from forge_core.errors import unknown

Model = TypeVar("Model", bound=BaseModel)
Fault = tuple[tuple[str | int, ...], str, Any]  # where in the grid, what is wrong, the value

MOST_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Grid(Generic[Model]):
    """The combinations of a grid in the order of the model's fields, and why each of the others was refused."""

    combinations: tuple[Model, ...]
    refused: tuple[str, ...]


def grid_faults(model: type[BaseModel], grid: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with single values of ``grid``: unknown parameters, and values out of their bounds."""
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
            faults.append(((name,), "a list of values to test is empty", values))
    size = math.prod(len(values) if isinstance(values, list) else 1 for values in grid.values())
    if size > MOST_COMBINATIONS:
        faults.append(((), f"{size:,} combinations; at most {MOST_COMBINATIONS:,} are tested", grid))
    return faults


def moved(place: tuple[str | int, ...], faults: list[Fault]) -> list[Fault]:
    """Return the faults of a grid as those of what holds it at ``place``."""
    return [((*place, *inner), message, value) for inner, message, value in faults]


def expand(model: type[Model], grid: Mapping[str, Any]) -> Grid[Model]:
    """Return every combination of ``grid`` (a value or a list of values by parameter) that ``model`` accepts.

    Parameters that are not named keep their defaults; a value given twice counts once. ``grid`` has no faults of its
    own (``grid_faults``).
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
    """Return each value with its place."""
    if isinstance(values, list):
        return [((name, index), value) for index, value in enumerate(values)]
    return [((name,), values)]


def _first_message(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
