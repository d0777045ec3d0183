"""Candlestick patterns: negative values are bearish, positive ones bullish, zero is no pattern.

Most are -100, 0 or 100, some 80 for a weaker form; Hikkake is 200 at the bar that confirms an earlier 100.
"""

import talib

from forge_core.features.catalogue.talib.entry import SIGNED_PERCENT, ZERO, Entry
from forge_core.features.scale import Scale

_CONFIRMED = Scale("bounded", -200.0, 200.0)
_WITH_CONFIRMATION = ("CDLHIKKAKE", "CDLHIKKAKEMOD")

PATTERNS = tuple(
    Entry(name.lower(), _CONFIRMED if name in _WITH_CONFIRMATION else SIGNED_PERCENT, ZERO)
    for name in talib.get_function_groups()["Pattern Recognition"]
)
