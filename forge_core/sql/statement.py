"""Validation of statements for `forge sql`: one SELECT, or EXPLAIN of one, according to DuckDB's parser."""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from forge_core.errors import ConfigError

_EXPLAIN = re.compile(r"EXPLAIN\b(\s+ANALYZE\b)?\s*(.*)", re.IGNORECASE | re.DOTALL)
_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
# a CTE may contain INSERT, UPDATE, DELETE or COPY, although DuckDB's statement type is SELECT
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
# these run text that was not parsed here, or change the connection
_REFUSED_FUNCTIONS = {
    "query",
    "query_table",
    "json_execute_serialized_sql",
    "checkpoint",
    "force_checkpoint",
    "enable_logging",
    "disable_logging",
    "truncate_duckdb_logs",
    "write_log",
}
_MOST_CHARACTERS = 100_000


def readable_statement(text: str) -> str:
    """Return the statement to run: ``text`` if it is one SELECT, or EXPLAIN of one.

    Raises ConfigError for anything else.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ConfigError(f"query of {len(text):,} characters; expected at most {_MOST_CHARACTERS:,}")
    kinds = _kinds(text)
    if kinds == ["EXPLAIN"]:
        found = _EXPLAIN.fullmatch(text[_end_of_comments(text) :])
        analyze, inner = (bool(found[1]), found[2]) if found else (False, "")
        if not found or _inner_kinds(inner) != ["SELECT"]:
            raise ConfigError(
                "expected EXPLAIN SELECT or EXPLAIN ANALYZE SELECT, got EXPLAIN of another kind: the data are read-only"
            )
        _check_reads_only(inner)
        return f"EXPLAIN {'ANALYZE ' * analyze}{inner}"
    if kinds != ["SELECT"]:
        raise ConfigError(f"expected one SELECT, got {', '.join(kinds) or 'nothing'}: the data are read-only")
    _check_reads_only(text)
    return text


def _kinds(text: str) -> list[str]:
    try:
        return [statement.type.name for statement in duckdb.extract_statements(text)]
    except duckdb.Error as error:
        raise ConfigError(f"not SQL: {error_line(error)}") from error
    except ValueError:  # a statement type without a name in DuckDB's Python API
        return ["another statement"]


def _inner_kinds(text: str) -> list[str]:
    try:
        return _kinds(text)
    except ConfigError:
        return []


def _end_of_comments(text: str) -> int:
    found = _COMMENTS.match(text)
    return found.end() if found else 0


def _check_reads_only(text: str) -> None:
    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise ConfigError("not SQL: the query is nested too deeply") from None
    if tree.get("error"):
        raise ConfigError(f"not SQL: {' '.join(str(tree.get('error_message', 'it cannot be parsed')).split())}")
    for node in _nodes(tree):
        kind = str(node.get("type"))
        if kind.endswith("_NODE") and kind not in _READING_NODES:
            statement = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise ConfigError(f"expected one SELECT, got {statement} inside it: the data are read-only")
        if str(node.get("function_name", "")).lower() in _REFUSED_FUNCTIONS:
            raise ConfigError(f"the function {node['function_name']} is not allowed: the data are read-only")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a parsed statement, without recursion because queries may be deeply nested."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def error_line(error: Exception) -> str:
    """Return DuckDB's message on one line, without the excerpt of the query."""
    return " ".join(str(error).split("\n\nLINE")[0].split())
