"""Format of tvDatafeed's results saved by pandas: times without a zone, in the local time of the fetching machine."""

from collections.abc import Iterator
from typing import ClassVar

import pandas as pd
import pyarrow as pa

from forge_core.errors import ConfigError, DataError
from forge_core.market.importing.formats.csv_tables import csv_chunks, csv_shape
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.names import declared_symbol
from forge_core.market.importing.formats.source_file import Part, SourceFile
from forge_core.market.importing.formats.tables import parquet_chunks, parquet_schema

_COLUMNS = {"datetime", "symbol", "open", "high", "low", "close", "volume"}


class TvDatafeed(Format):
    """tvDatafeed's DataFrame as Parquet or CSV: ``datetime``, ``symbol`` (``CBOT:ZS1!``), prices, volume."""

    name: ClassVar[str] = "tvdatafeed"
    description: ClassVar[str] = "tvDatafeed DataFrame saved as Parquet or CSV (needs --timezone)"

    def recognizes(self, file: SourceFile) -> bool:
        """Whether the file has tvDatafeed's columns and times without a zone."""
        part = file.first
        if part.kind == "text":
            shape = csv_shape(part)
            return shape is not None and set(shape.fields) == _COLUMNS
        if part.kind != "parquet":
            return False
        schema = parquet_schema(part, source=file.path.name)
        if set(schema.names) != _COLUMNS:
            return False
        times = schema.field("datetime").type
        return pa.types.is_timestamp(times) and times.tz is None

    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return the symbol from its column; raise ConfigError unless the time zone is given."""
        if options.timezone is None:
            raise ConfigError(
                f"{source}: tvDatafeed's times are in the local time of the machine that fetched them, which the file "
                "does not contain: give the zone, such as --timezone Europe/Warsaw"
            )
        first = next(self._chunks(file, source), None)
        called = str(first["symbol"].iloc[0]) if first is not None else ""
        return Contents(source_symbol=called, symbol=declared_symbol(called), in_rows=True)

    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield the bars, which must be of one symbol."""
        seen: set[str] = set()
        for chunk in self._chunks(file, source):
            seen |= set(chunk["symbol"].astype(str).unique())
            if len(seen) > 1:
                raise DataError(
                    f"{source}: several symbols in one file ({', '.join(sorted(seen)[:5])}): split it by symbol"
                )
            yield chunk.drop(columns="symbol")

    @staticmethod
    def _chunks(file: SourceFile, source: str) -> Iterator[pd.DataFrame]:
        part: Part = file.first
        if part.kind == "parquet":
            yield from parquet_chunks(part, source=source)
        elif (shape := csv_shape(part)) is not None:
            yield from csv_chunks(part, shape, source=source)
