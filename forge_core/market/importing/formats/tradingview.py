"""Format of TradingView's chart exports: CSV with ISO or epoch times, prices, and a column per line on the chart."""

import re
from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from forge_core.errors import DataError
from forge_core.market.importing.formats.csv_tables import CUT, CsvShape, csv_chunks, csv_shape, may_be_cut
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.names import declared_symbol, symbol_among
from forge_core.market.importing.formats.source_file import Part, SourceFile

_FIRST = ("time", "open", "high", "low", "close")
_NAME = re.compile(r"^([A-Z0-9_]+)_([A-Z0-9.]+!?), [0-9A-Z]+")  # BINANCE_BTCUSDT, 15.csv


class TradingView(Format):
    """Chart exports. Indicator columns are left out; ``Volume`` exists if the chart shows it."""

    name: ClassVar[str] = "tradingview"
    description: ClassVar[str] = "TradingView chart export (CSV)"

    def recognizes(self, file: SourceFile) -> bool:
        """Whether the columns begin as TradingView's and are not just those of a plain table of bars."""
        shape = _shape(file.first)
        return shape is not None and shape.fields[:5] == _FIRST and "volume" not in shape.fields

    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return the symbol from a name such as ``BINANCE_BTCUSDT, 15.csv``; raise DataError for a chart without volume
        unless ``no_volume``."""
        shape = _shape(file.first)
        assert shape is not None  # recognizes
        with_volume = _volume(shape) is not None
        if not with_volume and not options.no_volume:
            raise DataError(
                f"{source}: no column 'Volume': export the chart again with its volume shown, or import it with "
                "--no-volume, which stores zeros (features that use volume are then meaningless)"
            )
        match = _NAME.match(file.path.name)
        symbol = declared_symbol(f"{match[1]}:{match[2]}") if match else symbol_among(file.path.stem)
        extra = len(shape.fields) - len(_FIRST) - with_volume
        remarks = [f"{extra} other columns left out"] if extra else []
        remarks += [CUT] if _cut(file.first, shape) else []
        return Contents(
            source_symbol=match[2] if match else None,
            symbol=symbol,
            remarks=tuple(remarks),
        )

    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield time, prices and volume (zeros with ``no_volume``)."""
        shape = _shape(file.first)
        assert shape is not None
        volume = _volume(shape)
        for chunk in csv_chunks(file.first, shape, source=source, whole=not _cut(file.first, shape)):
            bars = chunk.iloc[:, :5]
            yield bars.assign(volume=chunk.iloc[:, volume] if volume is not None else 0.0)


def _shape(part: Part) -> CsvShape | None:
    shape = csv_shape(part) if part.kind == "text" else None
    return shape if shape is not None and shape.header else None


def _cut(part: Part, shape: CsvShape) -> bool:
    volume = _volume(shape)
    return may_be_cut(part, shape, {"close", *([shape.fields[volume]] if volume is not None else [])})


def _volume(shape: CsvShape) -> int | None:
    """Return the position of the volume column."""
    return next((i for i, field in enumerate(shape.fields) if field.lower() == "volume"), None)
