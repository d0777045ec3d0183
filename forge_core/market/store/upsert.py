"""Upsert of bars or funding rates: new rows are added, differing ones are reported, or replaced and kept on record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pandas as pd

from forge_core.market.bars.model import BAR_COLUMNS

_TOLERANCE = 1e-9  # relative: two downloads agree in prices, but volumes are sums and may differ in the last digits
_EXAMPLES = 5


@dataclass(frozen=True)
class Table:
    """A table of the store: the columns that identify a series, and the values at each timestamp.

    It has no index, because an index of ten million bars takes more memory than the bars. Only the store writes to it,
    and prevents duplicate timestamps in a series by a join of incoming with stored rows.
    """

    name: str
    revisions: str  # the table of replaced rows
    keys: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def schema(self) -> str:
        """The statements that create it and the table of its revisions."""
        texts = [f"{name} VARCHAR NOT NULL" for name in self.keys]
        numbers = [f"{name} DOUBLE NOT NULL" for name in self.columns]
        row = ", ".join([*texts, "timestamp TIMESTAMP NOT NULL", *numbers, "source VARCHAR NOT NULL"])
        replaced = "replaced_by VARCHAR NOT NULL, replaced_at TIMESTAMP NOT NULL"
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} ({row});"
            f"CREATE TABLE IF NOT EXISTS {self.revisions} ({row}, {replaced});"
        )


BARS = Table("bars", "revisions", ("symbol", "timeframe"), BAR_COLUMNS)
FUNDING = Table("funding", "funding_revisions", ("symbol",), ("rate",))


@dataclass(frozen=True)
class Conflict:
    """Stored and incoming values of a bar (or rate) that differ, in the order of the table's columns."""

    timestamp: pd.Timestamp
    stored: tuple[float, ...]
    incoming: tuple[float, ...]


@dataclass(frozen=True)
class UpsertReport:
    """Numbers of incoming bars (or rates) by outcome; ``examples`` are the first conflicts.

    ``timeframe`` is ``funding`` for rates. ``conflicts`` differ and were left as stored, ``revised`` were replaced.
    """

    symbol: str
    timeframe: str
    inserted: int
    unchanged: int
    conflicts: int
    examples: tuple[Conflict, ...] = ()
    revised: int = 0

    def __str__(self) -> str:
        rows = "rates" if self.timeframe == FUNDING.name else "bars"
        text = f"{self.symbol} {self.timeframe}: {self.inserted} {rows} added, {self.unchanged} known already"
        if self.conflicts or self.revised:
            first = self.examples[0]
            done = (
                f"{self.revised} replaced and the former kept on record"
                if self.revised
                else f"{self.conflicts} differ from the stored ones, which stay"
            )
            text += f", {done} (first at {first.timestamp}: stored {first.stored}, incoming {first.incoming})"
        return text


def merge_incoming(
    connection: duckdb.DuckDBPyConnection, table: Table, key: Mapping[str, str], source: str, *, revise: bool
) -> UpsertReport:
    """Merge the relation ``incoming`` (unique timestamps, and values) into the series ``key`` of ``table``.

    Missing rows are added. Rows with other values stay, or with ``revise`` are replaced and recorded as revisions. Must
    run inside a transaction.
    """
    series = " AND ".join(f"{name} = ${name}" for name in table.keys)
    rows, first, last = connection.execute("SELECT count(*), min(timestamp), max(timestamp) FROM incoming").fetchall()[
        0
    ]
    stored = f"(SELECT * FROM {table.name} WHERE {series} AND timestamp BETWEEN $first AND $last)"
    given = {**key, "first": first, "last": last}
    differs = " OR ".join(
        f"abs(b.{c} - o.{c}) > {_TOLERANCE} * greatest(abs(b.{c}), abs(o.{c}))" for c in table.columns
    )
    matched = f"FROM incoming o JOIN {stored} b USING (timestamp)"
    known, different = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE {differs}) {matched}", given
    ).fetchall()[0]
    examples: tuple[Conflict, ...] = ()
    if different:
        sides = ", ".join(f"{side}.{column}" for side in "bo" for column in table.columns)
        width = len(table.columns)
        found = connection.execute(
            f"SELECT timestamp, {sides} {matched} WHERE {differs} ORDER BY timestamp LIMIT {_EXAMPLES}", given
        ).fetchall()
        examples = tuple(Conflict(pd.Timestamp(r[0], tz="UTC"), r[1 : width + 1], r[width + 1 :]) for r in found)
    if different and revise:
        _replace(connection, table, given, source, f"{matched} WHERE {differs}", series)
    if known < rows:
        names, values = ", ".join(f"${name}" for name in table.keys), ", ".join(table.columns)
        connection.execute(
            f"INSERT INTO {table.name} SELECT {names}, timestamp, {values}, $source "
            f"FROM incoming o ANTI JOIN {stored} b USING (timestamp) ORDER BY timestamp",
            {**given, "source": source},
        )
    return UpsertReport(
        symbol=key["symbol"],
        timeframe=key.get("timeframe", table.name),
        inserted=rows - known,
        unchanged=known - different,
        conflicts=0 if revise else different,
        examples=examples,
        revised=different if revise else 0,
    )


def _replace(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    given: Mapping[str, object],
    source: str,
    changed: str,
    series: str,
) -> None:
    """Record the rows ``changed`` as revisions, and set them to the incoming values."""
    values = ", ".join(f"o.{column}" for column in table.columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE revising AS SELECT timestamp, {values} {changed}", dict(given))
    connection.execute(
        f"INSERT INTO {table.revisions} SELECT b.*, $source, $now "
        f"FROM {table.name} b SEMI JOIN revising USING (timestamp) WHERE {series}",
        {**{k: given[k] for k in table.keys}, "source": source, "now": datetime.now(UTC).replace(tzinfo=None)},
    )
    updates = ", ".join(f"{column} = n.{column}" for column in table.columns)
    connection.execute(
        f"UPDATE {table.name} SET {updates}, source = $source FROM revising n "
        f"WHERE {series} AND {table.name}.timestamp = n.timestamp",
        {**{k: given[k] for k in table.keys}, "source": source},
    )
    connection.execute("DROP TABLE revising")
