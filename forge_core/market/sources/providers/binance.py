"""Source ``binance``: monthly and daily zip files of klines and funding rates from Binance's public archive."""

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
from forge_core.market.sources.archive import MissingFiles, Parts, Period, read_funding, read_klines
from forge_core.market.sources.download import Limits, check_url, download_parts
from forge_core.market.sources.protocol import FUNDING, Fetched, FetchedFunding, Log, Request, read_options
from forge_core.paths import Home, safe_name

URL_SETTING = "FORGE_BINANCE_URL"
_ARCHIVE = "https://data.binance.vision"
_MARKETS = {"spot": "spot", "perpetual": "futures/um"}
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")


class BinanceOptions(BaseModel):
    """The ``source_options`` of an instrument. The environment variable ``FORGE_BINANCE_URL`` overrides ``url``."""

    model_config = ConfigDict(extra="forbid")

    url: str = _ARCHIVE
    at_once: int = Field(default=Limits.at_once, ge=1, le=16)


class BinanceSource:
    """Klines of one spot or USDT-margined perpetual symbol, and the perpetual's funding rates.

    Months without stored bars are downloaded as monthly files, the rest as daily files. Options: ``BinanceOptions``.
    """

    on_demand = True
    limits = Limits()

    def __init__(self, instrument: Instrument, home: Home) -> None:
        options = read_options(BinanceOptions, instrument)
        if instrument.kind not in _MARKETS:
            raise ConfigError(
                f"{instrument.symbol} is of kind {instrument.kind}; source binance supports {' and '.join(_MARKETS)}"
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
        """Download all missing bars or raise DataError; files received by then are kept for the next call."""
        symbol, label = self.instrument.symbol, str(request.timeframe)
        missing = MissingFiles(request, lambda period: f"{self.symbol}-{label}-{period.label}.zip")
        parts = self._download([*missing.plan(), *missing.revisable()], missing, f"klines/{self.symbol}/{label}", log)
        parts |= self._download(missing.alternatives(parts), missing, f"klines/{self.symbol}/{label}", log)
        self._check_found(parts, missing, label)
        again = {
            period for period in parts if missing.checksum(period)
        }  # ingested before, so a new checksum is a revision
        for revision in (False, True):
            files = [(period, path) for period, path in _files(parts) if (period in again) == revision]
            tables = [read_klines(path, symbol, label, period) for period, path in files]
            bars = pd.concat(tables) if tables else empty_bars()
            bars = bars[~bars.index.duplicated()].sort_index()  # a daily file may repeat bars of its monthly file
            if len(bars):
                validate_bars(bars, symbol=symbol, timeframe=label, instrument=self.instrument)
            checksums = missing.outcome(
                {period: part for period, part in parts.items() if (period in again) == revision}
            )
            yield Fetched(
                bars, f"binance archive ({self.market})", checksums, tuple(path for _, path in files), revision
            )

    def fetch_funding(self, request: Request, log: Log) -> Iterator[FetchedFunding]:
        """Download the funding rates of past months without stored rates.

        The archive has no daily files of them, so the rates of a month are available once it is over.
        """
        if self.instrument.kind != "perpetual":
            return
        missing = MissingFiles(request, lambda period: f"{self.symbol}-fundingRate-{period.label}.zip")
        parts = self._download(missing.empty_months(), missing, f"fundingRate/{self.symbol}", log)
        self._check_found(parts, missing, FUNDING)
        tables = [read_funding(path, self.instrument.symbol, period) for period, path in _files(parts)]
        rates = pd.concat(tables) if tables else pd.Series(dtype=np.float64)
        spent = tuple(path for _, path in _files(parts))
        yield FetchedFunding(rates, f"binance archive ({self.market})", missing.outcome(parts), spent)

    def _download(self, periods: Iterable[Period], missing: MissingFiles, folder: str, log: Log) -> Parts:
        """Fetch the files of ``periods``; None for files that the archive does not have."""
        paths = {
            period: f"data/{self.market}/{'monthly' if period.monthly else 'daily'}/{folder}/{missing.name_of(period)}"
            for period in sorted(set(periods))
        }
        if not paths:
            return {}
        subject = f"{self.instrument.symbol} {folder.split('/')[-1] if folder.startswith('klines') else FUNDING}"
        known = {path: missing.checksum(period) for period, path in paths.items()}
        try:
            found = download_parts(
                self.url, paths.values(), self._folder, known=known, limits=self._limits, subject=subject, log=log
            )
        except DataError as error:
            raise DataError(
                f"{subject}: source binance failed ({error}); no bars were stored, and the next refresh resumes the "
                "download"
            ) from error
        for period, path in paths.items():
            part = found[path]
            if part is None and not missing.settled(period):
                log(f"{subject}: {period.label} is not published yet")
            elif part is not None and part.path is not None and known[path]:
                log(f"{subject}: the source has revised {period.label}")
        return {period: found[path] for period, path in paths.items()}

    def _check_found(self, parts: Parts, missing: MissingFiles, series: str) -> None:
        """Raise DataError if the archive has none of the files that must have been published."""
        if any(parts.values()) or missing.any_ingested or not any(missing.settled(period) for period in parts):
            return
        raise DataError(
            f"{self.instrument.symbol} {series}: {self.url} has none of the {len(parts)} requested files of "
            f"{self.symbol} ({self.market}), such as {missing.name_of(min(parts))}: set source_symbol in "
            "instruments.yaml to the archive's name of the symbol"
        )


def _files(parts: Parts) -> list[tuple[Period, Path]]:
    """Return the fetched files, oldest first."""
    return [(period, part.path) for period, part in sorted(parts.items()) if part is not None and part.path is not None]


SOURCE = BinanceSource
