"""Format of freqtrade's candle files: Feather or JSON (also gzipped) of trades, funding rates or mark prices."""

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, DataError
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.names import declared_symbol
from forge_core.market.importing.formats.source_file import SourceFile
from forge_core.market.importing.formats.tables import CHUNK_ROWS, arrow_chunks, arrow_schema, json_chunks
from forge_core.market.reference.instruments import get_instrument

_PEEK = 1_000  # number of rows from which the format is detected
_COLUMNS = ("date", "open", "high", "low", "close", "volume")
_NAME = re.compile(
    r"([A-Z0-9]+)_([A-Z0-9]+)(?:_([A-Z0-9]+))?-([1-9]\d?[mhdwM])"
    r"(?:-(spot|futures|mark|index|premiumIndex|funding_rate))?\."
)
_PRICES_OF_NO_TRADES = ("mark", "index", "premiumIndex")


class Freqtrade(Format):
    """Candles of trades become bars, ``funding_rate`` files funding rates, mark prices bars of an index only."""

    name: ClassVar[str] = "freqtrade"
    description: ClassVar[str] = "freqtrade candles, funding rates and mark prices (feather, json, json.gz)"

    def recognizes(self, file: SourceFile) -> bool:
        """Whether the file is a JSON array of rows or a Feather file with freqtrade's columns."""
        part = file.first
        if part.kind == "arrow":
            return tuple(arrow_schema(part, source=file.path.name).names) == _COLUMNS
        return part.kind == "json" and re.match(rb"\s*\[\s*(\[\s*[\d.eE+-]+\s*,|\]\s*$)", part.head) is not None

    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return pair, timeframe and kind from freqtrade's file names, and the kind also from the content."""
        match = _NAME.search(file.path.name)
        base, quote, settle, timeframe, what = match.groups() if match else (None,) * 5
        if what in _PRICES_OF_NO_TRADES:
            self._check_index(what, options, source)
        first = next(self._chunks(file, source, _PEEK), None)
        funding = first is not None and self._is_funding(first.head(_PEEK))
        if funding != (what == "funding_rate") and what is not None:
            raise DataError(
                f"{source}: the name is of {what}, but the content is {'funding rates' if funding else 'candles'}: "
                "rename the file"
            )
        called = f"{base}/{quote}" + (f":{settle}" if settle else "") if match else None
        return Contents(
            kind="funding" if funding else "bars",
            source_symbol=called,
            symbol=declared_symbol(f"{base}{quote}", perpetual=bool(settle)) if match else None,
            timeframe=None if funding else timeframe,
            market=None if match is None else "perpetual" if settle else "spot",
            remarks=("mark or index prices, not prices of trades",) if what in _PRICES_OF_NO_TRADES else (),
        )

    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield bars, or rates from the column ``open``."""
        funding = None
        for chunk in self._chunks(file, source):
            funding = self._is_funding(chunk.head(_PEEK)) if funding is None else funding
            if funding and not self._is_funding(chunk):
                raise DataError(f"{source}: prices among funding rates: the file is damaged")
            yield chunk[["date", "open"]].set_axis(["timestamp", "rate"], axis=1) if funding else chunk

    @staticmethod
    def _chunks(file: SourceFile, source: str, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        part = file.first
        yield from (
            arrow_chunks(part, source=source, rows=rows)
            if part.kind == "arrow"
            else json_chunks(part, _COLUMNS, source=source, rows=rows)
        )

    @staticmethod
    def _is_funding(chunk: pd.DataFrame) -> bool:
        """Whether rows are funding rates: all values but ``open`` are zero."""
        if chunk.empty:
            return False
        rest = chunk[list(_COLUMNS[2:])].to_numpy(np.float64, na_value=np.nan)
        return bool((rest == 0).all() and (chunk["open"].abs() < 1).all())

    @staticmethod
    def _check_index(what: str, options: ReadOptions, source: str) -> None:
        """Raise ConfigError unless mark prices are imported as bars of an index."""
        if options.symbol is None or get_instrument(options.symbol).kind != "index":
            raise ConfigError(
                f"{source}: {what} prices are not prices of trades, so they are not bars to test on: to store "
                "them anyway, give a symbol of kind index with --symbol"
            )
