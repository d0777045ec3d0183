"""Instruments: contract specs, read from ``datasets/instruments.yaml``."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from forge_core.configuration import load_yaml_model, with_names
from forge_core.errors import ConfigError, suggest, unknown
from forge_core.extension_files import load_extensions, refusals_note
from forge_core.paths import project_root

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]  # share of a notional
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_SOURCES = Path(__file__).parents[1] / "sources" / "providers"  # a module each; looked up without importing them


def source_names() -> list[str]:
    """Return the names of all sources: Forge's own and those of extensions."""
    return sorted({*builtin_sources(), *load_extensions().of_kind("source")})


def builtin_sources() -> list[str]:
    """Return the names of Forge's own sources: the modules of ``forge_core.market.sources.providers``."""
    return sorted(path.stem for path in _SOURCES.glob("*.py") if not path.stem.startswith("_"))


class Session(BaseModel):
    """Opening of the instrument's sessions, at ``opens`` in ``timezone``.

    A bar belongs to the trade date of the session at its open time; a session that opens in the evening (at or after
    12:00) belongs to the next weekday.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str = "UTC"
    opens: str = Field(default="00:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"not a time zone{suggest(name, available_timezones())}") from error
        return name


class Instrument(BaseModel):
    """One symbol's contract spec. Money is in the quote currency, rates are fractions (0.001 is 0.1 %)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    kind: Literal["spot", "perpetual", "future", "index"]
    description: str = ""
    source: str = "files"
    source_symbol: str = Field(default="", max_length=50)  # the source's name of the symbol, if different
    source_options: dict[str, Any] = {}  # checked by the source
    tick: Positive
    multiplier: Positive = 1.0  # money per contract and 1.0 of price
    lot: Positive = 1.0  # smallest step of the quantity
    initial_margin: NonNegative = 0.0  # money per contract; 0: the leverage rule alone
    maintenance_margin: NonNegative | None = None  # money per contract, futures; None: initial_margin / 1.1
    max_leverage: Positive = 1.0  # notional over equity at entry, where initial_margin is 0
    maintenance_margin_rate: Rate = 0.0  # share of notional, perpetuals; 0: never liquidated
    liquidation_fee_rate: Rate = 0.0
    commission_bps: NonNegative = 0.0  # per side, of notional
    commission_per_contract: NonNegative = 0.0  # per side
    slippage_bps: NonNegative = 0.0
    slippage_ticks: NonNegative = 0.0
    borrow_rate: NonNegative = 0.0  # a year, on the notional of shorts of spot and index instruments
    shortable: bool = True
    positive_prices: bool = True
    session: Session = Session()
    annualization: Annotated[int, Field(gt=0, le=366)] = 365  # daily returns a year
    calendar: str = Field(default="", max_length=50)  # of exchange_calendars: check of daily bars, calendar features

    @property
    def name_at_source(self) -> str:
        """The source's name of the symbol."""
        return self.source_symbol or self.symbol

    @property
    def maintenance_per_contract(self) -> float:
        """Equity a contract needs while it is held, money; 0 for instruments other than futures.

        Exchanges set the initial margin of speculators to 110 % of the maintenance margin; that is the default.
        """
        if self.kind != "future":
            return 0.0
        return self.initial_margin / 1.1 if self.maintenance_margin is None else self.maintenance_margin

    @property
    def trades_always(self) -> bool:
        """Whether its market never closes."""
        return self.kind in ("spot", "perpetual")

    @field_validator("source")
    @classmethod
    def _known_source(cls, name: str) -> str:
        if name not in builtin_sources() and name not in source_names():
            raise ValueError(unknown("source", name, source_names()) + refusals_note())
        return name

    @model_validator(mode="after")
    def _consistent(self) -> "Instrument":
        if self.kind in ("spot", "index") and self.max_leverage != 1.0:
            raise ValueError(f"max_leverage is {self.max_leverage:g}: a {self.kind} instrument trades unleveraged")
        if self.kind == "future" and self.initial_margin == 0:
            raise ValueError("initial_margin is missing: a future needs its margin per contract")
        if self.maintenance_margin is not None and self.kind != "future":
            raise ValueError(f"maintenance_margin is {self.maintenance_margin:g}: only futures have one per contract")
        if self.maintenance_margin is not None and self.maintenance_margin > self.initial_margin:
            raise ValueError(
                f"maintenance_margin is {self.maintenance_margin:g}, above initial_margin {self.initial_margin:g}: "
                "give at most the initial margin"
            )
        return self


class InstrumentFile(BaseModel):
    """The shape of ``instruments.yaml``: a mapping of symbol to spec."""

    model_config = ConfigDict(extra="forbid")

    instruments: Annotated[dict[str, Instrument], with_names("symbol")]


@cache
def _read(path: Path, _stamp: tuple[int, int]) -> dict[str, Instrument]:
    return load_yaml_model(path, InstrumentFile).instruments


def load_instruments(path: Path | None = None) -> dict[str, Instrument]:
    """Read all instruments by symbol (from the project's file unless ``path`` names another)."""
    path = path or project_root() / "datasets" / "instruments.yaml"
    if not path.is_file():
        raise ConfigError(f"{path} is missing: it declares the instruments")
    stat = path.stat()
    return _read(path, (stat.st_mtime_ns, stat.st_size))


def get_instrument(symbol: str) -> Instrument:
    """Return the instrument of ``symbol``; raise ConfigError with the declared symbols if it is unknown."""
    instruments = load_instruments()
    if symbol not in instruments:
        raise ConfigError(unknown("symbol", symbol, instruments) + "; declare it in datasets/instruments.yaml")
    return instruments[symbol]
