"""Views over Parquet files: opened lazily, checked on opening, with columns derived from the folder.

DuckDB never opens a file itself. It reads Arrow datasets, so its file access stays disabled.
"""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs
import pyarrow.parquet as pq

from forge_core.errors import DataError
from forge_core.evolution.storage.ledger import irreplaceable
from forge_core.files import read_checked

_UNREADABLE = b"PAR1 damaged PAR1"  # rejected by Arrow itself; an exception in its threads may hang DuckDB


@dataclass
class CheckedFiles(fs.FileSystemHandler):  # type: ignore[misc]
    """File system that reads whole files, checks them, and records the rejected ones."""

    ledger: Path
    refused: list[DataError] = field(default_factory=list)

    def get_type_name(self) -> str:
        """Return the type name of the file system."""
        return "forge-checked"

    def normalize_path(self, path: str) -> str:
        """Return ``path`` unchanged."""
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        """Return each path as a file; a missing file is rejected when it is opened."""
        return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open a checked copy of a file in memory."""
        try:
            with irreplaceable() if self.ledger in Path(path).parents else nullcontext():
                return pa.BufferReader(read_checked(Path(path)))
        except DataError as error:
            self.refused.append(error)
        except OSError as error:
            self.refused.append(DataError(f"cannot read {path} ({error.strerror or error})"))
        return pa.BufferReader(_UNREADABLE)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """Open a checked copy of a file in memory."""
        return self.open_input_file(path)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        """Refuse to list folders."""
        raise PermissionError("folders are not listed")

    def _refuse(self, *_: object, **__: object) -> Any:
        raise PermissionError("read-only")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refuse
    delete_file = move = copy_file = open_output_stream = open_append_stream = _refuse


def parquet_dataset(
    files: Iterable[tuple[Path, Mapping[str, Any]]], facts: pa.Schema, usual: pa.Schema, checked: CheckedFiles
) -> ds.Dataset:
    """Return a dataset over ``files``, with the columns ``facts`` of each file before the columns it holds.

    Its schema is the union of the columns of all files, or ``usual`` if no file is readable.
    """
    format_ = ds.ParquetFileFormat()
    file_system = fs.PyFileSystem(checked)
    fragments: list[ds.Fragment] = []
    schemas: list[pa.Schema] = []
    for path, values in files:
        condition = None
        for name, value in values.items():
            term = ds.field(name) == pa.scalar(value, facts.field(name).type)
            condition = term if condition is None else condition & term
        fragments.append(format_.make_fragment(str(path), filesystem=file_system, partition_expression=condition))
        if (schema := _schema(path)) is not None and not any(schema.equals(known) for known in schemas):
            schemas.append(schema)
    columns = pa.unify_schemas(schemas or [usual], promote_options="permissive")
    names = set(facts.names)
    whole = pa.schema([*facts, *(column for column in columns if column.name not in names)])
    return ds.FileSystemDataset(fragments, whole, format_, filesystem=file_system)


def _schema(path: Path) -> pa.Schema | None:
    """Return a file's columns, or None if unreadable: such a file is rejected when a query opens it."""
    try:
        return pq.read_schema(path).remove_metadata()
    except (pa.ArrowException, OSError):
        return None
