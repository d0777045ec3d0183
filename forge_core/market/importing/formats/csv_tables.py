"""CSV in chunks: how a file is written, which types its columns have, and whether its end was cut off."""

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

CUT = "its last line does not end, so it may be cut off inside a number: left out"

_BLOCK = 4 * 2**20  # bytes read at once; larger ones only take memory
_MISSING = ["", "nan", "NaN", "NAN", "null", "NULL", "None", "na", "NA", "N/A", "n/a", "#N/A", "-nan"]
_NO_ROWS = ("Empty CSV file", "file is too short")  # what Arrow says of a header alone
_OTHER_TYPE = "conversion error"  # what Arrow says of a value that is not of its column's type
_SAMPLE = 100  # lines by which the types of columns are told
_LINE_BYTES = 64 * 1024
_EPOCH_DIGITS = 10  # of whole numbers that must not be rounded as floats
_TYPES = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC"))


class CsvShape(NamedTuple):
    """How a CSV is written: its separator, and the fields of its first line, which are names if ``header``.

    ``blank`` lines come before that line.
    """

    separator: str
    fields: tuple[str, ...]
    header: bool
    blank: int


def csv_shape(part: Part) -> CsvShape | None:
    """Return how the text of ``part`` is written as CSV, or None if it is no text or has a single column."""
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
    """Whether a CSV may be cut off inside the last number of its last line, which is then not to be taken.

    Not if that line ends, nor if the file was unpacked from an archive, whose checksum vouches for it, nor if the last
    column is none of those ``used``, or has a fixed number of decimals that its last value has too.
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
    """Yield the rows of a CSV, about ``rows`` at a time; ``names`` name its columns where it has no header.

    Not ``whole``: the last row is left out. Columns are int64, float64 or times where all values of a chunk are, else
    text. Raises DataError for rows with too few or too many fields.
    """
    labels = list(shape.fields if shape.header else names)
    columns = [str(number) for number in range(len(labels))]  # labels may stand twice
    path, seen = part.path, 0
    waiting: pd.DataFrame | None = None
    texts = dict.fromkeys(columns, pa.string())
    for types in (_told_types(part, shape, columns), texts):  # should a later value be of another type, all are texts
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
    """Yield the rows after the first ``skip``; the text of whole columns becomes numbers or times where it can."""
    read = pa_csv.ReadOptions(
        column_names=list(types),
        skip_rows=shape.blank + 1 if shape.header else 0,
        block_size=_BLOCK,
        use_threads=False,  # errors then tell the row
    )
    convert = pa_csv.ConvertOptions(column_types=types, null_values=_MISSING, strings_can_be_null=True)
    parse = pa_csv.ParseOptions(delimiter=shape.separator)
    # opened here, for pyarrow would unpack by the file's name, and a name may say .gz of what is not packed
    with pa.OSFile(path) as file, pa_csv.open_csv(file, read, parse, convert) as reader:
        for batch in reader:
            over = batch.slice(min(skip, batch.num_rows))
            skip -= batch.num_rows - over.num_rows
            if over.num_rows:
                columns = [_typed(column) if column.type == pa.string() else column for column in over.columns]
                yield pa.RecordBatch.from_arrays(columns, names=over.schema.names)


def _told_types(part: Part, shape: CsvShape, columns: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the types that the first lines tell."""
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
    """Return text as numbers or times, where all of it is such."""
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
    """Return how many digits follow the point in the last field of a line."""
    return len(line.rstrip().rsplit(shape.separator, 1)[-1].partition(".")[2])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
