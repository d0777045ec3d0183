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
from forge_core.errors import ConfigError
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home

FILES = "files"
"""The source that is not asked but watched: the import folder (``forge_core.market.sources.providers.files``)."""

FUNDING = "funding"

Log = Callable[[str], None]
Options = TypeVar("Options", bound=BaseModel)
Span = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Request:
    """The bars wanted of one timeframe: those that open at or after ``start`` and close by ``end``, and by ``now``.

    ``stored`` holds the open times (microseconds, ascending) of those that the store has. ``ingested`` names the parts
    (files) that were taken from this source before, each with its checksum, or with '' for one it does not have.
    Parts that end after ``recheck`` are asked again whether the source has revised them.
    """

    timeframe: Timeframe
    start: pd.Timestamp
    end: pd.Timestamp
    now: pd.Timestamp
    stored: NDArray[np.int64]
    ingested: Mapping[str, str] = field(default_factory=dict)
    recheck: pd.Timestamp | None = None

    def lacking_ends(self) -> list[Span]:
        """Return what the store lacks before its first bar and after its last, for sources that give any period."""
        if self.stored.size == 0:
            return [(self.start, self.end)] if self.start < self.end else []
        first, last = (pd.Timestamp(int(moment), unit="us", tz="UTC") for moment in self.stored[[0, -1]])
        spans = [(self.start, first), (last + self.timeframe.timedelta, self.end)]
        return [(start, end) for start, end in spans if end - start >= self.timeframe.timedelta]


class Fetched(NamedTuple):
    """Bars, validated (maybe none), and where exactly they are from.

    ``parts`` are the files they came in, with checksums: they are noted as taken once the bars are stored, and the
    files ``spent`` are then deleted. ``revision`` says that the source gave other values for these bars before: they
    replace what is stored, which is kept as revised.
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
    """Whatever can be asked for the bars of one instrument.

    ``on_demand`` says that it gives what is asked for (a download), and not all it has: it is then asked for the
    timeframes that datasets name or the store has, and for no more than the store lacks.
    """

    on_demand: bool

    def __init__(self, instrument: Instrument, home: Home) -> None: ...

    def timeframes(self) -> list[str]:
        """Return the timeframes it has bars of, finest first."""
        ...

    def fetch(self, request: Request, log: Log) -> Iterator[Fetched]:
        """Yield the bars of ``request`` that it has; bars that the store has already do no harm.

        Raises DataError if it cannot be reached or gives what are no sound bars. What was yielded before is kept.
        """
        ...


@runtime_checkable
class FundingSource(Protocol):
    """A source that also has the funding rates of perpetuals."""

    def fetch_funding(self, request: Request, log: Log) -> Iterator[FetchedFunding]:
        """Yield the funding rates in the period of ``request``; its ``stored`` are the times that the store has."""
        ...


def open_source(name: str, instrument: Instrument, home: Home) -> Source:
    """Return the source ``name`` for one instrument; ConfigError for an extra that is not installed, or an option."""
    source: Source = import_module(f"forge_core.market.sources.providers.{name}").SOURCE(instrument, home)
    return source


def read_options(model: type[Options], instrument: Instrument) -> Options:
    """Return the instrument's ``source_options`` as ``model``; raises ConfigError naming the option that is wrong."""
    where = f"instruments.yaml: {instrument.symbol}: source_options of {instrument.source}"
    return validate_model(model, instrument.source_options, source=where)


def load_extra(module: str, extra: str) -> Any:
    """Import a library that is not always installed; raises ConfigError saying how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"source {extra} needs the package {module}, which cannot be imported ({error}): "
            f"install it with `pip install 'forge-evolve[{extra}]'`"
        ) from error
