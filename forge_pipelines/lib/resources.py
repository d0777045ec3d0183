"""Resources of the assets and jobs: home folder, number of workers, store of raw bars."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster_duckdb import DuckDBResource
from duckdb import DuckDBPyConnection
from pydantic import Field

from forge_core.market.store.bar_store import BarStore
from forge_core.parallelism import SETTING, worker_count
from forge_core.paths import Home

HOME_SETTING = "FORGE_HOME"


def environment(name: str) -> str:
    """Return the environment variable ``name`` as a resource's value: its name where it is set, else empty.

    Dagster resolves a variable when a run starts and fails where it is not set, so one that is not set stays out.
    """
    return dg.EnvVar(name) if os.environ.get(name) else ""


class HomeResource(dg.ConfigurableResource):
    """The folder that Forge writes to."""

    path: str = Field(default="", description=f"Path of the folder, by default {HOME_SETTING}, or data of the project.")

    def open(self) -> Home:
        """Return the home."""
        return Home(Path(self.path).expanduser().resolve()) if self.path else Home.current()


class WorkersResource(dg.ConfigurableResource):
    """The number of workers: the cores that the steps of a run divide among them."""

    count: str = Field(
        default="",
        description=f"A whole number of 1 or more, by default {SETTING}, or the number of cores. How many steps run at "
        "the same time is the executor's max_concurrent.",
    )

    def number(self) -> int:
        """Return the number of workers; raises ConfigError unless it is a whole number of 1 or more."""
        return worker_count(self.count or None)


class BarStoreResource(DuckDBResource):
    """The DuckDB file of raw bars. One process at a time has it open, and every caller closes it again."""

    database: str = Field(default="", description="Path of the file, by default forge.duckdb of the home.")
    wait_seconds: float = Field(default=120.0, description="How long to wait while another process has it open.")
    home: dg.ResourceDependency[HomeResource]

    def open(self) -> BarStore:
        """Return the store, to be opened by ``with``; raises DataError while another process keeps it open."""
        path = Path(self.database) if self.database else self.home.open().store
        return BarStore(path, wait=self.wait_seconds)

    @contextmanager
    def get_connection(self) -> Iterator[DuckDBPyConnection]:
        """Open the store and yield its connection, closed after an exception too (Dagster's own stays open)."""
        with self.open() as store:
            yield store.connection
