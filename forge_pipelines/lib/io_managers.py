"""What the ops share: how their small outputs are kept between steps."""

from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from forge_core.files import read_json, write_json


class JsonIOManager(dg.UPathIOManager):
    """Keeps an op's output as JSON: steps hand each other names and hashes, never data and never a pickle."""

    extension = ".json"

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write ``obj`` as JSON, whole or not at all."""
        write_json(Path(str(path)), obj)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        """Read what ``dump_to_path`` wrote."""
        return read_json(Path(str(path)))


@dg.io_manager(description="Op outputs as JSON files in the Dagster instance's storage folder.")
def json_io_manager(context: dg.InitResourceContext) -> JsonIOManager:
    """Return the IO manager that keeps outputs below the instance's storage folder."""
    assert context.instance is not None  # every run has one
    return JsonIOManager(UPath(Path(context.instance.storage_directory()).resolve()))
