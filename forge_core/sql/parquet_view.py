"""Views over Parquet files: opened when a query reads them, checked as they are opened, columns added by folder.

DuckDB never opens a file itself. It reads Arrow datasets, so its access to files stays switched off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs
import pyarrow.parquet as pq

from forge_core.errors import DataError
from forge_core.files import read_checked

_UNREADABLE = b"PAR1 damaged PAR1"  # what Arrow refuses by itself; an exception in its threads may hang DuckDB


@dataclass
class CheckedFiles(fs.FileSystemHandler):  # type: ignore[misc]
    """A file system that reads whole files, checks them, and records the ones it refused."""

    refused: list[DataError] = field(default_factory=list)

    def get_type_name(self) -> str:
        """Return the name of this kind of file system."""
        return "forge-checked"

    def normalize_path(self, path: str) -> str:
        """Return ``path`` as it is."""
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        """Return what each path is; a missing file counts as one, and is refused when it is opened."""
        return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open a checked copy of a file in memory."""
        try:
            return pa.BufferReader(read_checked(Path(path)))
        except DataError as error:
            self.refused.append(error)
        except OSError as error:
            self.refused.append(DataError(f"{path} cannot be read ({error.strerror or error})"))
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
    """Return a dataset over ``files``, each with its own values of the columns ``facts`` before those of the file.

    It has all columns that any file has, or the ``usual`` ones where no file can be read.
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
    """Return a file's columns, or None where they cannot be read: such a file is refused once a query opens it."""
    try:
        return pq.read_schema(path).remove_metadata()
    except (pa.ArrowException, OSError):
        return None
