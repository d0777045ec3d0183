"""CSV files in chunks: dialect, column types, and detection of a truncated end."""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from forge_core.errors import DataError
from forge_core.market.importing.formats.source_file import Part
from forge_core.market.importing.formats.tables import CHUNK_ROWS, first_line, gathered

CUT = "the last line has no line end and may be truncated: left out"

_BLOCK = 4 * 2**20  # bytes read at once; larger blocks are not faster
_MISSING = ["", "nan", "NaN", "NAN", "null", "NULL", "None", "na", "NA", "N/A", "n/a", "#N/A", "-nan"]
_NO_ROWS = ("Empty CSV file", "file is too short")  # Arrow's message for a header without rows
_OTHER_TYPE = "conversion error"  # Arrow's message for a value of another type than its column's
_SAMPLE = 100  # number of lines from which column types are inferred
_LINE_BYTES = 64 * 1024
_EPOCH_DIGITS = 10  # integers from here on must not be rounded to floats
_TYPES = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC"))


class CsvShape(NamedTuple):
    """Dialect of a CSV: its separator and the fields of its first line, which are names if ``header``.

    ``blank``: number of blank lines before that line.
    """

    separator: str
    fields: tuple[str, ...]
    header: bool
    blank: int


def csv_shape(part: Part) -> CsvShape | None:
    """Return the CSV dialect of ``part``, or None if it is not text or has a single column."""
    if not part.lines:
        return None
    line = part.lines[0]
    separator = max(",;\t|", key=line.count)
    fields = _fields(line, separator)
    if len(fields) < 2:
        return None
    header = not all(_is_number(field) for field in fields)
    return CsvShape(separator, fields, header, part.leading_blank_lines)


def may_be_cut(part: Part, shape: CsvShape, used: Collection[str] = ()) -> bool:
    """Whether a CSV may be truncated inside the last number of its last line, which is then left out.

    It is complete if that line has a line end, if the file is from an archive with a checksum, if the last column is
    not among those ``used``, or if that column has a fixed number of decimals and its last value has it too.
    """
    if part.packed or (shape.header and shape.fields[-1] not in used):
        return False
    with part.path.open("rb") as file:
        file.seek(max(0, part.path.stat().st_size - _LINE_BYTES))
        last = file.read().decode("utf-8", errors="replace")
    if last.endswith(("\n", "\r")):
        return False
    decimals = {_decimals(line, shape) for line in part.lines[shape.header : _SAMPLE]}
    return decimals == {0} or decimals != {_decimals(last.splitlines()[-1], shape)}


def csv_chunks(
    part: Part,
    shape: CsvShape,
    names: Sequence[str] = (),
    *,
    source: str,
    whole: bool = True,
    rows: int = CHUNK_ROWS,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV, about ``rows`` at a time; ``names`` are the columns of a file without a header.

    If not ``whole``, the last row is left out. A column is int64, float64 or times if all its values in a chunk are,
    else text. Raises DataError for rows with too few or too many fields.
    """
    labels = list(shape.fields if shape.header else names)
    columns = [str(number) for number in range(len(labels))]  # labels may be duplicates
    path, seen = part.path, 0
    waiting: pd.DataFrame | None = None
    texts = dict.fromkeys(columns, pa.string())
    for types in (_told_types(part, shape, columns), texts):  # read as text if a later value is of another type
        try:
            for chunk in gathered(_batches(str(path), shape, types, skip=seen), source, part, rows):
                seen += len(chunk)
                if waiting is not None:
                    yield waiting
                waiting = chunk.set_axis(labels, axis=1)
            break
        except (pa.ArrowException, UnicodeDecodeError) as error:
            if _OTHER_TYPE in str(error) and types is not texts:
                continue
            if not any(sign in str(error) for sign in _NO_ROWS):
                raise DataError(f"{source}: {part.name} cannot be read as CSV ({first_line(error)})") from error
            break
    if waiting is not None:
        yield waiting if whole else waiting.iloc[:-1]


def _batches(path: str, shape: CsvShape, types: Mapping[str, pa.DataType], skip: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows after the first ``skip``; convert columns of text to numbers or times if possible."""
    read = pa_csv.ReadOptions(
        column_names=list(types),
        skip_rows=shape.blank + 1 if shape.header else 0,
        block_size=_BLOCK,
        use_threads=False,  # so that errors have the row number
    )
    convert = pa_csv.ConvertOptions(column_types=types, null_values=_MISSING, strings_can_be_null=True)
    parse = pa_csv.ParseOptions(delimiter=shape.separator)
    # opened here because pyarrow unpacks by file name, and a file named .gz may not be compressed
    with pa.OSFile(path) as file, pa_csv.open_csv(file, read, parse, convert) as reader:
        for batch in reader:
            over = batch.slice(min(skip, batch.num_rows))
            skip -= batch.num_rows - over.num_rows
            if over.num_rows:
                columns = [_typed(column) if column.type == pa.string() else column for column in over.columns]
                yield pa.RecordBatch.from_arrays(columns, names=over.schema.names)


def _told_types(part: Part, shape: CsvShape, columns: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the column types inferred from the first lines."""
    rows = [_fields(line, shape.separator) for line in part.lines[shape.header : _SAMPLE]]
    types = {}
    for number, column in enumerate(columns):
        values = [None if row[number] in _MISSING else row[number] for row in rows if len(row) == len(columns)]
        told = _typed(pa.array(values, pa.string())).type
        if told == pa.int64() and all(len(value or "") < _EPOCH_DIGITS for value in values):
            told = pa.float64()  # whole by chance
        types[column] = told
    return types


def _typed(column: pa.Array) -> pa.Array:
    """Return text converted to numbers or times if all of it can be."""
    for type_ in _TYPES:
        try:
            return pc.cast(column, type_)
        except pa.ArrowInvalid:
            continue
    return column


def _fields(line: str, separator: str) -> tuple[str, ...]:
    try:
        return tuple(field.strip() for field in next(csv.reader([line], delimiter=separator)))
    except (csv.Error, StopIteration):
        return ()


def _decimals(line: str, shape: CsvShape) -> int:
    """Return the number of decimals of the last field of a line."""
    return len(line.rstrip().rsplit(shape.separator, 1)[-1].partition(".")[2])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
