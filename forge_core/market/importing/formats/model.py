"""What a format of bar files is: something that knows its files by their content, and reads them in chunks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from forge_core.market.importing.formats.source_file import SourceFile


@dataclass(frozen=True)
class ReadOptions:
    """What only the user can say of a file.

    ``symbol`` is the symbol it is imported as, where given; ``timezone`` whose wall clock times without an offset are;
    ``contract`` which delivery month to take; ``no_volume`` that bars without volume may be stored with zeros.
    """

    symbol: str | None = None
    timezone: str | None = None
    contract: str | None = None
    no_volume: bool = False


@dataclass(frozen=True)
class Contents:
    """What a format finds in a file.

    ``called`` is the maker's name of the symbol, ``symbol`` the declared one it means, if any; ``in_rows`` says that
    the rows themselves name it, and not the file's name; ``timeframe`` and
    ``market`` (spot or a perpetual) are what the file says of them, if anything; ``timezone`` is whose wall clock its
    times are on, where the format says so. ``remarks`` are told to the user.
    """

    kind: Literal["bars", "funding"] = "bars"
    called: str | None = None
    symbol: str | None = None
    in_rows: bool = False
    timeframe: str | None = None
    market: Literal["spot", "perpetual"] | None = None
    timezone: str | None = None
    remarks: tuple[str, ...] = ()


class Format(ABC):
    """A format of files of bars or funding rates. One is added by a module with a subclass, named in the registry."""

    name: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def recognizes(self, file: SourceFile) -> bool:
        """Whether the content of a file is of this format."""

    @abstractmethod
    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return what is in a file; raises DataError or ConfigError for what cannot be imported, saying why."""

    @abstractmethod
    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield the rows in chunks, in the order of the file, under the usual names of bars (or timestamp and rate).

        Raises DataError naming ``source`` for what cannot be read.
        """
