"""Market structure without look-ahead: a swing is confirmed ``right`` bars after it."""

from forge_core.features.catalogue.structures.breaks import BREAKS
from forge_core.features.catalogue.structures.fibonacci import FIBONACCI
from forge_core.features.catalogue.structures.range import RANGE
from forge_core.features.catalogue.structures.swings import SWINGS
from forge_core.features.catalogue.structures.trend import TREND
from forge_core.features.catalogue.structures.zones import ZONES

STRUCTURES = (SWINGS, TREND, BREAKS, ZONES, FIBONACCI, RANGE)
