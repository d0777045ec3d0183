"""Source of bars from any exchange supported by ccxt; an optional extra (``pip install 'forge-evolve[ccxt]'``)."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import tenacity
from pydantic import BaseModel, ConfigDict, Field

from forge_core.errors import ConfigError, DataError, unknown
from forge_core.market.bars.model import BAR_COLUMNS, drop_incomplete, normalize_bars, validate_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import Fetched, Log, Request, load_extra, read_options
from forge_core.paths import Home

_PAGE = 1000  # bars per request; an exchange may return fewer
_SMALLEST_PAGE = 100  # bars skipped at a time where an exchange has no data yet
_ATTEMPTS, _LONGEST_WAIT = 5, 30.0


class CcxtOptions(BaseModel):
    """What ``source_options`` sets: ``exchange`` is ccxt's name of it, as ``kraken``."""

    model_config = ConfigDict(extra="forbid")

    exchange: str
    timeout: float = Field(default=30.0, gt=0, le=300)  # seconds


class CcxtSource:
    """Bars of one symbol from an exchange's public API, requested page by page within ccxt's rate limit.

    ``source_symbol`` is ccxt's name of the symbol, such as ``BTC/USDT``. The available history depends on the exchange.
    Bars before the first and after the last stored bar are requested; gaps between them are not.
    """

    on_demand = True

    def __init__(self, instrument: Instrument, home: Home) -> None:
        options = read_options(CcxtOptions, instrument)
        self._ccxt = load_extra("ccxt", "ccxt")
        if options.exchange not in self._ccxt.exchanges:
            raise ConfigError(f"{instrument.symbol}: " + unknown("exchange", options.exchange, self._ccxt.exchanges))
        settings = {"enableRateLimit": True, "timeout": int(1000 * options.timeout)}
        self.exchange = getattr(self._ccxt, options.exchange)(settings)
        self.name = options.exchange
        self.instrument = instrument

    def timeframes(self) -> list[str]:
        """Return the exchange's timeframes that Forge supports, finest first."""
        labels = [label for label in self.exchange.timeframes or {} if label[-1] in "mhdw"]
        return sorted(labels, key=Timeframe.parse)

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Yield the closed bars that are missing at either end of the stored series."""
        symbol, label = self.instrument.symbol, str(request.timeframe)
        rows = [row for start, end in request.missing_ends() for row in self._rows(request.timeframe, start, end, log)]
        bars = rows_to_bars(rows, request, source=f"{symbol} {label} of {self.name}")
        bars, incomplete = drop_incomplete(bars, symbol=symbol, timeframe=label)
        log(
            f"{symbol} {label}: {self.name} returned {len(bars)} bars"
            + (f", {incomplete} incomplete" if incomplete else "")
        )
        if len(bars):
            validate_bars(bars, symbol=symbol, timeframe=label, instrument=self.instrument)
            yield Fetched(bars, f"{self.name} by ccxt {self._ccxt.__version__}")

    def _rows(self, timeframe: Timeframe, start: pd.Timestamp, end: pd.Timestamp, log: Log) -> Iterator[list[Any]]:
        """Yield ccxt's rows of [start, end): time in milliseconds, open, high, low, close, volume."""
        step, moment, last = timeframe.microseconds // 1000, _ms(start), _ms(end)
        largest = _SMALLEST_PAGE
        while moment + step <= last:
            page = [row for row in self._page(timeframe, moment) if row[0] >= moment]
            largest = max(largest, len(page))
            yield from (row for row in page if row[0] < last)
            moment = max(row[0] for row in page) + step if page else moment + largest * step

    def _page(self, timeframe: Timeframe, since: int) -> list[list[Any]]:
        errors = self._ccxt
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=1, max=_LONGEST_WAIT) + tenacity.wait_random(0, 1),
            retry=tenacity.retry_if_exception_type(errors.NetworkError),
            reraise=True,
        )
        name = self.instrument.name_at_source
        try:
            return retrying(self.exchange.fetch_ohlcv, name, str(timeframe), since=since, limit=_PAGE)
        except errors.BaseError as error:
            raise DataError(
                f"{self.instrument.symbol} {timeframe}: source ccxt failed ({self.name} on {name}: "
                f"{type(error).__name__}: {error}); no bars were stored"
            ) from error


def rows_to_bars(rows: list[list[Any]], request: Request, *, source: str) -> pd.DataFrame:
    """Return ccxt's rows as closed bars, one per time (the newest version)."""
    frame = pd.DataFrame(rows, columns=["timestamp", *BAR_COLUMNS])
    bars = normalize_bars(frame.astype({"timestamp": "int64"}), source=source)
    bars = bars[~bars.index.duplicated(keep="last")].sort_index()
    closes = pd.DatetimeIndex(bars.index) + request.timeframe.timedelta
    return bars[(bars.index >= request.start) & (closes <= min(request.end, request.now))]


def _ms(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)


SOURCE = CcxtSource
