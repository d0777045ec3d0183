"""Specification of a sweep, validated from its YAML file."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from forge_core.configuration import Fault, InKeyOrder, raise_faults, validate_model
from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.params import RollMode
from forge_core.errors import ConfigError
from forge_core.files import canonical_json, content_hash
from forge_core.market.futures.adjustment import Adjustment
from forge_core.market.reference.instruments import Instrument, NonNegative, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import safe_name
from forge_core.plays.classic import ClassicStrategy, get_strategy
from forge_core.plays.classic.strategy import Options
from forge_core.study_files import read_study_file, study_files
from forge_core.sweeps.grid import Grid, expand, grid_faults, moved

_MONTH = re.compile(r"(\d{4})-?(0[1-9]|1[0-2])")


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def month_label(value: Any) -> str:
    """Return a month as ``2024-01``, parsed from that or from ``202401``; raise ConfigError for another form."""
    match = _MONTH.fullmatch(str(value))
    if match is None or isinstance(value, bool):
        raise ConfigError(f"month {value!r}: expected the form 2024-01")
    return f"{match[1]}-{match[2]}"


def _known_symbol(symbol: str) -> str:
    get_instrument(symbol)
    return symbol


def _interval(label: str) -> str:
    return Timeframe.parse(label).label


def _shape(value: Any) -> str:
    return "list" if isinstance(value, list) else "range" if isinstance(value, dict | MonthRange) else "all"


All = Annotated[Literal["all"], Tag("all")]
Month = Annotated[str, BeforeValidator(month_label)]
Interval = Annotated[str, AfterValidator(_interval)]


class MonthRange(_Spec):
    """Range of months, both ends inclusive; an omitted end is open."""

    first: Month | None = Field(default=None, alias="from")
    last: Month | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _forwards(self) -> "MonthRange":
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(f"from {self.first} is after to {self.last}: swap the two")
        return self

    def holds(self, month: str) -> bool:
        """Whether the range contains ``month``."""
        return (self.first is None or month >= self.first) and (self.last is None or month <= self.last)


class CostChanges(_Spec):
    """Overrides of the instruments' costs; omitted ones are the instrument's (see ``Costs``)."""

    commission_bps: NonNegative | None = None
    commission_per_contract: NonNegative | None = None
    slippage_bps: NonNegative | None = None
    slippage_ticks: NonNegative | None = None
    borrow_rate: NonNegative | None = None

    def of(self, instrument: Instrument) -> Costs:
        """Return the costs of one instrument."""
        return Costs.of(instrument).model_copy(update=self.model_dump(exclude_none=True))


@dataclass(frozen=True)
class Variant:
    """One strategy with its parameters and options, tested in every month."""

    strategy: ClassicStrategy
    options: Options

    @cached_property
    def parameters_json(self) -> str:
        """The parameters as canonical JSON."""
        return canonical_json(self.strategy.parameters)

    @cached_property
    def options_json(self) -> str:
        """The options as canonical JSON."""
        return canonical_json(self.options.model_dump())

    @property
    def label(self) -> str:
        """Readable name such as ``rsi_14_30_70_sma``, followed by the options that are not at their default."""
        usual = Options()
        more = [f"{k}={v}" for k, v in self.options.model_dump().items() if v != getattr(usual, k)]
        return " ".join([self.strategy.label, *more])


class SweepSpec(_Spec):
    """One sweep: months x symbols x intervals x strategies.

    ``intervals`` and ``months`` may be ``all``: everything in the store. Each strategy has one grid or a list of grids,
    and a grid has a value or a list of values per parameter; ``options`` is a grid too. Every test trades
    ``options.contracts`` on ``cash``.
    """

    name: str
    description: str = ""
    symbols: list[Annotated[str, AfterValidator(_known_symbol)]] = Field(min_length=1)
    intervals: Annotated[All | Annotated[list[Interval], Tag("list")], Discriminator(_shape)] = "all"
    months: Annotated[
        All | Annotated[MonthRange, Tag("range")] | Annotated[list[Month], Tag("list")], Discriminator(_shape)
    ] = "all"
    strategies: Annotated[dict[str, list[dict[str, Any]]], InKeyOrder] = Field(min_length=1)
    options: Annotated[dict[str, Any], InKeyOrder] = {}
    costs: CostChanges = CostChanges()
    cash: float = Field(default=100_000.0, gt=0, allow_inf_nan=False)
    policy: Literal["pessimistic", "ohlc_path"] = "pessimistic"
    fills: FillRules = STRICT
    roll_mode: RollMode = "prev_open"
    adjust: Adjustment = "forward"
    verbose: bool = False

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return safe_name(value, "sweep name")

    @field_validator("strategies", mode="before")
    @classmethod
    def _grids(cls, value: Any) -> Any:
        """Convert one grid to a list of one, and an empty value to the defaults."""
        if not isinstance(value, dict):
            return value
        return {name: grids if isinstance(grids, list) else [grids or {}] for name, grids in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> "SweepSpec":
        faults: list[Fault] = []
        for key in ("symbols", "intervals", "months"):
            values = getattr(self, key)
            if isinstance(values, list):
                twice = [i for i, value in enumerate(values) if value in values[:i]]
                faults += [((key, i), "duplicate value: remove it", values[i]) for i in twice]
                if not values:
                    faults.append(((key,), "the list is empty: add values, or write `all`", values))
        faults += moved(("options",), grid_faults(Options, self.options))
        for name, grids in self.strategies.items():
            faults += self._strategy_faults(name, grids)
        raise_faults("sweep", faults)
        return self

    def _strategy_faults(self, name: str, grids: Sequence[dict[str, Any]]) -> Iterator[Fault]:
        try:
            strategy = get_strategy(name)
        except ConfigError as error:
            yield ("strategies", name), str(error), grids
            return
        alone = len(grids) == 1
        for number, grid in enumerate(grids):
            at: tuple[str | int, ...] = ("strategies", name) if alone else ("strategies", name, number)
            faults = grid_faults(strategy, grid)
            yield from moved(at, faults)
            if not faults and not (made := expand(strategy, grid)).combinations:
                yield at, f"no valid combination: {made.refused[0]}", grid

    @cached_property
    def _expanded(self) -> dict[str, list[Grid[ClassicStrategy]]]:
        return {name: [expand(get_strategy(name), grid) for grid in grids] for name, grids in self.strategies.items()}

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """Every strategy with every combination of its parameters and of the options, each once, in a fixed order."""
        options = expand(Options, self.options).combinations
        strategies = dict.fromkeys(
            strategy for grids in self._expanded.values() for grid in grids for strategy in grid.combinations
        )
        return tuple(Variant(strategy, option) for strategy in strategies for option in options)

    @cached_property
    def refusals(self) -> tuple[str, ...]:
        """Invalid combinations that were skipped, one line per strategy."""
        lines = []
        for name, grids in self._expanded.items():
            refused = [reason for grid in grids for reason in grid.refused]
            if refused:
                more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
                total = len(refused) + sum(len(grid.combinations) for grid in grids)
                lines.append(f"{name}: {len(refused)} of {total} combinations are invalid: {refused[0]}{more}")
        return tuple(lines)

    @cached_property
    def oddities(self) -> tuple[str, ...]:
        """Warnings about valid but unusual values, each once with the number of variants."""
        counts: Counter[str] = Counter()
        for grids in self._expanded.values():
            for strategy in dict.fromkeys(s for grid in grids for s in grid.combinations):
                counts.update(f"{strategy.name}: {text}" for text in strategy.oddities())
        for option in expand(Options, self.options).combinations:
            counts.update(f"options: {text}" for text in option.oddities())
        return tuple(text + (f" ({n} combinations)" if n > 1 else "") for text, n in counts.items())

    def wants_month(self, month: str) -> bool:
        """Whether the sweep tests ``month``."""
        if self.months == "all":
            return True
        return self.months.holds(month) if isinstance(self.months, MonthRange) else month in self.months

    @property
    def fingerprint(self) -> str:
        """Hash of the specification without name, description and verbosity."""
        return content_hash(canonical_json(self.model_dump(mode="json", exclude={"name", "description", "verbose"})))


def list_sweeps() -> dict[str, Path]:
    """Return the files of the project's sweeps by name."""
    return study_files("sweep")


def load_sweep(name_or_path: str | Path) -> SweepSpec:
    """Read a sweep by its name in ``studies/`` or from the path of a YAML file.

    Raises StudyError if the name or file does not exist, and ConfigError with file, line and suggestion for each error
    in it.
    """
    path, value, lines = read_study_file(name_or_path, "sweep")
    return validate_model(SweepSpec, value, source=str(path), lines=lines)
