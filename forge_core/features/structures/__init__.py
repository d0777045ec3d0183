"""Market structure from closed bars alone: a swing is known ``right`` bars after it, and never earlier."""

from forge_core.features.structures.breaks import BREAKS
from forge_core.features.structures.fibonacci import FIBONACCI
from forge_core.features.structures.range import RANGE
from forge_core.features.structures.swings import SWINGS
from forge_core.features.structures.trend import TREND
from forge_core.features.structures.zones import ZONES

STRUCTURES = (SWINGS, TREND, BREAKS, ZONES, FIBONACCI, RANGE)
