"""The import folder: files that somebody puts there."""

from collections.abc import Iterator
from pathlib import Path

from forge_core.errors import DataError, ForgeError
from forge_core.market.importer import SUFFIXES, name_of_file, read_for_store
from forge_core.market.instruments import Instrument
from forge_core.market.source import Fetched, Log, Request
from forge_core.market.timeframes import Timeframe
from forge_core.paths import Home


class FilesSource:
    """Files of bars in the import folder of a home, named by symbol and timeframe (``BTCUSDT_15m.parquet``).

    A file is read once: again only when its size or time of change is another.
    """

    on_demand = False

    def __init__(self, instrument: Instrument, home: Home) -> None:
        self.instrument = instrument
        self.folder = home.imports

    def timeframes(self) -> list[str]:
        """Return the timeframes there are files of."""
        labels = {name_of_file(path).timeframe for path in self._files()}  # type: ignore[union-attr]  # all have one
        return sorted(labels, key=Timeframe.parse)

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Yield each file of the timeframe that is new; then raise DataError if some could not be read."""
        symbol, label = self.instrument.symbol, str(request.timeframe)
        refused = []
        for path in self._files(label):
            if request.stored.size and request.taken.get(path.name) == stamp(path):
                continue
            noted = stamp(path)
            try:
                checked = read_for_store(path, symbol, label)
            except ForgeError as error:
                refused.append(str(error) if path.name in str(error) else f"{path.name}: {error}")
            else:
                yield Fetched(checked.bars, checked.origin, {path.name: noted})
        if refused:
            raise DataError("; ".join(refused))

    def _files(self, timeframe: str | None = None) -> list[Path]:
        return [
            path
            for path in import_files_in(self.folder)
            if (named := name_of_file(path))
            and named.symbol == self.instrument.symbol
            and timeframe in (None, named.timeframe)
        ]


def import_files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that could hold bars, by name; hidden ones, as of a copy under way, are left out."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in paths if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]


def stamp(path: Path) -> str:
    """Return what changes when a file does: its size and the time of its last change."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


SOURCE = FilesSource
