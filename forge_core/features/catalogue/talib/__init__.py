"""What TA-Lib does not say of its indicators: the scale, thresholds and search grid of each."""

from forge_core.features.catalogue.talib.entry import Entry
from forge_core.features.catalogue.talib.momentum import MOMENTUM
from forge_core.features.catalogue.talib.overlap import OVERLAP
from forge_core.features.catalogue.talib.patterns import PATTERNS
from forge_core.features.catalogue.talib.statistic import CYCLE, STATISTIC
from forge_core.features.catalogue.talib.volume import VOLATILITY, VOLUME

EXCLUDED = {"mavp": "it needs a second series, the period of each bar"}
"""TA-Lib indicators that are no features, and why; its math operators and transforms are no indicators."""

CATALOGUE: tuple[Entry, ...] = (*OVERLAP, *MOMENTUM, *VOLATILITY, *VOLUME, *CYCLE, *STATISTIC, *PATTERNS)
