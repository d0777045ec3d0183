"""The targets of ``forge play export`` by name."""

from collections.abc import Callable, Mapping

from forge_core.exporting.freqtrade import freqtrade_strategy
from forge_core.exporting.pine import pine_script
from forge_core.exporting.python_file import python_file
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.model import Play

TARGETS: Mapping[str, Callable[[Play, Instrument], str]] = {
    "python": python_file,
    "pine": pine_script,
    "freqtrade": freqtrade_strategy,
}
