"""Running one query over the views, read-only."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pandas as pd

from forge_core.errors import ConfigError, DataError
from forge_core.paths import Home
from forge_core.sql.views import STORE, VIEWS, View

_WAIT = 5.0  # seconds for a process that writes to the store
_RETRY = 0.1
_READING = ("SELECT", "EXPLAIN")  # DESCRIBE, SUMMARIZE, SHOW, VALUES and FROM count as SELECT
_MEMORY = "1GB"


def run_query(text: str, home: Home | None = None, *, wait: float = _WAIT) -> pd.DataFrame:
    """Return the rows of one SELECT over the views of ``forge_core.sql.views``. Times are UTC.

    Nothing can be written, and no file outside the home folder be read. Only a query that reads the store's views opens
    the store; if another process writes to it, that is waited for up to ``wait`` seconds. Raises ConfigError for what
    is no single SELECT or does not make sense, DataError while the store is held.
    """
    home = home or Home.current()
    _check_statement(text)
    with _connected(text, home, wait) as connection:
        try:
            return connection.sql(text).df()
        except duckdb.Error as error:
            raise ConfigError(f"{_message(error)}; `forge sql` alone lists what there is to ask") from error


def describe_views(home: Home | None = None) -> list[tuple[View, list[str]]]:
    """Return the views, and the names of each one's columns as they are now; those of the store without opening it."""
    home = home or Home.current()
    described = []
    with _views(home, [view for view in VIEWS if not view.of_store]) as connection:
        for view in VIEWS:
            if view.of_store:
                names = [column.split()[0] for column in view.columns.split(",")]
            else:
                names = [str(row[0]) for row in connection.execute(f"DESCRIBE {view.name}").fetchall()]
            described.append((view, names))
    return described


def _check_statement(text: str) -> None:
    try:
        kinds = [statement.type.name for statement in duckdb.extract_statements(text)]
    except duckdb.Error as error:
        raise ConfigError(f"not SQL: {_message(error)}") from error
    if len(kinds) != 1 or kinds[0] not in _READING:
        raise ConfigError(
            f"one SELECT is expected, got {', '.join(kinds) or 'nothing'}: Forge's data are read-only here"
        )


@contextmanager
def _connected(text: str, home: Home, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a connection with the views that a query reads."""
    read = _names(text)
    with _views(home, [view for view in VIEWS if view.name in read], wait=wait) as connection:
        connection.execute(f"SET allowed_directories=['{str(home.root).replace(chr(39), chr(39) * 2)}']")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        yield connection


@contextmanager
def _views(home: Home, views: list[View], *, wait: float = _WAIT) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"memory_limit": _MEMORY}) as connection:
        connection.execute("SET TimeZone='UTC'")
        if any(view.of_store for view in views):
            _attach(connection, home, wait)
        for view in views:
            view.create(connection, home, view)
        yield connection


def _names(text: str) -> set[str]:
    """Return the names of tables in a query, or all its words if that cannot be told."""
    try:
        with duckdb.connect() as connection:
            return {name.lower() for name in connection.get_table_names(text)}
    except duckdb.Error:
        return {word.lower() for word in re.findall(r"\w+", text)}


def _attach(connection: duckdb.DuckDBPyConnection, home: Home, wait: float) -> None:
    """Attach the store to read it, waiting while another process writes."""
    if not home.store.is_file():
        connection.execute(f"ATTACH ':memory:' AS {STORE}")
        return
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute(f"ATTACH '{str(home.store).replace(chr(39), chr(39) * 2)}' AS {STORE} (READ_ONLY)")
            return
        except duckdb.Error as error:
            if "lock" not in str(error):
                raise DataError(f"{home.store} cannot be read ({_message(error)})") from error
            if time.monotonic() >= deadline:
                raise DataError(
                    f"{home.store} is being written to by another process ({_message(error)}): ask again in a moment, "
                    "or ask dataset_bars, which can be read at any time"
                ) from error
        time.sleep(_RETRY)


def _message(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n\nLINE")[0].split())
