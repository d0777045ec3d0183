"""Registry of all features by name: TA-Lib's indicators, Forge's own, structures, calendar and bar fields."""

from collections.abc import Mapping
from typing import cast

from forge_core.errors import PlayError, unknown
from forge_core.extension_files import Part, find_part, load_extensions, refusals_note
from forge_core.features.catalogue.calendar import CALENDAR
from forge_core.features.catalogue.cutler_rsi import RSI_SMA
from forge_core.features.catalogue.ichimoku import ICHIMOKU
from forge_core.features.catalogue.prices import PRICES
from forge_core.features.catalogue.relative import RELATIVE_CLOSE
from forge_core.features.catalogue.structures import STRUCTURES
from forge_core.features.catalogue.talib.indicators import INDICATORS
from forge_core.features.definition import FeatureDefinition, Output, Parameter
from forge_core.features.reference import FeatureRef
from forge_core.features.scale import Scale
from forge_core.features.transforms import transformed_scale
from forge_core.market.reference.timeframes import Timeframe

__all__ = [
    "FeatureDefinition",
    "Output",
    "Parameter",
    "all_features",
    "builtin_features",
    "column_scale",
    "extension_part",
    "get_feature",
    "is_builtin",
    "make_reference",
    "searchable",
]

_BUILTIN: dict[str, FeatureDefinition] = {
    definition.name: definition
    for definition in (*PRICES, *CALENDAR, RELATIVE_CLOSE, *INDICATORS, RSI_SMA, ICHIMOKU, *STRUCTURES)
}


def get_feature(name: str) -> FeatureDefinition:
    """Return the feature named ``name``, Forge's or an extension's; raises PlayError with the nearest known name."""
    if name in _BUILTIN:
        return _BUILTIN[name]
    part = extension_part(name)
    if part is not None:
        return cast(FeatureDefinition, part.value)
    known = [definition.name for definition in all_features()]
    raise PlayError(unknown("feature", name, known) + refusals_note())


def extension_part(name: str) -> Part | None:
    """Return the extension that is the feature named ``name``, None if it is one of Forge's or unknown."""
    return None if name in _BUILTIN else find_part("indicator", name) or find_part("structure", name)


def is_builtin(name: str) -> bool:
    """Whether Forge itself has a feature of that name."""
    return name in _BUILTIN


def builtin_features() -> tuple[FeatureDefinition, ...]:
    """Return Forge's own features, in a fixed order."""
    return tuple(_BUILTIN.values())


def all_features() -> tuple[FeatureDefinition, ...]:
    """Return every feature, in a fixed order: Forge's, then those of extensions."""
    loaded = load_extensions()
    own = (*loaded.of_kind("indicator").values(), *loaded.of_kind("structure").values())
    return (*_BUILTIN.values(), *(cast(FeatureDefinition, part.value) for part in own))


def searchable() -> tuple[FeatureDefinition, ...]:
    """Return Forge's features that an evolution may use, in a fixed order; each has finite ``combinations()``.

    A study names those of extensions that it uses: a new file does not change the space of other studies.
    """
    return tuple(definition for definition in _BUILTIN.values() if definition.search)


def make_reference(
    name: str,
    params: Mapping[str, object],
    *,
    output: str | None = None,
    timeframe: str,
    transform: str = "",
    symbol: str = "",
) -> FeatureRef:
    """Return the fully resolved reference of one column, with defaults filled in.

    Raises PlayError for an unknown feature, parameter, output or transform or an impossible value, ConfigError for a
    malformed ``timeframe``.
    """
    definition = get_feature(name)
    column = definition.output(output).name
    transformed_scale(definition.output(column).scale, transform)
    label = Timeframe.parse(timeframe).label
    return FeatureRef(name, definition.resolve(params), column, label, transform, symbol)


def column_scale(reference: FeatureRef) -> Scale:
    """Return the scale of a column, after its transform."""
    return transformed_scale(get_feature(reference.name).output(reference.output).scale, reference.transform)
