"""Specification of a study, validated from its YAML file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from forge_core.configuration import Fault, InKeyOrder, Location, line_of, raise_faults, validate_model
from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.terms import Terms
from forge_core.errors import ConfigError, PlayError, unknown
from forge_core.evolution.search.encoding import encode
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.search_space import SearchSpace, build_space
from forge_core.evolution.spec.algorithm import CrossoverSpec, EarlyStoppingSpec, MutationSpec
from forge_core.evolution.spec.evidence import EvidenceSpec
from forge_core.evolution.spec.objectives import (
    BOUNDS,
    NAMED_OBJECTIVES,
    ConstraintSpec,
    ObjectiveSpec,
    Spec,
    constraint_metric,
    constraint_reads,
    known_constraints,
)
from forge_core.evolution.spec.space import Sides, SpaceSpec, TimeframeLabel
from forge_core.market.reference.catalog import DatasetSpec, get_dataset_spec
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.metrics.catalog import METRIC_INDEX
from forge_core.metrics.summary import ANNUAL_RETURNS, SHORTEST_ANNUALIZED
from forge_core.paths import safe_name
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import load_play, parse_play
from forge_core.plays.writer import play_to_dict
from forge_core.study_files import read_study_file, study_files

MAX_EPOCHS = 10
"""The graph of Dagster steps is unrolled over the epochs, so their number has a limit."""

ANNUAL_RETURN_NEEDS = "needs 360 days in each train dataset"
INSTEAD = "use total_return or sharpe, or longer datasets"

_FAR_PERCENT, _FAR_ATR = 0.03, 2.5  # from here on levels earn nothing in shuffled days of an index (docs/evolution.md)


def _known_dataset(name: str) -> str:
    get_dataset_spec(name)
    return name


class StudySpec(Spec):
    """One study. ``timeframe`` is the execution timeframe of all Plays; numbers are for the whole study."""

    name: str
    description: str = ""
    train: list[Annotated[str, AfterValidator(_known_dataset)]] = Field(min_length=1, max_length=20)
    holdout: list[Annotated[str, AfterValidator(_known_dataset)]] = Field(default=[], max_length=20)
    timeframe: TimeframeLabel
    space: SpaceSpec
    sides: Sides = "both"
    objectives: list[ObjectiveSpec] = Field(min_length=1, max_length=4)
    constraints: Annotated[dict[str, ConstraintSpec], BeforeValidator(known_constraints), InKeyOrder] = Field(
        default={}, validate_default=True
    )
    population: int = Field(ge=2, le=10_000)
    generations: int = Field(ge=1, le=9_999)
    epochs: int = Field(default=2, ge=1)
    islands: int = Field(default=2, ge=1, le=64)
    migrants: int | None = Field(default=None, ge=0)
    seed: int = Field(default=1, ge=0, le=2**63 - 1)
    cash: float = Field(default=100_000.0, gt=0, allow_inf_nan=False)
    costs: Costs | None = None
    policy: Literal["pessimistic", "ohlc_path"] = "pessimistic"
    fills: FillRules = STRICT
    crossover: CrossoverSpec = CrossoverSpec()
    mutation: MutationSpec = MutationSpec()
    champion: str = "knee"
    stall: EarlyStoppingSpec | None = None
    evidence: EvidenceSpec = EvidenceSpec()  # no part of the manifest
    seeds: Annotated[list[dict[str, Any]], InKeyOrder] = Field(
        default=[]
    )  # documents of known Plays; in the file as paths

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return safe_name(value, "study name")

    @field_validator("objectives", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """Convert ``risk_adjusted``, ``robust`` or ``single:sortino`` to a list of objectives."""
        if not isinstance(value, str):
            return value
        kind, _, metric = value.partition(":")
        if kind == "single" and metric:
            return [{"metric": metric.strip()}]
        if value not in NAMED_OBJECTIVES:
            raise ConfigError(unknown("set of objectives", value, [*NAMED_OBJECTIVES, "single:<metric>"]))
        return NAMED_OBJECTIVES[value]

    @field_validator("constraints", mode="after")
    @classmethod
    def _default_constraints(cls, value: dict[str, ConstraintSpec]) -> dict[str, ConstraintSpec]:
        return dict(sorted(({"min_trades": ConstraintSpec(value=30.0)} | value).items()))

    @model_validator(mode="after")
    def _consistent(self) -> "StudySpec":
        faults = [*self._size_faults(), *self._goal_faults(), *self._data_faults()]
        raise_faults("study", faults)
        return self

    def _size_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        if self.islands > self.population // 2:
            message = f"a population of {self.population} is too small for {self.islands} islands of 2 or more Plays"
            faults.append((self._set("islands", "population"), message, self.islands))
        elif self.migrants is not None and self.migrants > self.population // self.islands:
            message = f"more than the {self.population // self.islands} Plays of an island cannot move on"
            faults.append((("migrants",), message, self.migrants))
        if self.epochs > MAX_EPOCHS:
            message = f"at most {MAX_EPOCHS} epochs: the graph of steps has no more"
            faults.append((("epochs",), message, self.epochs))
        elif self.epochs > self.generations:
            message = f"{self.generations} generations cannot be divided over {self.epochs} epochs"
            faults.append((self._set("epochs", "generations"), message, self.epochs))
        elif self.stall is not None and self.stall.generations >= (
            last := self.generations - self.epoch_generations[-1]
        ):
            message = (
                f"the islands meet for the last time before the end after generation {last}, so a study cannot stop "
                f"after {self.stall.generations} generations without progress; take fewer, or more epochs"
            )
            faults.append((("stall",), message, self.stall.generations))
        if len(self.seeds) > self.population:
            faults.append((("seeds",), f"more Plays than the population of {self.population}", len(self.seeds)))
        return faults

    def _set(self, key: str, instead: str) -> tuple[str]:
        """Return the key that a fault is about: ``key`` if the study sets it, else ``instead``."""
        return (key,) if key in self.model_fields_set else (instead,)

    def _goal_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        pairs = [(objective.metric, objective.aggregate) for objective in self.objectives]
        for i, pair in enumerate(pairs):
            if pair in pairs[:i]:
                faults.append((("objectives", i), f"duplicate objective {pair[1]} {pair[0]}", None))
        for name, constraint in self.constraints.items():
            low, high = BOUNDS.get(constraint_metric(name, constraint.formula), (-float("inf"), float("inf")))
            if not low <= constraint.value <= high:
                faults.append((("constraints", name), f"it must lie between {low:g} and {high:g}", constraint.value))
        faults += self._short_period_faults()
        metrics = [objective.metric for objective in self.objectives]
        kind, _, metric = self.champion.partition(":")
        if self.champion != "knee" and not (kind == "best" and metric in metrics):
            choices = " or ".join(["knee", *(f"best:{m}" for m in dict.fromkeys(metrics))])
            faults.append((("champion",), f"it must be {choices}", self.champion))
        return faults

    @property
    def annual_returns(self) -> dict[Location, str]:
        """Metrics of objectives and constraints that are undefined for periods under 360 days, by location."""
        used: dict[Location, tuple[str, ...]] = {("objectives", i): o.reads for i, o in enumerate(self.objectives)}
        used |= {("constraints", name): constraint_reads(name, c.formula) for name, c in self.constraints.items()}
        return {location: m for location, metrics in used.items() for m in metrics if m in ANNUAL_RETURNS}

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """Metrics of extensions that objectives and constraints use, sorted."""
        names = {o.metric for o in self.objectives if o.formula is None}
        names |= {constraint_metric(name) for name, c in self.constraints.items() if c.formula is None}
        return tuple(sorted(name for name in names if name not in METRIC_INDEX))

    def _short_period_faults(self) -> list[Fault]:
        days = {name: (spec.end - spec.start).days for name in self.train if (spec := get_dataset_spec(name))}
        short = [f"{name} has {n}" for name, n in days.items() if n < SHORTEST_ANNUALIZED * 365.25]
        if not short:
            return []
        return [
            (location, f"{metric} {ANNUAL_RETURN_NEEDS}, {', '.join(short)}; {INSTEAD}", None)
            for location, metric in self.annual_returns.items()
        ]

    def _data_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        for key, names in (("train", self.train), ("holdout", self.holdout)):
            for i, name in enumerate(names):
                if name in names[:i]:
                    faults.append(((key, i), "duplicate dataset", name))
                elif self.sides != "long" and not get_instrument(symbol := get_dataset_spec(name).symbol).shortable:
                    faults.append((("sides",), f"{symbol} of {name} cannot be sold short; use long", self.sides))
                elif lacking := sorted(set(self.space.references) - set(get_dataset_spec(name).references)):
                    message = f"{name} has no bars of {', '.join(lacking)}: add it to its references in the catalog"
                    faults.append(((key, i), message, None))
                elif self.timeframe not in (labels := get_dataset_spec(name).timeframes):
                    message = f"{name} has no bars of timeframe {self.timeframe}; it has {', '.join(labels)}"
                    faults.append(((key, i), message, None))
        for i, held in enumerate(self.holdout):
            for name in self.train:
                if overlap(get_dataset_spec(name), get_dataset_spec(held)):
                    message = f"{held} overlaps the train dataset {name}: a holdout is of another time or symbol"
                    faults.append((("holdout", i), message, None))
        if faults:
            return faults
        try:
            space = build_space(self.space, timeframe=self.timeframe, sides=self.sides, available=self.timeframes)
        except ConfigError as error:
            return [(("space",), str(error), None)]
        missing = [label for label in space.timeframes if label not in self.timeframes]
        if missing:
            message = f"not every dataset has the timeframe {', '.join(missing)}; all have {', '.join(self.timeframes)}"
            faults.append((("space",), message, None))
        return faults or self._seed_faults(space)

    def _seed_faults(self, space: SearchSpace) -> list[Fault]:
        if not self.seeds:
            return []
        faults: list[Fault] = []
        genome, hashes = Genome(space), []
        for i, document in enumerate(self.seeds):
            try:
                play = parse_play(document, str(document.get("name", f"seed {i + 1}")))
                encode(genome, play)
                hashes.append(play_hash(play))
            except PlayError as error:
                faults.append((("seeds", i), f"the space cannot express it: {error}", document.get("name")))
                continue
            if hashes[-1] in hashes[:-1]:
                faults.append((("seeds", i), "duplicate Play", play.name))
        return faults

    @property
    def terms(self) -> Terms:
        """Costs, cash, same-bar policy and fill rules of every backtest of the study."""
        return {"costs": self.costs, "cash": self.cash, "policy": self.policy, "fills": self.fills}

    def document(self) -> dict[str, Any]:
        """Return the parts that results depend on, as JSON-able data; strict fill rules are left out."""
        left_out = {"description", "evidence"} | ({"fills"} if self.fills == STRICT else set())
        return self.model_dump(mode="json", exclude=left_out)

    @property
    def timeframes(self) -> list[str]:
        """Timeframes that all datasets of the study have, finest first."""
        shared = set.intersection(*(set(get_dataset_spec(name).timeframes) for name in (*self.train, *self.holdout)))
        return sorted(shared, key=Timeframe.parse)

    @property
    def island_sizes(self) -> list[int]:
        """Number of Plays of each island."""
        return split(self.population, self.islands)

    @property
    def epoch_generations(self) -> list[int]:
        """Number of generations of each epoch."""
        return split(self.generations, self.epochs)

    @property
    def migrant_count(self) -> int:
        """Number of migrants per island after an epoch: by default 5, or half of a smaller island."""
        return min(5, self.population // self.islands // 2) if self.migrants is None else self.migrants


def holdout_relation(spec: StudySpec, dataset: str) -> str:
    """Return what a holdout dataset tests: other years of a train symbol, or another symbol."""
    held = get_dataset_spec(dataset)
    train = [get_dataset_spec(name) for name in spec.train]
    if held.symbol in {data.symbol for data in train}:
        return f"{held.symbol} at another time"
    if any(data.start < held.end and held.start < data.end for data in train):
        return f"another symbol, {held.symbol}, over the same time: markets that move together are not independent"
    return f"another symbol, {held.symbol}, at another time"


def cautions(spec: StudySpec) -> list[str]:
    """Return the known biases of a study's results, one sentence each.

    Fill rules that are not strict. Levels near the open on daily bars of an index: it opens near its last close
    although its shares do not, so its bars reach such levels less often than a market would.
    """
    return [*_fill_cautions(spec), *_index_cautions(spec)]


def _fill_cautions(spec: StudySpec) -> list[str]:
    if spec.fills == STRICT:
        return []
    return [f"fill rules are {spec.fills.label}: fills are better than with strict rules, see docs/fill_contract.md"]


def _index_cautions(spec: StudySpec) -> list[str]:
    risk = spec.space.risk
    grids = (risk.stop, risk.take_profit, risk.trailing)
    percent = min((value for grid in grids for value in grid.percent), default=_FAR_PERCENT)
    atr = min((value for grid in grids for value in grid.atr), default=_FAR_ATR)
    if Timeframe.parse(spec.timeframe) < Timeframe.parse("1d") or (percent >= _FAR_PERCENT and atr >= _FAR_ATR):
        return []
    symbols = dict.fromkeys(get_dataset_spec(name).symbol for name in (*spec.train, *spec.holdout))
    return [
        f"{symbol} is an index, which opens near its last close whatever its shares do: stops and targets near the "
        f"open ({percent:.1%}, {atr:g} ATR) flatter; take levels of {_FAR_PERCENT:.0%} and {_FAR_ATR:g} ATR or more "
        "(space: risk), or bars that can be traded"
        for symbol in symbols
        if get_instrument(symbol).kind == "index"
    ]


def split(total: int, parts: int) -> list[int]:
    """Divide ``total`` into ``parts`` nearly equal integers, larger ones first."""
    return [total // parts + (i < total % parts) for i in range(parts)]


def overlap(a: DatasetSpec, b: DatasetSpec) -> bool:
    """Whether two datasets share a symbol and a time; their periods are ``[start, end)``."""
    return a.symbol == b.symbol and a.start < b.end and b.start < a.end


def list_studies() -> dict[str, Path]:
    """Return the files of the project's studies by name."""
    return study_files("evolution")


def load_study(name_or_path: str | Path) -> StudySpec:
    """Read a study by its name in ``studies/`` or from the path of a YAML file.

    Raises StudyError if the name or file does not exist, and ConfigError with file, line and suggestion for each
    error in it.
    """
    path, value, lines = read_study_file(name_or_path, "evolution")
    if isinstance(value, dict) and isinstance(value.get("seeds"), list):
        value["seeds"] = [_seed(seed, path, lines, i) for i, seed in enumerate(value["seeds"])]
    return validate_model(StudySpec, value, source=str(path), lines=lines)


def _seed(seed: object, study: Path, lines: dict[Location, int], number: int) -> object:
    """Return the Play of a seed file, given relative to the study's file, as a document."""
    if not isinstance(seed, str):
        return seed
    try:
        return play_to_dict(load_play(study.parent / seed))
    except PlayError as error:
        raise ConfigError(f"{study}:{line_of(lines, ('seeds', number))}: seeds: {error}") from error
