"""YAML into pydantic models, with errors that name the file, the line, the key and the value."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from forge_core.errors import ConfigError, suggest
from forge_core.yaml_limits import MOST_DEPTH, check_limits, read_text_file

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]
Fault = tuple[Location, str, Any]  # location in the model, message, the wrong value

_MOST_FAULTS = 30
_MOST_SHOWN = 200


def _in_key_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_key_order(value[key]) for key in sorted(value)}
    return [_in_key_order(entry) for entry in value] if isinstance(value, list) else value


InKeyOrder = AfterValidator(_in_key_order)
"""Annotates the mappings of a spec: sorted by key at every depth, so that a JSON file with sorted keys, which is how
manifests and hashes are written, restores the same order."""


def with_names(field: str) -> BeforeValidator:
    """Return the validator of a mapping that sets each entry's ``field`` to its key; other values stay as they are."""

    def named(entries: Any) -> Any:
        if not isinstance(entries, dict):
            return entries
        return {key: {field: key, **entry} if isinstance(entry, dict) else entry for key, entry in entries.items()}

    return BeforeValidator(named)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML forbids and PyYAML keeps silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} cannot be a key", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, source: str) -> tuple[Any, dict[Location, int]]:
    """Load YAML safely; return the value and, for each location in it, its line (counted from 1).

    Raises ConfigError naming ``source`` and the line when the text is not YAML, has a duplicate key, or is larger or
    nested more deeply than ``forge_core.yaml_limits`` allows.
    """
    check_limits(text, source)
    try:
        node = yaml.compose(text, Loader=_UniqueKeyLoader)
        value = yaml.load(text, Loader=_UniqueKeyLoader)  # a SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-45 looks like a date and is none
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"{where}: not valid YAML: {problem}") from error
    lines: dict[Location, int] = {}

    def walk(node: yaml.Node | None, location: Location) -> None:
        if node is None:
            return
        lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, child in node.value:
                lines[(*location, key.value)] = key.start_mark.line + 1
                walk(child, (*location, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, child in enumerate(node.value):
                walk(child, (*location, index))

    walk(node, ())
    return value, lines


def line_of(lines: dict[Location, int], location: Location) -> int | None:
    """Return the line of ``location`` or of the nearest enclosing location that has one."""
    for end in range(len(location), -1, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return None


def validate_model(model: type[Model], value: Any, *, source: str, lines: dict[Location, int] | None = None) -> Model:
    """Validate ``value`` as ``model``; raise ConfigError with one line per error (file, line, key, value)."""
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: a mapping of keys is expected, got {_shown(value)}")
    if _depth_exceeds(value, MOST_DEPTH):
        raise ConfigError(f"{source}: nested more than {MOST_DEPTH} levels deep; write it flatter")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors()
        faults = [_fault(model, value, fault, source, lines or {}) for fault in found[:_MOST_FAULTS]]
        if len(found) > _MOST_FAULTS:
            faults.append(f"{source}: ... and {len(found) - _MOST_FAULTS:,} more")
        raise ConfigError("\n".join(dict.fromkeys(faults))) from error


def load_yaml_model(path: Path, model: type[Model]) -> Model:
    """Read ``path`` and validate it as ``model``; every fault is one line of the ConfigError."""
    value, lines = parse_yaml(read_text_file(path), str(path))
    return validate_model(model, value, source=str(path), lines=lines)


def _shown(value: Any) -> str:
    """Return a wrong value as text that fits a message."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _depth_exceeds(value: Any, limit: int) -> bool:
    """Whether lists and mappings are nested more than ``limit`` deep, or in a circle."""
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = list({id(inner): inner for inner in level if isinstance(inner, dict | list) and inner}.values())
        if not level:
            return False
    return True


def _fault(model: type[BaseModel], value: Any, fault: Any, source: str, lines: dict[Location, int]) -> str:
    location = _place(value, tuple(fault["loc"]), missing=fault["type"] == "missing")
    line = line_of(lines, location)
    where = f"{source}:{line}" if line else source
    key = ".".join(str(part) for part in location) or "(whole file)"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        hint = suggest(str(location[-1]), known) or (f"; known keys: {', '.join(sorted(known))}" if known else "")
        return f"{where}: unknown key {key!r}{hint}"
    if fault["type"] == "missing":
        return f"{where}: {key} is missing"
    got = "" if isinstance(fault["input"], dict | list) else f", got {_shown(fault['input'])}"
    return f"{where}: {key}: {message}{got}"


def _place(value: Any, location: Location, *, missing: bool) -> Location:
    """Return the parts of pydantic's ``location`` that the file has, without the branches of unions among them."""
    place: list[str | int] = []
    for part in location:
        held: Any = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(held, dict) and part in held:
            value = held[part]
            place.append(part)
    return (*place, location[-1]) if missing else tuple(place)


def _known_keys(model: type[BaseModel], location: Location) -> set[str]:
    """Return the keys allowed at ``location`` of ``model``, through optional, listed and mapped models alike."""
    models = [model]
    for part in location:
        fields = [m.model_fields[part] for m in models if isinstance(part, str) and part in m.model_fields]
        if fields:  # else the part is a list's index or a mapping's key: the models are its own already
            models = [found for field in fields for found in _models(field.annotation)]
    return {field.alias or name for m in models for name, field in m.model_fields.items()}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(getattr(annotation, "__value__", annotation)) for found in _models(part)]


def raise_faults(title: str, faults: Sequence[Fault]) -> None:
    """Raise one ValidationError of all ``faults``; return quietly when there is none.

    Inside a pydantic validator the locations count from the model that is being validated.
    """
    if faults:
        raise ValidationError.from_exception_data(
            title,
            [
                InitErrorDetails(
                    type=PydanticCustomError("inconsistent", "{message}", {"message": message}), loc=place, input=value
                )
                for place, message, value in faults
            ],
        )
