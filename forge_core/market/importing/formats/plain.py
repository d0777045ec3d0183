"""Format of plain tables of bars or funding rates with common column names: CSV, Parquet and Feather, also packed."""

from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from forge_core.errors import DataError
from forge_core.market.bars.model import bar_columns, is_time_column
from forge_core.market.importing.formats.csv_tables import CUT, csv_chunks, csv_shape, may_be_cut
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.names import declared_symbol, name_of_file, symbol_among
from forge_core.market.importing.formats.source_file import Part, SourceFile
from forge_core.market.importing.formats.tables import (
    CHUNK_ROWS,
    arrow_chunks,
    arrow_schema,
    parquet_chunks,
    parquet_schema,
)

_HEADERLESS = ("timestamp", "open", "high", "low", "close", "volume")  # first columns of files without a header
_PEEK = 1_000  # number of rows from which the content is detected
_SYMBOL = ("symbol", "ticker", "pair", "instrument")
_RATES = ("rate", "funding_rate", "fundingrate", "last_funding_rate", "funding")


class Plain(Format):
    """Any table with a time, open, high, low, close and volume, or with a time and a funding rate.

    Times without a zone are UTC unless ``--timezone`` is given. A column of symbols must have a single symbol.
    """

    name: ClassVar[str] = "plain"
    description: ClassVar[str] = "CSV, Parquet or Feather with the usual column names (also packed in gzip or zip)"

    def recognizes(self, file: SourceFile) -> bool:
        """Whether the file is a table with column names, or numbers without any."""
        return all(part.kind in ("parquet", "arrow") or csv_shape(part) is not None for part in file.parts)

    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return symbol and timeframe from a name such as ``BTCUSDT_15m.csv``, or the symbol from its column."""
        if len(file.parts) > 1:
            raise DataError(f"{source}: {len(file.parts)} tables in one file: import them one by one")
        columns = _columns(file.first, source)
        first = next(_chunks(file.first, source, _PEEK), None)
        called = _symbol(first, set(), source) if first is not None else None
        named = name_of_file(file.path)
        declared = declared_symbol(called) if called else symbol_among(file.path.stem)
        if options.symbol is None and called and named and declared_symbol(named.symbol) not in (None, declared):
            raise DataError(
                f"{source}: the file name has {named.symbol}, the column of symbols {called}: give the symbol with "
                "--symbol"
            )
        remarks = ["times without a zone are read as UTC"] if options.timezone is None and _naive(first, source) else []
        remarks += [CUT] if _cut(file.first) else []
        return Contents(
            kind="funding" if _rate(columns) is not None else "bars",
            source_symbol=called or (named.symbol if named else None),
            in_rows=called is not None,
            symbol=declared or (named.symbol if named and not called else None),
            timeframe=named.timeframe if named else None,
            remarks=tuple(remarks),
        )

    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield the table."""
        seen: set[str] = set()
        rate = _rate(_columns(file.first, source))
        for chunk in _chunks(file.first, source):
            _symbol(chunk, seen, source)
            yield chunk if rate is None else chunk.rename(columns={rate: "rate"})


def _columns(part: Part, source: str) -> list[str]:
    if part.kind == "parquet":
        return [str(name) for name in parquet_schema(part, source=source).names]
    if part.kind == "arrow":
        return [str(name) for name in arrow_schema(part, source=source).names]
    shape = csv_shape(part)
    assert shape is not None  # recognizes
    return list(shape.fields) if shape.header else _names(len(shape.fields))


def _names(width: int) -> list[str]:
    """Return names for the columns of a file without a header."""
    return [*_HEADERLESS, *(f"column_{i}" for i in range(len(_HEADERLESS), width))][:width]


def _rate(columns: list[str]) -> str | None:
    """Return the column of funding rates if the table has such rates and not bars."""
    plain = {name.strip().lower(): name for name in columns}
    if {"open", "high", "low", "close"} <= plain.keys():
        return None
    return next((plain[name] for name in _RATES if name in plain), None)


def _chunks(part: Part, source: str, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
    if part.kind == "parquet":
        chunks = parquet_chunks(part, source=source, rows=rows)
    elif part.kind == "arrow":
        chunks = arrow_chunks(part, source=source, rows=rows)
    else:
        shape = csv_shape(part)
        assert shape is not None  # recognizes
        names = _names(len(shape.fields))
        chunks = csv_chunks(part, shape, names, source=source, whole=not _cut(part), rows=rows)
    for chunk in chunks:
        yield chunk.set_axis(_labels(chunk.columns.tolist()), axis=1)


def _labels(columns: list[str]) -> list[str]:
    """Return names of columns, with ``timestamp`` for an unnamed pandas index.

    If a column has the times, that index has row numbers (pandas writes it for filtered rows) and is left out.
    """
    unnamed = "__index_level_0__" if "__index_level_0__" in columns else ""
    others = [name for name in columns if name != unnamed]
    if is_time_column(others):
        return columns
    if unnamed in (columns[0], columns[-1]) and (unnamed or columns[0] == ""):
        columns[columns.index(unnamed)] = "timestamp"
    return columns


def _cut(part: Part) -> bool:
    """Whether the last row of a CSV may be truncated inside a number."""
    shape = csv_shape(part) if part.kind == "text" else None
    if shape is None:
        return False
    fields = bar_columns(pd.DataFrame(columns=list(shape.fields)), part.name).values() if shape.header else ()
    return may_be_cut(part, shape, {*fields, *_RATES})


def _symbol(chunk: pd.DataFrame, seen: set[str], source: str) -> str | None:
    """Return the symbol in a column and add it to ``seen``; raise DataError for several symbols."""
    column = next((label for label in chunk.columns if str(label).strip().lower() in _SYMBOL), None)
    if column is None:
        return None
    seen |= set(chunk[column].dropna().astype(str).unique())
    if len(seen) != 1 or chunk[column].isna().any():
        found = ", ".join(sorted(seen)[:5]) or "none"
        raise DataError(f"{source}: column {column!r} has {found}, expected one symbol in every row: split the file")
    return next(iter(seen))


def _naive(chunk: pd.DataFrame | None, source: str) -> bool:
    """Whether the times of a table have a time of day and no zone."""
    if chunk is None:
        return False
    label = bar_columns(chunk, source).get("timestamp")
    times = chunk[label] if label is not None else None
    if times is None or times.dtype.kind != "M" or times.dt.tz is not None:
        return False
    return bool((times != times.dt.normalize()).any())
