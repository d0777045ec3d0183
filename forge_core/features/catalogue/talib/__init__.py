"""Catalogue of TA-Lib's indicators: the scale, thresholds and search grid of each."""

from forge_core.features.catalogue.talib.entry import Entry
from forge_core.features.catalogue.talib.momentum import MOMENTUM
from forge_core.features.catalogue.talib.overlap import OVERLAP
from forge_core.features.catalogue.talib.patterns import PATTERNS
from forge_core.features.catalogue.talib.statistic import CYCLE, STATISTIC
from forge_core.features.catalogue.talib.volume import VOLATILITY, VOLUME

EXCLUDED = {"mavp": "it needs a second series, the period of each bar"}
"""TA-Lib indicators that are not features, with the reason; its math operators and transforms are excluded too."""

CATALOGUE: tuple[Entry, ...] = (*OVERLAP, *MOMENTUM, *VOLATILITY, *VOLUME, *CYCLE, *STATISTIC, *PATTERNS)
