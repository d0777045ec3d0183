"""JSON Schema of a Play's YAML file, for completion and validation in editors.

``python -m forge_core.plays.json_schema > docs/play.schema.json`` regenerates the copy that Plays refer to.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from forge_core.features.catalogue.relative import RELATIVE
from forge_core.features.definition import FeatureDefinition
from forge_core.features.registry import builtin_features
from forge_core.plays.schema import FEATURE_KINDS, FeatureShape, PlayShape

_OWN = ("calendar", RELATIVE)  # kinds that take no symbol


class _Optional(GenerateJsonSchema):
    """Schema generator that allows omitting an optional key, but not null as its value."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        result = super().default_schema(schema)
        if "default" in result and result["default"] is None:
            del result["default"]
        return result


def play_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a Play's file, including every feature's parameters and outputs.

    It does not cover the text of the rules and the checks of ``check_play`` (scales, missing exits).
    """
    schema = PlayShape.model_json_schema(schema_generator=_Optional)
    feature = schema["$defs"][FeatureShape.__name__]
    for kind in FEATURE_KINDS:
        if kind != RELATIVE:
            feature["properties"][kind]["enum"] = sorted(d.name for d in builtin_features() if d.kind == kind)
    feature["allOf"] = _feature_rules()
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "Play"}


def _feature_rules() -> list[dict[str, Any]]:
    """Return one if-then for each set of features with the same keys."""
    groups: dict[str, tuple[str, dict[str, Any], list[str]]] = {}
    for definition in builtin_features():
        keys = _keys(definition)
        groups.setdefault(json.dumps([definition.kind, keys]), (definition.kind, keys, []))[2].append(definition.name)
    return [
        {
            "if": {"properties": {} if kind == RELATIVE else {kind: {"enum": names}}, "required": [kind]},
            "then": {
                "properties": keys,
                "propertyNames": {
                    "enum": [kind, "timeframe", "transform", *([] if kind in _OWN else ["symbol"]), *keys],
                },
            },
        }
        for kind, keys, names in groups.values()
    ]


def _keys(definition: FeatureDefinition) -> dict[str, Any]:
    keys: dict[str, Any] = {
        parameter.name: {
            "type": "integer" if parameter.integer else "number",
            "minimum": parameter.low,
            "maximum": parameter.high,
            "default": parameter.default,
        }
        for parameter in definition.parameters
    }
    keys["output"] = {"enum": [output.name for output in definition.outputs], "default": definition.default_output}
    return keys


if __name__ == "__main__":
    print(json.dumps(play_json_schema(), indent=1, allow_nan=False))
