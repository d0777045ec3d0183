"""Versions of feature columns: hashes of the source code and the library versions that compute them."""

from forge_core.features.alignment import aligned_index
from forge_core.features.column import BarArrays, compute_columns
from forge_core.features.definition import FeatureDefinition
from forge_core.features.quantized import quantize
from forge_core.features.registry import builtin_features, extension_part
from forge_core.files import content_hash
from forge_core.market.bars.model import resample_bars, trade_days
from forge_core.market.futures.adjustment import RollAdjustment
from forge_core.source_hash import source_hash

# Computed on import: the process computes with the source code as it was then.
BARS_VERSION = source_hash(BarArrays.of, resample_bars, trade_days, RollAdjustment)
"""Changes with the code that derives the bars of features from those of a dataset."""

_COLUMNS = source_hash(compute_columns, FeatureDefinition.compute, aligned_index, quantize)

FEATURE_VERSIONS = {
    definition.name: content_hash(BARS_VERSION, _COLUMNS, source_hash(definition.function, definition.bars_needed))
    for definition in builtin_features()
}
"""By feature of Forge: changes with the code and with the library versions that compute its columns."""

REGISTRY_VERSION = content_hash(*(f"{name} {key}" for name, key in FEATURE_VERSIONS.items()), length=12)
"""Changes with the version of any of Forge's features."""


def feature_version(name: str) -> str:
    """Return the version of a feature: that of Forge's features, or of an extension by its source as it was loaded."""
    if name in FEATURE_VERSIONS:
        return FEATURE_VERSIONS[name]
    part = extension_part(name)
    return content_hash(BARS_VERSION, _COLUMNS, "" if part is None else part.version)
