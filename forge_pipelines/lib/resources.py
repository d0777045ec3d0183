"""Resources of the assets and jobs: the store of raw bars."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster_duckdb import DuckDBResource
from duckdb import DuckDBPyConnection
from pydantic import Field

from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home


class BarStoreResource(DuckDBResource):
    """The DuckDB file of raw bars. One process at a time has it open, and every caller closes it again."""

    database: str = Field(default="", description="Path of the file, by default forge.duckdb of FORGE_HOME.")
    wait_seconds: float = Field(default=120.0, description="How long to wait while another process has it open.")

    def open(self) -> BarStore:
        """Return the store, to be opened by ``with``; raises DataError while another process keeps it open."""
        path = Path(self.database) if self.database else Home.current().store
        return BarStore(path, wait=self.wait_seconds)

    @contextmanager
    def get_connection(self) -> Iterator[DuckDBPyConnection]:
        """Open the store and yield its connection, closed after an exception too (Dagster's own stays open)."""
        with self.open() as store:
            yield store.connection
