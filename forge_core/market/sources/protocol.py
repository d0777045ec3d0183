"""The protocol of a source of bars: a module of ``forge_core.market.sources.providers`` with a ``SOURCE`` class."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from forge_core.configuration import validate_model
from forge_core.errors import ConfigError, ForgeError
from forge_core.extension_files import describe_error, find_part
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home

FILES = "files"
"""The import folder (``forge_core.market.sources.providers.files``), which is watched instead of requested from."""

FUNDING = "funding"

Log = Callable[[str], None]
Options = TypeVar("Options", bound=BaseModel)
Span = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Request:
    """The requested bars of one timeframe: those that open at or after ``start`` and close by ``end`` and by ``now``.

    ``stored``: open times (microseconds, ascending) of the bars in the store. ``ingested``: checksum by name of the
    files that were ingested from this source before, '' for files that it does not have. Files that end after
    ``recheck`` are checked for a revision by the source.
    """

    timeframe: Timeframe
    start: pd.Timestamp
    end: pd.Timestamp
    now: pd.Timestamp
    stored: NDArray[np.int64]
    ingested: Mapping[str, str] = field(default_factory=dict)
    recheck: pd.Timestamp | None = None

    def missing_ends(self) -> list[Span]:
        """Return the missing spans before the first and after the last stored bar, for sources of any period."""
        if self.stored.size == 0:
            return [(self.start, self.end)] if self.start < self.end else []
        first, last = (pd.Timestamp(int(moment), unit="us", tz="UTC") for moment in self.stored[[0, -1]])
        spans = [(self.start, first), (last + self.timeframe.timedelta, self.end)]
        return [(start, end) for start, end in spans if end - start >= self.timeframe.timedelta]


class Fetched(NamedTuple):
    """Validated bars (maybe none) and their exact origin.

    ``parts``: checksums of the files they were in, recorded as ingested once the bars are stored; the files ``spent``
    are then deleted. ``revision``: the source has changed values of these bars, so they replace the stored ones,
    which are kept as revisions.
    """

    bars: pd.DataFrame
    origin: str
    parts: Mapping[str, str] = {}
    spent: tuple[Path, ...] = ()
    revision: bool = False


class FetchedFunding(NamedTuple):
    """Funding rates (fractions paid by longs, index: when they are paid, UTC); the rest is as in ``Fetched``."""

    rates: pd.Series
    origin: str
    parts: Mapping[str, str] = {}
    spent: tuple[Path, ...] = ()


class Source(Protocol):
    """A source of the bars of one instrument.

    ``on_demand``: it returns requested periods (a download), not everything it has. Requests are then for the
    timeframes that datasets declare or the store has, and for missing bars only.
    """

    on_demand: bool

    def __init__(self, instrument: Instrument, home: Home) -> None: ...

    def timeframes(self) -> list[str]:
        """Return the timeframes it has bars of, finest first."""
        ...

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Yield the available bars of ``request``; bars that are already stored are allowed.

        Raises DataError if the source cannot be reached or returns invalid bars. Bars yielded before are kept.
        """
        ...


@runtime_checkable
class FundingSource(Protocol):
    """A source that also has funding rates of perpetuals."""

    def fetch_funding(self, request: Request, log: Log) -> Iterator[FetchedFunding]:
        """Yield the funding rates in the period of ``request``; its ``stored`` are the times of stored rates."""
        ...


def open_source(name: str, instrument: Instrument, home: Home) -> Source:
    """Return the source ``name`` for one instrument; raise ConfigError for a missing extra or an invalid option."""
    part = find_part("source", name)
    if part is None:
        source: Source = import_module(f"forge_core.market.sources.providers.{name}").SOURCE(instrument, home)
        return source
    try:
        own: Source = part.value(instrument, home)
    except ForgeError:
        raise
    except Exception as error:
        raise ConfigError(f"{describe_error(error, part.file)} (in source {name})") from None
    return own


def read_options(model: type[Options], instrument: Instrument) -> Options:
    """Return the instrument's ``source_options`` as ``model``; raise ConfigError with the name of an invalid option."""
    where = f"instruments.yaml: {instrument.symbol}: source_options of {instrument.source}"
    return validate_model(model, instrument.source_options, source=where)


def load_extra(module: str, extra: str) -> Any:
    """Import an optional library; raise ConfigError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"source {extra} needs the package {module}, which cannot be imported ({error}): "
            f"install it with `pip install 'forge-evolve[{extra}]'`"
        ) from error
