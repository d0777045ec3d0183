"""Every feature by name: TA-Lib's indicators, Forge's own, the structures and the bar fields."""

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
    """Return the feature called ``name``; raises PlayError with the nearest known name."""
    try:
        return _FEATURES[name]
    except KeyError:
        raise PlayError(unknown("feature", name, _FEATURES)) from None


def all_features() -> tuple[FeatureDefinition, ...]:
    """Return every feature, in a fixed order."""
    return tuple(_FEATURES.values())


def searchable() -> tuple[FeatureDefinition, ...]:
    """Return the features an evolution may draw from, each with its finite ``combinations()``, in a fixed order."""
    return tuple(definition for definition in _FEATURES.values() if definition.search)


def make_reference(name: str, params: Mapping[str, object], *, output: str | None = None, timeframe: str) -> FeatureRef:
    """Return the full reference of one column, defaults filled in.

    Raises PlayError for an unknown feature, parameter or output or an impossible value, ConfigError for a malformed
    ``timeframe``.
    """
    definition = get_feature(name)
    column = definition.output(output).name
    return FeatureRef(name, definition.resolve(params), column, Timeframe.parse(timeframe).label)
