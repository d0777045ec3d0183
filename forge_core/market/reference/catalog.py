"""The catalog: named market regimes, read from ``datasets/catalog.yaml``."""

from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from forge_core.configuration import load_yaml_model, with_names
from forge_core.errors import ConfigError, unknown
from forge_core.market.futures.adjustment import Adjustment
from forge_core.market.reference.instruments import load_instruments
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import project_root, safe_name

LEAD_IN = 1_000  # bars of each timeframe kept before a dataset's start, as far as the store has them

Regime = Literal["full_cycle", "bear", "bull", "range", "volatile"]


def _utc(value: Any) -> Any:
    """Read a date or time; without a zone it is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("not a date of the form 2021-01-01") from error
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError("not a date of the form 2021-01-01")


UtcTime = Annotated[datetime, BeforeValidator(_utc)]


class ReferenceSpec(BaseModel):
    """Another symbol of a dataset, for features only.

    ``max_age``: number of its missing bars after which the last known one no longer counts, in bars of a feature's
    timeframe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_age: Annotated[int, Field(ge=0, le=100_000)] = 3


class DatasetSpec(BaseModel):
    """A named regime: the period [start, end) of one symbol. ``timeframes`` begin with the one that is traded.

    ``adjust`` is for dated futures: their features see prices without the gaps between contracts, or as they are.
    ``references`` are other symbols whose bars features can be computed from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    symbol: str
    start: UtcTime
    end: UtcTime
    timeframes: list[str] = Field(min_length=1)
    regime: Regime
    characteristics: str = ""
    adjust: Adjustment = "forward"
    references: dict[str, ReferenceSpec] = {}

    @field_validator("name")
    @classmethod
    def _allowed_name(cls, name: str) -> str:
        return safe_name(name, "dataset")

    @field_validator("references", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Accept a list of symbols in place of a mapping."""
        if isinstance(value, list) and all(isinstance(symbol, str) for symbol in value):
            if len(set(value)) < len(value):
                raise ValueError("a symbol is listed twice")
            return {symbol: {} for symbol in value}
        return value

    @field_validator("timeframes")
    @classmethod
    def _finest_first(cls, labels: list[str]) -> list[str]:
        parsed = [Timeframe.parse(label) for label in labels]
        if any(finer >= coarser for finer, coarser in pairwise(parsed)):
            raise ValueError(f"timeframes are listed once each, finest first, got {labels}")
        if odd := [str(label) for label in parsed if label.microseconds % parsed[0].microseconds]:
            raise ValueError(f"{odd[0]} is not a multiple of the first timeframe {parsed[0]}")
        return labels

    def lead_in_start(self, timeframe: str) -> pd.Timestamp:
        """Return the start of the lead-in of a timeframe: ``LEAD_IN`` bars before the start."""
        return pd.Timestamp(self.start) - LEAD_IN * Timeframe.parse(timeframe).timedelta

    @model_validator(mode="after")
    def _period(self) -> "DatasetSpec":
        if self.symbol in self.references:
            raise ValueError(f"references name {self.symbol}, the dataset's own symbol; remove it")
        if self.end <= self.start:
            raise ValueError(f"the end {self.end.date()} is not after the start {self.start.date()}")
        return self


class CatalogFile(BaseModel):
    """The shape of ``catalog.yaml``: a mapping of dataset name to spec."""

    model_config = ConfigDict(extra="forbid")

    datasets: Annotated[dict[str, DatasetSpec], with_names("name")]


@cache
def _read(path: Path, _stamp: tuple[int, int]) -> dict[str, DatasetSpec]:
    return load_yaml_model(path, CatalogFile).datasets


def load_catalog(path: Path | None = None) -> dict[str, DatasetSpec]:
    """Read all datasets by name (from the project's file unless ``path`` names another).

    Raises ConfigError for a fault in the file or a dataset of a symbol that ``instruments.yaml`` does not declare.
    """
    path = path or project_root() / "datasets" / "catalog.yaml"
    if not path.is_file():
        raise ConfigError(f"{path} is missing: it names the datasets")
    stat = path.stat()
    catalog = _read(path, (stat.st_mtime_ns, stat.st_size))
    instruments = load_instruments()
    for spec in catalog.values():
        if spec.symbol not in instruments:
            raise ConfigError(f"{path}: dataset {spec.name}: {unknown('symbol', spec.symbol, instruments)}")
        for symbol in spec.references:
            where = f"{path}: dataset {spec.name}: references"
            if symbol not in instruments:
                raise ConfigError(f"{where}: {unknown('symbol', symbol, instruments)}")
            if instruments[symbol].kind == "future":
                raise ConfigError(f"{where}: {symbol} is a dated future, which rolls; use a spot, perpetual or index")
    return dict(catalog)


def get_dataset_spec(name: str) -> DatasetSpec:
    """Return the dataset of that name, or raise ConfigError naming those there are."""
    catalog = load_catalog()
    if name not in catalog:
        raise ConfigError(unknown("dataset", name, catalog) + "; declare it in datasets/catalog.yaml")
    return catalog[name]
