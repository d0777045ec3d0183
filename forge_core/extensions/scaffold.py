"""Templates of own parts: files that load as they are."""

from pathlib import Path

from forge_core.errors import ConfigError, unknown
from forge_core.extension_files import KINDS, extension_folder
from forge_core.files import write_text

_INDICATOR = '''"""Own {kind} {name}."""

import talib

from forge_core.extensions import {kind}


@{kind}(scale="centred", grids={{"timeperiod": (10, 20, 50)}}, thresholds=(-2, 0, 2))
def {name}(bars, timeperiod=20):
    """Close minus its mean, in percent of it."""
    return 100 * (bars["close"] / talib.SMA(bars["close"], timeperiod) - 1)
'''

_METRIC = '''"""Own metric {name} for objectives and constraints of studies."""

from forge_core.extensions import metric


@metric("maximize", worst=0.0)
def {name}(trades, equity, daily):
    """Share of the trades that earned more than 1 %."""
    return (trades["return_pct"] > 0.01).mean() if len(trades) else None
'''

_STRATEGY = '''"""Own strategy {name} for mass tests."""

from typing import ClassVar

from forge_core.extensions import ClassicStrategy, column, strategy, when


@strategy
class {title}(ClassicStrategy):
    """Enter in the direction in which the close crosses its mean."""

    name: ClassVar[str] = "{name}"
    timeperiod: int = 50

    def entries(self, timeframe):
        close, mean = column("close", timeframe), column("sma", timeframe, timeperiod=self.timeperiod)
        return when(close, "crosses_above", mean), when(close, "crosses_below", mean)
'''

_SOURCE = '''"""Own source of bars {name}: `source: {name}` of an instrument."""

import pandas as pd

from forge_core.extensions.market import Fetched, source
from forge_core.market.bars.model import normalize_bars, validate_bars


@source("{name}")
class {title}:
    on_demand = False  # True: it is asked for the missing bars only (request.start, request.end)

    def __init__(self, instrument, home):
        self.instrument, self.folder = instrument, home.root / "{name}"

    def timeframes(self):
        return ["1d"]

    def fetch(self, request, log):
        path = self.folder / f"{{self.instrument.name_at_source}}.csv"
        bars = normalize_bars(pd.read_csv(path), source=str(path))
        validate_bars(bars, symbol=self.instrument.symbol, timeframe="1d", instrument=self.instrument)
        yield Fetched(bars, str(path))
'''

_FORMAT = '''"""Own import format {name}."""

from typing import ClassVar

import pandas as pd

from forge_core.extensions.market import Contents, Format, import_format


@import_format
class {title}(Format):
    name: ClassVar[str] = "{name}"
    description: ClassVar[str] = "text with the columns DATE;O;H;L;C;V"

    def recognizes(self, file):
        return file.first.lines[:1] == ["DATE;O;H;L;C;V"]

    def contents(self, file, options, *, source):
        return Contents(timeframe="1d")

    def read(self, file, options, *, source):
        table = pd.read_csv(file.path, sep=";")
        table["DATE"] = pd.to_datetime(table["DATE"], utc=True)
        yield table.set_axis(["timestamp", "open", "high", "low", "close", "volume"], axis=1)
'''

TEMPLATES = {
    "indicator": _INDICATOR,
    "structure": _INDICATOR,
    "metric": _METRIC,
    "strategy": _STRATEGY,
    "source": _SOURCE,
    "format": _FORMAT,
}


def new_extension(kind: str, name: str) -> Path:
    """Write a file with a part that works to the folder of extensions; raise ConfigError if the file exists."""
    if kind not in TEMPLATES:
        raise ConfigError(unknown("kind of extension", kind, KINDS))
    if not name.isidentifier() or name.startswith("_"):
        raise ConfigError(f"{name!r} is no name of a part: use letters, digits and _, beginning with a letter")
    folder = extension_folder()
    if folder is None:
        raise ConfigError("extensions are switched off: FORGE_EXTENSIONS is empty; unset it or name a folder")
    path = folder / f"{name}.py"
    if path.exists():
        raise ConfigError(f"{path} exists already; choose another name or edit it")
    title = "".join(part.title() for part in name.split("_"))
    write_text(path, TEMPLATES[kind].format(kind=kind, name=name, title=title))
    return path
