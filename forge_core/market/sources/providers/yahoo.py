"""Source ``yahoo``: Yahoo Finance by yfinance; an optional extra (``pip install 'forge-evolve[yahoo]'``)."""

from collections.abc import Iterator

import pandas as pd

from forge_core.errors import DataError
from forge_core.market.bars.model import drop_incomplete, normalize_bars, validate_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.market.sources.protocol import Fetched, Log, Request, load_extra
from forge_core.paths import Home

# Length of Yahoo's history of a timeframe (a day less than documented, as a margin).
_REACH = {
    "5m": pd.Timedelta(days=59),
    "15m": pd.Timedelta(days=59),
    "30m": pd.Timedelta(days=59),
    "1h": pd.Timedelta(days=729),
    "1d": None,
}
_TIMEOUT = 30  # seconds


class YahooSource:
    """Futures (``source_symbol: ZS=F``, ``GC=F``, ``CL=F``), shares and indexes.

    Prices are adjusted for splits, not for dividends. Futures are Yahoo's continuous series of the front month, with
    jumps at the rolls. Daily bars are stamped 00:00 UTC of their trade date.
    """

    on_demand = True

    def __init__(self, instrument: Instrument, home: Home) -> None:
        self._yfinance = load_extra("yfinance", "yahoo")
        self.instrument = instrument

    def timeframes(self) -> list[str]:
        """Return Yahoo's own timeframes, finest first."""
        return list(_REACH)

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Yield the closed bars that are missing at either end of the stored series, within Yahoo's history."""
        symbol, label = self.instrument.symbol, str(request.timeframe)
        for start, end in request.missing_ends():
            reach = _REACH[label]
            begin = start if reach is None else max(start, request.now - reach)
            if begin >= end:
                continue
            if begin > start and not request.stored.size:
                log(f"{symbol} {label}: Yahoo has no {label} bars before {begin.date()}")
            frame = self._history(label, begin, end, known=request.stored.size > 0)
            bars = history_to_bars(frame, request, source=f"{symbol} {label} of Yahoo")
            bars, _ = drop_incomplete(bars, symbol=symbol, timeframe=label)
            log(f"{symbol} {label}: Yahoo returned {len(bars)} bars from {begin.date()}")
            if len(bars):
                validate_bars(bars, symbol=symbol, timeframe=label, instrument=self.instrument)
                yield Fetched(bars, f"Yahoo by yfinance {self._yfinance.__version__}")

    def _history(self, label: str, start: pd.Timestamp, end: pd.Timestamp, *, known: bool) -> pd.DataFrame:
        """Request bars from yfinance; an empty result is not an error if bars are stored, since markets close."""
        yfinance, name = self._yfinance, self.instrument.name_at_source
        debug = yfinance.config.debug
        hidden, debug.hide_exceptions = debug.hide_exceptions, False  # else it logs the error and returns no bars
        try:
            return yfinance.Ticker(name).history(
                interval=label, start=start, end=end, auto_adjust=False, actions=False, timeout=_TIMEOUT
            )
        except yfinance.exceptions.YFPricesMissingError as error:
            if known:
                return pd.DataFrame()
            raise self._failed(label, error) from error
        except Exception as error:  # of several libraries that yfinance uses, all about the network or Yahoo's response
            raise self._failed(label, error) from error
        finally:
            debug.hide_exceptions = hidden

    def _failed(self, label: str, error: Exception) -> DataError:
        return DataError(
            f"{self.instrument.symbol} {label}: source yahoo failed (on {self.instrument.name_at_source}: "
            f"{type(error).__name__}: {error}); no bars were stored"
        )


def history_to_bars(frame: pd.DataFrame, request: Request, *, source: str) -> pd.DataFrame:
    """Return the closed bars of a result of ``Ticker.history``.

    Its index is in the exchange's zone. Daily bars are stamped midnight of the trade date in that zone; today's is left
    out. While a market is open, the last row is a current quote that is not on the grid of the others.
    """
    if frame.empty:
        frame = pd.DataFrame(columns=["Open", "High", "Low", "Close", "Volume"], dtype=float)
        frame.index = pd.DatetimeIndex([], tz="UTC", name="Date")
    local = pd.DatetimeIndex(frame.index)
    length = request.timeframe.timedelta
    if request.timeframe.intraday:
        first = pd.Series(local, index=local).groupby(local.normalize()).transform("min").to_numpy()
        kept = ((local - pd.DatetimeIndex(first, tz="UTC").tz_convert(local.tz)) % length == pd.Timedelta(0)) & (
            local + length <= min(request.end, request.now)
        )
        times = local
    else:
        times = local.tz_localize(None).normalize().tz_localize("UTC")
        kept = local.normalize() < min(request.end, request.now).tz_convert(local.tz).normalize()
    bars = normalize_bars(frame.set_axis(times.rename("timestamp"), axis=0)[kept], source=source)
    return bars[~bars.index.duplicated(keep="last")].sort_index()


SOURCE = YahooSource
