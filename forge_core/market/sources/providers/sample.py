"""Source ``sample``: the daily index bars that are installed with Forge."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version

from forge_core.errors import DataError, unknown
from forge_core.market.bars.model import normalize_bars, validate_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.market.sources.protocol import Fetched, Log, Request
from forge_core.paths import Home


class SampleSource:
    """Daily bars of the S&P 500 and the NASDAQ Composite, 1999-2018, from the package ``arch``.

    Prices are as traded (open, high, low, close), not adjusted; each bar is stamped 00:00 UTC of its trade date.
    """

    on_demand = False
    modules: Mapping[str, str] = {"SP500": "arch.data.sp500", "NASDAQ": "arch.data.nasdaq"}

    def __init__(self, instrument: Instrument, home: Home) -> None:
        self.instrument = instrument

    def timeframes(self) -> list[str]:
        """Return ``["1d"]`` for the symbols of the sample."""
        return ["1d"] if self.instrument.symbol in self.modules else []

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Yield the daily bars of ``SP500`` or ``NASDAQ``, all of them, unless they were ingested before."""
        symbol, timeframe = self.instrument.symbol, str(request.timeframe)
        if timeframe not in self.timeframes():
            raise DataError(unknown("bars of the sample:", f"{symbol} {timeframe}", [f"{s} 1d" for s in self.modules]))
        module, release = self.modules[symbol], version("arch")
        if request.stored.size and request.ingested.get(module) == release:
            return
        origin = f"{module} of arch {release}"
        bars = normalize_bars(import_module(module).load(), source=origin)
        validate_bars(bars, symbol=symbol, timeframe=timeframe, instrument=self.instrument)
        yield Fetched(bars, origin, {module: release})


SOURCE = SampleSource
