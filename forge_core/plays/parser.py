"""Parser of Plays in YAML; an error gives the file, the line and what is expected."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from forge_core.configuration import Location, line_of, parse_yaml, validate_model
from forge_core.errors import ConfigError, PlayError, suggest, unknown
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import all_features, make_reference
from forge_core.plays.model import Group, Play, Rule
from forge_core.plays.rules import Scope, parse_rule
from forge_core.plays.schema import AllOf, AnyOf, AtLeast, FeatureShape, PlayShape
from forge_core.plays.validation import Place, check_play
from forge_core.plays.writer import play_to_dict, play_to_yaml
from forge_core.yaml_limits import read_text_file

__all__ = ["load_play", "parse_play", "play_to_dict", "play_to_yaml"]

Result = TypeVar("Result")


def load_play(path: str | Path) -> Play:
    """Read the Play in the YAML file at ``path``; raises PlayError with one line per error."""
    path = Path(path)
    try:
        text = read_text_file(path)
    except ConfigError as error:
        raise PlayError(str(error)) from error
    return parse_play(text, str(path))


def parse_play(text_or_mapping: str | Mapping[str, Any], source: str = "") -> Play:
    """Read a Play from YAML text or from an already parsed mapping.

    ``source`` names the origin in errors, usually the file. Raises PlayError with one line per error.
    """
    source = source or "Play"
    lines: dict[Location, int] = {}
    try:
        value: Any = text_or_mapping
        if isinstance(text_or_mapping, str):
            value, lines = parse_yaml(text_or_mapping, source)
        elif isinstance(text_or_mapping, Mapping):
            value = dict(text_or_mapping)
        shape = validate_model(PlayShape, value, source=source, lines=lines)
    except ConfigError as error:
        raise PlayError(str(error)) from error
    return _Parser(source, lines).play(shape)


class _Parser:
    """Converts the YAML shape to the model, and records the file location of each feature and rule."""

    def __init__(self, source: str, lines: dict[Location, int]) -> None:
        self.source = source
        self.lines = lines
        self.errors: list[str] = []
        self.places: dict[Place, str] = {}

    def play(self, shape: PlayShape) -> Play:
        """Build and check the Play; each stage reports all its errors before the next one starts."""
        sides = [(key, side) for key in ("entry", "exit") for side in ("long", "short")]
        self.places = {place: self.where(place) for place in [*((key,) for key in PlayShape.model_fields), *sides]}
        features = {name: self.feature(name, feature, shape.timeframe) for name, feature in shape.features.items()}
        self.raise_errors()
        scope = Scope(shape.timeframe, {name: reference for name, reference in features.items() if reference})
        entry_long = self.side(("entry", "long"), shape.entry.long, scope)
        entry_short = self.side(("entry", "short"), shape.entry.short, scope)
        exit_long = self.side(("exit", "long"), shape.exit.long, scope)
        exit_short = self.side(("exit", "short"), shape.exit.short, scope)
        self.raise_errors()
        play = Play(
            name=shape.name,
            timeframe=shape.timeframe,
            entry_long=entry_long,
            entry_short=entry_short,
            exit_long=exit_long,
            exit_short=exit_short,
            risk=shape.risk.settings(),
            sides=shape.sides,
            warmup_bars=shape.warmup_bars,
            features=scope.features,
            when=shape.when.when() if shape.when else None,
            flat_by=shape.flat_by_minutes,
        )
        check_play(play, self.places)
        return play

    def where(self, location: Location) -> str:
        """Return the label of a location in the file: ``ema.yaml:7: entry.long``."""
        line = line_of(self.lines, location)
        at = f"{self.source}:{line}" if line else self.source
        return f"{at}: {'.'.join(str(part) for part in location if isinstance(part, str))}"

    def raise_errors(self) -> None:
        if self.errors:
            raise PlayError("\n".join(self.errors))

    def attempt(self, where: str, build: Callable[[], Result]) -> Result | None:
        """Return the result of ``build``, or record its error and return None."""
        try:
            return build()
        except (PlayError, ConfigError) as error:
            self.errors.append(f"{where}: {error}")
            return None

    def feature(self, name: str, shape: FeatureShape, timeframe: str) -> FeatureRef | None:
        location = ("features", name)
        self.places[location] = self.where(location)
        return self.attempt(self.places[location], lambda: _feature(shape, timeframe))

    def side(self, place: Place, shape: Any, scope: Scope) -> Group | None:
        if shape is None:
            return None
        if isinstance(shape, str):
            rule = self.rule(place, (*place, 0), shape, scope)
            return Group(1, (rule,)) if rule is not None else None
        group = self.rule(place, place, shape, scope)
        return group if isinstance(group, Group) else None

    def rule(self, location: Location, place: Place, shape: Any, scope: Scope) -> Rule | None:
        """Parse the rule or group at ``location`` in the file; its position in the Play is ``place``."""
        self.places[place] = self.where(location)
        match shape:
            case str():
                self.places[place] += f": {shape!r}"
                return self.attempt(self.places[place], lambda: parse_rule(shape, scope))
            case AllOf(all=inner):
                at_least, key = len(inner), "all"
            case AnyOf(any=inner):
                at_least, key = 1, "any"
            case AtLeast(at_least=at_least, of=inner):
                key = "of"
            case _:
                inner, at_least, key = shape, len(shape), ""
        base = (*location, key) if key else location
        rules = [self.rule((*base, i), (*place, i), item, scope) for i, item in enumerate(inner)]
        return Group(at_least, tuple(rule for rule in rules if rule is not None))


def _feature(shape: FeatureShape, timeframe: str) -> FeatureRef:
    kinds = {definition.name: definition.kind for definition in all_features()}
    if shape.what not in kinds:
        known = [name for name, kind in kinds.items() if kind == shape.kind]
        hint = suggest(shape.what, known)
        raise PlayError(
            f"unknown {shape.kind} {shape.what!r}{hint}" if hint else unknown(shape.kind, shape.what, known)
        )
    if kinds[shape.what] != shape.kind:
        raise PlayError(f"{shape.what} is not of kind {shape.kind}; write {kinds[shape.what]}: {shape.what}")
    return make_reference(
        shape.what,
        shape.parameters,
        output=shape.output,
        timeframe=shape.timeframe or timeframe,
        transform=shape.step,
        symbol=shape.other,
    )
