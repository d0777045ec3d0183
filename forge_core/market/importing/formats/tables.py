"""Parquet, Feather and JSON tables read in chunks, so that memory does not grow with the file."""

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.errors import DataError
from forge_core.market.importing.formats.source_file import Part

CHUNK_ROWS = 65_536
MAX_ROWS = 200_000_000  # of one table; minutes of three centuries

_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError)  # including UnicodeDecodeError of a name
_JSON_ROW_BYTES = 64 * 1024


def parquet_chunks(part: Part, *, source: str, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
    """Yield the rows of a Parquet file, ``rows`` at a time; a pandas index becomes a column."""
    path = part.path
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise DataError(
                    f"{source}: {part.name} declares {file.metadata.num_rows:,} rows, expected {MAX_ROWS:,} or fewer"
                )
            yield from gathered(file.iter_batches(rows), source, part, rows)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise _damaged_table(part, "Parquet", source, error) from error


def parquet_schema(part: Part, *, source: str) -> pa.Schema:
    """Return the columns of a Parquet file."""
    path = part.path
    try:
        return _legible(pq.read_schema(path))
    except DataError:
        raise
    except _UNREADABLE as error:
        raise _damaged_table(part, "Parquet", source, error) from error


def arrow_chunks(part: Part, *, source: str, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
    """Yield the rows of a Feather file (an Arrow IPC file), at least ``rows`` at a time if it has them."""
    path = part.path
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            yield from gathered(batches, source, part, rows)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise _damaged_table(part, "Feather", source, error) from error


def arrow_schema(part: Part, *, source: str) -> pa.Schema:
    """Return the columns of a Feather file."""
    path = part.path
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            return _legible(reader.schema)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise _damaged_table(part, "Feather", source, error) from error


def _legible(schema: pa.Schema) -> pa.Schema:
    """Return ``schema``; raise UnicodeDecodeError for a column name that is not text, which pyarrow checks lazily."""
    schema.names  # noqa: B018
    return schema


def json_chunks(part: Part, names: Sequence[str], *, source: str, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
    """Yield the rows of a JSON array of arrays of ``names`` (numbers or null), float64, about ``rows`` at a time."""
    values = ", ".join(f'row[{number}] AS "{name}"' for number, name in enumerate(names, start=1))
    query = (
        f"SELECT len(row) AS fields, {values} FROM read_json($path, format='array', records='false', "
        f"columns={{row: 'DOUBLE[]'}}, maximum_object_size={_JSON_ROW_BYTES})"
    )
    path, seen = part.path, 0
    try:
        with duckdb.connect(config={"memory_limit": "256MB", "threads": 1}) as connection:
            reader = connection.sql(query, params={"path": str(path)}).to_arrow_reader(rows)
            for chunk in gathered(reader, source, part, rows):
                odd = chunk["fields"].to_numpy() != len(names)
                if odd.any():
                    row = int(odd.argmax())
                    raise DataError(
                        f"{source}: row {seen + row}: {chunk['fields'].iloc[row]} values, expected {len(names)} "
                        f"({', '.join(names)})"
                    )
                seen += len(chunk)
                yield chunk.drop(columns="fields")
    except (duckdb.Error, OSError) as error:  # the reader raises DuckDB's errors as OSError
        if isinstance(error, OSError) and error.errno:
            raise
        raise DataError(f"{source}: {part.name} cannot be read as JSON ({first_line(error)})") from error


def gathered(
    batches: "Iterator[pa.RecordBatch] | pa.RecordBatchReader", source: str, part: Part, size: int
) -> Iterator[pd.DataFrame]:
    """Yield batches as frames of about ``size`` rows, or of one batch if that has more."""
    waiting: list[pa.RecordBatch] = []
    rows = total = 0
    for batch in batches:
        total += batch.num_rows
        if total > MAX_ROWS:
            raise DataError(f"{source}: {part.name} has more than {MAX_ROWS:,} rows: split it")
        if waiting and (rows + batch.num_rows > size or batch.schema.types != waiting[0].schema.types):
            yield _frame(waiting)
            waiting, rows = [], 0
        waiting.append(batch)
        rows += batch.num_rows
    if rows:
        yield _frame(waiting)


def _frame(batches: list[pa.RecordBatch]) -> pd.DataFrame:
    return pa.Table.from_batches(batches).replace_schema_metadata(None).to_pandas()  # pandas metadata may be damaged


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _damaged_table(part: Part, what: str, source: str, error: Any) -> DataError:
    return DataError(
        f"{source}: {part.name} cannot be read as {what} ({first_line(error)}): it is damaged or truncated; "
        "download it again"
    )
