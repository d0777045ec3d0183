"""IO manager of op outputs: small JSON files between steps."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field
from upath import UPath

from forge_core.files import read_json, write_json


class JsonIOManager(dg.UPathIOManager):
    """Writes an op's output as JSON: steps hand each other names and hashes, never data and never a pickle."""

    extension = ".json"

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write ``obj`` as JSON, whole or not at all."""
        write_json(Path(str(path)), obj)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read the file that ``dump_to_path`` wrote."""
        return read_json(Path(str(path)))


class JsonOutputs(dg.ConfigurableIOManagerFactory):
    """Op outputs as JSON files, by default in the storage folder of the Dagster instance."""

    folder: str = Field(default="", description="Folder of the outputs; FORGE_OUTPUTS sets it.")

    def create_io_manager(self, context: dg.InitResourceContext) -> JsonIOManager:
        """Return the IO manager of one run."""
        assert context.instance is not None  # every run has one
        return JsonIOManager(UPath(Path(self.folder or context.instance.storage_directory()).resolve()))
