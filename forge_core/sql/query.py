"""Read-only SQL queries over the views."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pandas as pd
import psutil

from forge_core.errors import ConfigError, DataError, ForgeError
from forge_core.paths import Home
from forge_core.sql.parquet_view import CheckedFiles
from forge_core.sql.statement import error_line, readable_statement
from forge_core.sql.views import STORE, VIEWS, View

_WAIT = 5.0  # seconds to wait for a process that writes to the store
_RETRY = 0.1
_MEMORY = "1GB"
_SPILL_LIMIT = "4GB"
_SPILL = ".sql-"  # prefix of folders in the home, followed by the id of the process


def run_query(text: str, home: Home | None = None, *, wait: float = _WAIT) -> pd.DataFrame:
    """Return the rows of one SELECT over the views of ``forge_core.sql.views``. Times are UTC.

    Nothing can be written, and only files of the views it names can be opened. Only a query on the store's views opens
    the store, and waits up to ``wait`` seconds while another process writes to it. Raises ConfigError for anything but
    one valid SELECT (or EXPLAIN of one), DataError if the store stays locked or a file that the query reads is
    damaged.
    """
    home = home or Home.current()
    statement = readable_statement(text)
    read = _names(statement)
    checked = CheckedFiles(home.ledger)
    views = [view for view in VIEWS if view.name in read]
    with _spill_folder(home) as spill, _connection(views, home, checked, spill, wait) as connection:
        try:
            return connection.execute(statement).df()
        except duckdb.Error as error:
            if checked.refused:
                raise checked.refused[0] from error
            raise ConfigError(
                f"{error_line(error)}; `forge sql` without a query lists the views and columns"
            ) from error


def describe_views(home: Home | None = None) -> list[tuple[View, list[str]]]:
    """Return the views and the names of their columns, without opening the store.

    If a file of a view is damaged, the columns are the usual ones of the view.
    """
    home = home or Home.current()
    described = []
    for view in VIEWS:
        names = [column.split()[0] for column in view.columns.split(",")]
        if not view.of_store:
            with suppress(ForgeError), _connection([view], home, CheckedFiles(home.ledger), None, _WAIT) as connection:
                names = [str(row[0]) for row in connection.execute(f"DESCRIBE {view.name}").fetchall()]
        described.append((view, names))
    return described


@contextmanager
def _connection(
    views: list[View], home: Home, checked: CheckedFiles, spill: Path | None, wait: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with read-only access to ``views`` and nothing else."""
    settings = {
        "memory_limit": _MEMORY,
        "temp_directory": str(spill or ""),
        "max_temp_directory_size": _SPILL_LIMIT if spill else "0B",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    with duckdb.connect() as connection:
        for name, value in settings.items():
            connection.execute(f"SET {name} = {_quoted(value)}")
        connection.execute("SET TimeZone='UTC'")
        if any(view.of_store for view in views):
            _attach(connection, home, wait)
        for view in views:
            view.create(connection, home, view, checked)
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        connection.execute("BEGIN TRANSACTION READ ONLY")
        yield connection


@contextmanager
def _spill_folder(home: Home) -> Iterator[Path | None]:
    """Yield a temporary folder in the home for a query's spill files; None if it cannot be created."""
    folder = None
    with suppress(OSError):  # no home, or a read-only one: queries must fit into memory
        for old in home.root.glob(f"{_SPILL}*"):
            _, process, _ = f"{old.name}--".split("-", 2)
            if not (process.isdecimal() and psutil.pid_exists(int(process))):
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{_SPILL}{os.getpid()}-", dir=home.root))
    try:
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _names(text: str) -> set[str]:
    """Return the table names in a query, or all its words if DuckDB cannot list them."""
    try:
        with duckdb.connect() as connection:
            return {name.lower() for name in connection.get_table_names(text)}
    except duckdb.Error:
        return {word.lower() for word in re.findall(r"\w+", text)}


def _attach(connection: duckdb.DuckDBPyConnection, home: Home, wait: float) -> None:
    """Attach the store read-only; wait while another process writes to it."""
    if not home.store.is_file():
        connection.execute(f"ATTACH ':memory:' AS {STORE}")
        return
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute(f"ATTACH {_quoted(str(home.store))} AS {STORE} (READ_ONLY)")
            return
        except duckdb.Error as error:
            if "lock" not in str(error):
                raise DataError(f"cannot read {home.store} ({error_line(error)})") from error
            if time.monotonic() >= deadline:
                raise DataError(
                    f"{home.store} is locked by a process that writes to it ({error_line(error)}): retry in a moment, "
                    "or query dataset_bars, which is readable at any time"
                ) from error
        time.sleep(_RETRY)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
