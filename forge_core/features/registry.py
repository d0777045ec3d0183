"""Registry of all features by name: TA-Lib's indicators, Forge's own, structures and bar fields."""

from collections.abc import Mapping

from forge_core.errors import PlayError, unknown
from forge_core.features.catalogue.cutler_rsi import RSI_SMA
from forge_core.features.catalogue.ichimoku import ICHIMOKU
from forge_core.features.catalogue.prices import PRICES
from forge_core.features.catalogue.structures import STRUCTURES
from forge_core.features.catalogue.talib.indicators import INDICATORS
from forge_core.features.definition import FeatureDefinition, Output, Parameter
from forge_core.features.reference import FeatureRef
from forge_core.market.reference.timeframes import Timeframe

__all__ = [
    "FeatureDefinition",
    "Output",
    "Parameter",
    "all_features",
    "get_feature",
    "make_reference",
    "searchable",
]

_FEATURES: dict[str, FeatureDefinition] = {
    definition.name: definition for definition in (*PRICES, *INDICATORS, RSI_SMA, ICHIMOKU, *STRUCTURES)
}


def get_feature(name: str) -> FeatureDefinition:
    """Return the feature named ``name``; raises PlayError with the nearest known name."""
    try:
        return _FEATURES[name]
    except KeyError:
        raise PlayError(unknown("feature", name, _FEATURES)) from None


def all_features() -> tuple[FeatureDefinition, ...]:
    """Return every feature, in a fixed order."""
    return tuple(_FEATURES.values())


def searchable() -> tuple[FeatureDefinition, ...]:
    """Return the features that an evolution may use, in a fixed order; each has finite ``combinations()``."""
    return tuple(definition for definition in _FEATURES.values() if definition.search)


def make_reference(name: str, params: Mapping[str, object], *, output: str | None = None, timeframe: str) -> FeatureRef:
    """Return the fully resolved reference of one column, with defaults filled in.

    Raises PlayError for an unknown feature, parameter or output or an impossible value, ConfigError for a malformed
    ``timeframe``.
    """
    definition = get_feature(name)
    column = definition.output(output).name
    return FeatureRef(name, definition.resolve(params), column, Timeframe.parse(timeframe).label)
