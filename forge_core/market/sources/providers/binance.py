"""Binance's public archive: klines and funding rates as zip files of a month or a day, with checksums."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from forge_core.errors import ConfigError, DataError
from forge_core.market.bars.model import empty_bars, validate_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.market.sources.archive import Lacking, Parts, Period, read_funding, read_klines
from forge_core.market.sources.download import Limits, check_url, download_parts
from forge_core.market.sources.protocol import FUNDING, Fetched, FetchedFunding, Log, Request, read_options
from forge_core.paths import Home, safe_name

URL_SETTING = "FORGE_BINANCE_URL"
_ARCHIVE = "https://data.binance.vision"
_MARKETS = {"spot": "spot", "perpetual": "futures/um"}
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")


class BinanceOptions(BaseModel):
    """What ``source_options`` may set. The environment variable ``FORGE_BINANCE_URL`` goes before ``url``."""

    model_config = ConfigDict(extra="forbid")

    url: str = _ARCHIVE
    at_once: int = Field(default=Limits.at_once, ge=1, le=16)


class BinanceSource:
    """Klines of one spot or USDT-margined perpetual symbol, and the perpetual's funding rates.

    Monthly files for months that the store lacks as a whole, daily files for the rest. Settings: ``BinanceOptions``.
    """

    on_demand = True
    limits = Limits()

    def __init__(self, instrument: Instrument, home: Home) -> None:
        options = read_options(BinanceOptions, instrument)
        if instrument.kind not in _MARKETS:
            raise ConfigError(
                f"{instrument.symbol} is of kind {instrument.kind}; source binance has {' and '.join(_MARKETS)} symbols"
            )
        override = os.environ.get(URL_SETTING, "").strip()
        self.url = check_url(override or options.url, URL_SETTING if override else f"{instrument.symbol}: url")
        self.instrument = instrument
        self.market = _MARKETS[instrument.kind]
        self.symbol = safe_name(instrument.name_at_source, "source_symbol")
        self._folder = home.downloads / "binance"
        self._limits = replace(self.limits, at_once=options.at_once)

    def timeframes(self) -> list[str]:
        """Return the intervals of the archive, up to a day."""
        return list(_INTERVALS)

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Download what the store lacks, all of it, or raise DataError; what has come by then is kept for next time."""
        symbol, label = self.instrument.symbol, str(request.timeframe)
        lacking = Lacking(request, lambda period: f"{self.symbol}-{label}-{period.label}.zip")
        parts = self._download([*lacking.plan(), *lacking.revisable()], lacking, f"klines/{self.symbol}/{label}", log)
        parts |= self._download(lacking.instead(parts), lacking, f"klines/{self.symbol}/{label}", log)
        self._check_found(parts, lacking, label)
        again = {period for period in parts if lacking.checksum(period)}  # taken before: what differs was revised
        for revision in (False, True):
            files = [(period, path) for period, path in _files(parts) if (period in again) == revision]
            tables = [read_klines(path, symbol, label, period) for period, path in files]
            bars = pd.concat(tables) if tables else empty_bars()
            bars = bars[~bars.index.duplicated()].sort_index()  # a day's file may stand beside its month's
            if len(bars):
                validate_bars(bars, symbol=symbol, timeframe=label, instrument=self.instrument)
            noted = lacking.outcome({period: part for period, part in parts.items() if (period in again) == revision})
            yield Fetched(bars, f"binance archive ({self.market})", noted, tuple(path for _, path in files), revision)

    def fetch_funding(self, request: Request, log: Log) -> Iterator[FetchedFunding]:
        """Download the funding rates of months that are over and of which the store has none.

        The archive has no daily files of them, so the rates of a month come when it is over.
        """
        if self.instrument.kind != "perpetual":
            return
        lacking = Lacking(request, lambda period: f"{self.symbol}-fundingRate-{period.label}.zip")
        parts = self._download(lacking.empty_months(), lacking, f"fundingRate/{self.symbol}", log)
        self._check_found(parts, lacking, FUNDING)
        tables = [read_funding(path, self.instrument.symbol, period) for period, path in _files(parts)]
        rates = pd.concat(tables) if tables else pd.Series(dtype=np.float64)
        spent = tuple(path for _, path in _files(parts))
        yield FetchedFunding(rates, f"binance archive ({self.market})", lacking.outcome(parts), spent)

    def _download(self, periods: Iterable[Period], lacking: Lacking, folder: str, log: Log) -> Parts:
        """Fetch the files of ``periods``; None stands for one that the archive does not have."""
        paths = {
            period: f"data/{self.market}/{'monthly' if period.monthly else 'daily'}/{folder}/{lacking.name_of(period)}"
            for period in sorted(set(periods))
        }
        if not paths:
            return {}
        subject = f"{self.instrument.symbol} {folder.split('/')[-1] if folder.startswith('klines') else FUNDING}"
        known = {path: lacking.checksum(period) for period, path in paths.items()}
        try:
            found = download_parts(
                self.url, paths.values(), self._folder, known=known, limits=self._limits, subject=subject, log=log
            )
        except DataError as error:
            raise DataError(
                f"{subject}: source binance failed ({error}); nothing of it was stored, and the next refresh goes on "
                "where this one stopped"
            ) from error
        for period, path in paths.items():
            part = found[path]
            if part is None and not lacking.settled(period):
                log(f"{subject}: {period.label} is not published yet")
            elif part is not None and part.path is not None and known[path]:
                log(f"{subject}: the source has revised {period.label}")
        return {period: found[path] for period, path in paths.items()}

    def _check_found(self, parts: Parts, lacking: Lacking, series: str) -> None:
        """Raise DataError if the archive has none of what should long be there: the name or the address is wrong."""
        if any(parts.values()) or lacking.any_ingested or not any(lacking.settled(period) for period in parts):
            return
        raise DataError(
            f"{self.instrument.symbol} {series}: {self.url} has none of the {len(parts)} files asked for of "
            f"{self.symbol} ({self.market}), as {lacking.name_of(min(parts))}: source_symbol in instruments.yaml names "
            "what the symbol is called there"
        )


def _files(parts: Parts) -> list[tuple[Period, Path]]:
    """Return what was fetched, oldest first."""
    return [(period, part.path) for period, part in sorted(parts.items()) if part is not None and part.path is not None]


SOURCE = BinanceSource
