"""Plan of a study: the input of every step, as plain data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from forge_core.errors import DataError, StudyError
from forge_core.evolution.nsga.nsga2 import Nsga2, Operators, make_nsga2
from forge_core.evolution.run.early_stopping import final_generation
from forge_core.evolution.search.encoding import encode
from forge_core.evolution.search.evaluation import Evaluator, Objectives
from forge_core.evolution.search.genes import Genes
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.loop import Search
from forge_core.evolution.search.search_space import SearchSpace, build_space
from forge_core.evolution.spec.study import ANNUAL_RETURN_NEEDS, INSTEAD, StudySpec, cautions, holdout_relation
from forge_core.evolution.storage.ledger import Ledger
from forge_core.evolution.storage.manifest import check_unchanged, make_manifest, manifest_hash, read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.evolution.storage.tables import TableFormat, read_front_losses
from forge_core.feeds.build import open_feed
from forge_core.feeds.feed import Feed
from forge_core.files import check_free_space, write_json
from forge_core.market.datasets.build import DatasetVersion, ensure_dataset, latest_version, open_version
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import SHORTEST_ANNUALIZED
from forge_core.paths import Home
from forge_core.plays.parser import parse_play

Log = Callable[[str], None]


class PlanDocument(TypedDict):
    """The plan of a study as JSON; ``study``, ``home`` and ``manifest_hash`` identify it."""

    study: str
    home: str
    spec: dict[str, Any]
    manifest_hash: str
    population: int
    generations: int  # fewer than the spec's where the study stopped early
    epochs: int
    generations_per_epoch: list[int]
    islands: int
    island_sizes: list[int]
    datasets: dict[str, str]  # hash by name
    train: list[str]
    holdout: list[str]
    objectives: list[str]
    reference_point: dict[str, float]
    genes: int
    complete: bool


@dataclass(frozen=True)
class StudyPlan:
    """A study with pinned data; ``document`` and ``read`` convert it to JSON and back."""

    spec: StudySpec
    home: Home
    manifest: Mapping[str, Any]

    @classmethod
    def make(cls, spec: StudySpec, home: Home | None = None, log: Log | None = None) -> "StudyPlan":
        """Start or resume ``spec`` with its pinned datasets, or build missing ones.

        Raises StudyError with a diff if the inputs differ from the manifest, and DataError if bars are not available;
        only datasets have been written by then.
        """
        home = home or Home.current()
        folder = StudyFolder.of(spec.name, home)
        stored = read_manifest(folder)
        pinned = {} if stored is None else {name: entry["hash"] for name, entry in stored["datasets"].items()}
        datasets = {name: _dataset(name, pinned.get(name), home, log) for name in (*spec.train, *spec.holdout)}
        manifest = make_manifest(spec, _space(spec), datasets)
        if stored is None:
            _check_periods(spec, datasets, home)
            days = sum((datasets[name].end - datasets[name].start).days for name in spec.train)
            needed = bytes_written(spec, len(Genome(_space(spec)).genes), days)
            check_free_space(home.root, needed, f"study {spec.name!r}")
            write_json(folder.manifest, manifest)
        else:
            check_unchanged(spec.name, stored, manifest)
        plan = cls(spec, home, manifest)
        plan.ledger.write_manifest(manifest)
        if log:
            for name in spec.holdout:
                log(f"holdout {name}: {holdout_relation(spec, name)}")
            doubts = [
                version.manifest["rolls"]["doubt"] for version in datasets.values() if "rolls" in version.manifest
            ]
            for caution in (*cautions(spec), *filter(None, doubts)):
                log(f"caution: {caution}")
        return plan

    @classmethod
    def open(cls, study: str, home: Home, expected_hash: str | None = None) -> "StudyPlan":
        """Return the plan of a started study from its manifest.

        Raises StudyError if it has not started, or if its manifest does not have the ``expected_hash``.
        """
        manifest = read_manifest(StudyFolder.of(study, home))
        if expected_hash is not None and (manifest is None or manifest_hash(manifest) != expected_hash):
            raise StudyError(f"study {study!r} was reset or restarted since this run planned it: start the run again")
        if manifest is None:
            raise StudyError(
                f"study {study!r} has not started; start it with `FORGE_STUDY={study} dagster job execute -j evolve`"
            )
        return cls(StudySpec.model_validate(manifest["study"]), home, manifest)

    @classmethod
    def read(cls, document: PlanDocument) -> "StudyPlan":
        """Return the plan of a ``document``; raise StudyError if the study was reset since."""
        return cls.open(document["study"], Home(Path(document["home"])), document["manifest_hash"])

    def document(self) -> PlanDocument:
        """Return the plan as JSON-able data."""
        spec, final = self.spec, self.final_generation
        ends = [self.last_generation(epoch) for epoch in range(1, spec.epochs + 1)]
        return {
            "study": spec.name,
            "home": str(self.home.root),
            "spec": spec.model_dump(mode="json"),
            "manifest_hash": self.hash,
            "population": spec.population,
            "generations": final,
            "epochs": spec.epochs,
            "generations_per_epoch": [
                count for count, end in zip(spec.epoch_generations, ends, strict=True) if end <= final
            ],
            "islands": spec.islands,
            "island_sizes": spec.island_sizes,
            "datasets": {name: entry["hash"] for name, entry in self.manifest["datasets"].items()},
            "train": list(spec.train),
            "holdout": list(spec.holdout),
            "objectives": [f"{o.direction} {o.aggregate} {o.metric}" for o in self.objectives.terms],
            "reference_point": self.manifest["reference_point"],
            "genes": len(self.genome.genes),
            "complete": self.folder.champion.is_file(),
        }

    @cached_property
    def hash(self) -> str:
        """The hash of the manifest."""
        return manifest_hash(self.manifest)

    @cached_property
    def folder(self) -> StudyFolder:
        """Paths of the study's files."""
        return StudyFolder.of(self.spec.name, self.home)

    @cached_property
    def ledger(self) -> Ledger:
        """The study's trial ledger."""
        return Ledger(self.home, self.spec.name, self.hash)

    @cached_property
    def objectives(self) -> Objectives:
        """Objectives and constraints."""
        return Objectives.of(self.spec)

    @cached_property
    def genome(self) -> Genome:
        """The layout of the genes."""
        return Genome(_space(self.spec))

    @cached_property
    def algorithm(self) -> Nsga2:
        """The algorithm over these genes and objectives."""
        crossover, mutation = self.spec.crossover, self.spec.mutation
        operators = Operators(
            crossover=crossover.kind,
            crossover_probability=crossover.probability,
            swapping=crossover.swapping,
            crossover_eta=crossover.eta,
            alpha=crossover.alpha,
            mutation=mutation.kind,
            mutation_probability=mutation.probability,
            mutation_eta=mutation.eta,
        )
        return make_nsga2(self.genome.genes, self.objectives.directions, operators)

    @cached_property
    def tables(self) -> TableFormat:
        """Schema of the study's tables."""
        return TableFormat(self.hash, self.genome.genes, self.spec.train, self.objectives)

    @cached_property
    def seeds(self) -> list[Genes]:
        """The genes of the known Plays that seed the first generation."""
        return [encode(self.genome, parse_play(document)) for document in self.spec.seeds]

    @cached_property
    def search(self) -> Search:
        """The study's search, apart from its bars."""
        spec = self.spec
        return Search(
            genome=self.genome,
            algorithm=self.algorithm,
            objectives=self.objectives,
            seed=spec.seed,
            sizes=tuple(spec.island_sizes),
            epochs=tuple(spec.epoch_generations),
            migrants=spec.migrant_count,
            champion=spec.champion,
            early_stopping=spec.stall,
            seeds=tuple(self.seeds),
        )

    @property
    def final_generation(self) -> int:
        """Last generation of the study according to its tables: fewer than planned after early stopping."""
        return final_generation(self.spec, self.folder)

    def last_generation(self, epoch: int) -> int:
        """Return the last generation of ``epoch`` (from 1); 0 for epoch 0."""
        return sum(self.spec.epoch_generations[:epoch])

    def generations_of(self, epoch: int) -> range:
        """Return the generations of ``epoch``; raises StudyError when the study has no such epoch."""
        if not 1 <= epoch <= self.spec.epochs:
            raise StudyError(f"study {self.spec.name!r} has epochs 1 to {self.spec.epochs}, not {epoch}")
        return range(self.last_generation(epoch - 1) + 1, self.last_generation(epoch) + 1)

    def front_losses(self, generation: int) -> np.ndarray:
        """Return the losses of the front of all feasible Plays up to a merged ``generation``; none at generation 0."""
        if generation == 0:
            return np.empty((0, len(self.objectives.terms)))
        return read_front_losses(self.folder.generation_table(generation)).reshape(-1, len(self.objectives.terms))

    def open_feed(self, dataset: str) -> Feed:
        """Open the bars of one of the study's datasets, in the pinned version."""
        pinned = self.manifest["datasets"][dataset]["hash"]
        return open_feed(open_version(dataset, pinned, self.home), timeframe=self.spec.timeframe, home=self.home)

    def evaluator(self, datasets: Sequence[str]) -> Evaluator:
        """Return the evaluator of Plays on ``datasets`` with the study's settings."""
        return Evaluator(
            {name: self.open_feed(name) for name in datasets},
            self.objectives,
            **self.spec.terms,
        )


def _space(spec: StudySpec) -> SearchSpace:
    return build_space(spec.space, timeframe=spec.timeframe, sides=spec.sides, available=spec.timeframes)


def _dataset(name: str, pinned: str | None, home: Home, log: Log | None) -> DatasetVersion:
    """Return the pinned version of a dataset, or the latest; build it if there is none."""
    if pinned is None:
        return ensure_dataset(name, home, log)
    try:
        version = open_version(name, pinned, home)
    except DataError as error:
        if log:
            log(f"{name}: the pinned version is missing ({error}); building the dataset again")
        return ensure_dataset(name, home, log)  # the same bars give the same hash, others are refused with a diff
    latest = latest_version(name, home)
    if log and latest is not None and latest.content_hash != pinned:
        log(f"{name}: there is a newer version {latest.content_hash}; the study stays with {pinned}")
    return version


def _check_periods(spec: StudySpec, datasets: Mapping[str, DatasetVersion], home: Home) -> None:
    """Raise StudyError if annual returns are objectives or constraints and a train dataset has too few days of bars."""
    if not spec.annual_returns:
        return
    years = {name: open_feed(datasets[name], timeframe=spec.timeframe, home=home).years for name in spec.train}
    short = [f"{name} has bars of {n * 365.25:.0f}" for name, n in years.items() if n < SHORTEST_ANNUALIZED]
    if short:
        metrics = " and ".join(dict.fromkeys(spec.annual_returns.values()))
        raise StudyError(f"study {spec.name!r}: {metrics} {ANNUAL_RETURN_NEEDS}, {', '.join(short)}; {INSTEAD}")


def bytes_written(spec: StudySpec, genes: int, days: int) -> int:
    """Return an upper bound of the bytes that a study writes: each Play twice in the tables, once in the ledger."""
    row = 8 * (len(METRICS) * len(spec.train) + 20) + 2 * genes + 100
    trial = 4 * days + 3_000  # daily returns, and the Play as JSON
    return spec.generations * spec.population * (2 * 2 * row + trial)
