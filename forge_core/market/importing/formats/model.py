"""Protocol of a file format: detection by content, and reading in chunks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from forge_core.market.importing.formats.source_file import SourceFile


@dataclass(frozen=True)
class ReadOptions:
    """The user's options for reading a file.

    ``symbol``: symbol to import it as. ``timezone``: zone of times without an offset. ``contract``: delivery month to
    import. ``no_volume``: store zeros for bars without volume.
    """

    symbol: str | None = None
    timezone: str | None = None
    contract: str | None = None
    no_volume: bool = False


@dataclass(frozen=True)
class Contents:
    """Content of a file as detected by its format.

    ``source_symbol``: the symbol's name in the file. ``symbol``: the declared symbol of that name. ``in_rows``: the
    name is in the rows, not in the file name. ``timeframe`` and ``market`` (spot or perpetual): those of the file, if
    known. ``timezone``: zone of its times, if the format defines it. ``remarks`` are shown to the user.
    """

    kind: Literal["bars", "funding"] = "bars"
    source_symbol: str | None = None
    symbol: str | None = None
    in_rows: bool = False
    timeframe: str | None = None
    market: Literal["spot", "perpetual"] | None = None
    timezone: str | None = None
    remarks: tuple[str, ...] = ()


class Format(ABC):
    """A format of files of bars or funding rates; new ones are subclasses, listed in the registry."""

    name: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def recognizes(self, file: SourceFile) -> bool:
        """Whether the content of a file is of this format."""

    @abstractmethod
    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return the content of a file; raise DataError or ConfigError with the reason if it cannot be imported."""

    @abstractmethod
    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield the rows in chunks, in the file's order, with the column names of bars (or timestamp and rate).

        Raises DataError with ``source`` if it cannot be read.
        """
