"""Estimate of a study's time, memory and disk from a sample of its own Plays."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from forge_core.engine.signals.bytecode import bytecode_of
from forge_core.evolution.run.memory_usage import unique_memory
from forge_core.evolution.run.plan import StudyPlan, bytes_written
from forge_core.evolution.search.assessment import Evaluate, LocalAssessor
from forge_core.evolution.search.evaluation import DailyReturns, Evaluation, Evaluator, Objectives
from forge_core.evolution.search.generation import Individual
from forge_core.evolution.search.loop import evolve_generations
from forge_core.evolution.search.search_space import SearchSpace
from forge_core.evolution.spec.study import StudySpec
from forge_core.features.reference import FeatureRef
from forge_core.feeds.build import open_feed
from forge_core.feeds.feed import Feed
from forge_core.market.datasets.versions import DatasetVersion
from forge_core.parallelism import usable_cores
from forge_core.paths import Home
from forge_core.plays.model import Play

SAMPLE_SECONDS = 1.0
_SAMPLE_SIZE = 24  # Plays of the sampled island
_PATIENCE = 3.0  # times the given seconds, columns included
_MB = 1e6


@dataclass(frozen=True)
class Estimate:
    """Cost of a study on this machine; ``seconds_per_play`` and ``seconds_per_column`` are measured on one core.

    ``columns`` is the number of feature columns that the study is expected to read, of ``columns_in_space``.
    """

    evaluations: int
    workers: int
    sampled: int
    seconds_per_play: float
    seconds_per_column: float
    columns: int
    columns_in_space: int
    worker_mb: float
    bank_mb: float
    disk_mb: float

    @property
    def seconds(self) -> float:
        """Wall time of evolution with ``workers``, without the start of Dagster."""
        cores = max(min(self.workers, usable_cores()), 1)
        return (self.evaluations * self.seconds_per_play + self.columns * self.seconds_per_column) / cores

    @property
    def memory_mb(self) -> float:
        """Private memory of all workers; the pages of the bank come on top and are evicted under pressure."""
        return self.workers * self.worker_mb


def estimate_study(
    spec: StudySpec,
    versions: Sequence[DatasetVersion],
    *,
    workers: int,
    seconds: float = SAMPLE_SECONDS,
    home: Home | None = None,
) -> Estimate:
    """Evolve a small island of the study in memory for about ``seconds`` and extrapolate.

    ``versions``: the train datasets. Nothing is recorded; columns that the sample computes stay in the bank.
    """
    home = home or Home.current()
    search = StudyPlan(spec, home, {}).search
    size = min(_SAMPLE_SIZE, min(spec.island_sizes))
    search = replace(search, sizes=(size,), seeds=())
    feeds = {version.name: open_feed(version, timeframe=spec.timeframe, home=home) for version in versions}
    evaluator = Evaluator(feeds, Objectives.of(spec), **spec.terms)
    evaluator.evaluate(search.genome.decode([0] * len(search.genome.genes)))  # loads the compiled kernels
    sample = _Sample(feeds, evaluator.evaluate)
    assessor = LocalAssessor(search.genome, sample)
    parents: list[Individual] = []
    generation, began, took = 0, time.perf_counter(), 0.0
    while took - sample.column_seconds < seconds and took < _PATIENCE * seconds:
        generation += 1
        step = next(evolve_generations(search, 0, [generation], parents, {}, assessor))
        parents = list(step.outcome.survivors)
        took = time.perf_counter() - began
    total = max(_columns_in_space(search.genome.space) * len(feeds), len(sample.columns))
    evaluations = spec.population * spec.generations
    per_play = sample.reads / max(sample.plays, 1)
    expected = total * (1.0 - (1.0 - 1.0 / max(total, 1)) ** (evaluations * per_play)) if total else 0.0
    found = max(len(sample.columns), 1)
    columns = round(max(expected, len(sample.columns)))
    days = sum((version.end - version.start).days for version in versions)
    bank = columns * sample.column_bytes / found / _MB
    return Estimate(
        evaluations=evaluations,
        workers=workers,
        sampled=sample.plays,
        seconds_per_play=max(took - sample.column_seconds, 0.0) / max(sample.plays, 1),
        seconds_per_column=sample.column_seconds / found,
        columns=columns,
        columns_in_space=total,
        worker_mb=unique_memory().own,
        bank_mb=bank,
        disk_mb=bank + bytes_written(spec, len(search.genome.genes), days) / _MB,
    )


class _Sample:
    """Evaluates Plays, and measures apart how long their columns take to compute or open."""

    def __init__(self, feeds: dict[str, Feed], evaluate: Evaluate) -> None:
        self._feeds, self._evaluate = feeds, evaluate
        self.columns: set[tuple[str, FeatureRef]] = set()
        self.column_seconds = 0.0
        self.column_bytes = self.plays = self.reads = 0

    def __call__(self, play: Play) -> tuple[Evaluation, DailyReturns]:
        self.plays += 1
        for reference in bytecode_of(play).columns:
            for name, feed in self._feeds.items():
                self.reads += 1
                if (name, reference) in self.columns:
                    continue
                started = time.perf_counter()
                column = feed.columns.quantized_column(reference)
                self.column_seconds += time.perf_counter() - started
                self.columns.add((name, reference))
                self.column_bytes += column.nbytes
        return self._evaluate(play)


def _columns_in_space(space: SearchSpace) -> int:
    """Return the number of columns that a Play of the space can read."""
    found = {
        (column.definition.name, column.output.name, str(choice), label)
        for slot in space.slots
        for column in slot.columns
        for choice in column.choices
        for label in slot.timeframes
    }
    return len(found)
