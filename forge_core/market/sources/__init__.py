"""Where bars come from without being imported: a module a source (see ``forge_core.market.source``)."""

from forge_core.market.refresh import how_to_get, refresh_bars
from forge_core.market.source import Fetched, Request, Source
from forge_core.market.sources.files import FilesSource
from forge_core.market.sources.sample import SampleSource

__all__ = ["Fetched", "FilesSource", "Request", "SampleSource", "Source", "how_to_get", "refresh_bars"]
