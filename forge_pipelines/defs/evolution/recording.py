"""Recording of merged generations while a study evolves, and its progress in the run's log."""

import math
import time

import dagster as dg

from forge_core.evolution.run.island import Written
from forge_core.evolution.run.merge import GenerationFigures, GenerationMerger
from forge_core.evolution.run.plan import StudyPlan
from forge_core.market.datasets.build import open_version
from forge_pipelines.defs.evolution.pages import MANIFEST_TAG, generation_materialization
from forge_pipelines.defs.features.assets import bank_materialization
from forge_pipelines.lib.materialization import VERSION_TAG, record, recorded_tags
from forge_pipelines.lib.partitions import generation_key


class GenerationRecorder:
    """Merges the generations of an epoch as they are written, and records each in the instance once.

    Of several processes the one that wrote the last island's table of a generation does it; the lock that the merger
    holds lets only one at a time look and record.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext,
        plan: StudyPlan,
        epoch: int,
        until: int | None,
        again: frozenset[int],
        concurrent: int,
    ) -> None:
        self._context, self._plan, self._again = context, plan, again
        generations = plan.generations_of(epoch)
        self.last = generations[-1] if until is None else min(until, generations[-1])
        self._total = until or plan.spec.generations
        self._merger = GenerationMerger(plan, generations[0])
        self._written: Written | None = None
        self._concurrent = concurrent  # islands that run at the same time
        self._banks_recorded = False
        keys = {generation_key(plan.spec.name, generation): generation for generation in generations}
        recorded = recorded_tags(context.instance, "generation_fitness", keys)
        self._versions = {keys[key]: tags[0].get(VERSION_TAG) for key, tags in recorded.items() if tags}

    def record_written(self, written: Written | None = None) -> int:
        """Merge and record what is written by all islands; return the last generation of the epoch that is merged.

        ``written`` is the generation that this process has just written, for the figures of speed and time left.
        """
        self._written = written
        return self._merger.merge_written(self.last, self._record, self._is_recorded)

    def _is_recorded(self, generation: int) -> bool:
        """Whether the newest event of a generation is of this study; of one that was asked for, also of this run."""
        key = generation_key(self._plan.spec.name, generation)
        where = dg.AssetRecordsFilter(asset_key=dg.AssetKey("generation_fitness"), asset_partitions=[key])
        for found in self._context.instance.fetch_materializations(where, limit=1).records:
            event = found.asset_materialization
            same = event is not None and (event.tags or {}).get(MANIFEST_TAG) == self._plan.hash
            return same and (generation not in self._again or found.event_log_entry.run_id == self._context.run_id)
        return False

    def _record(self, figures: GenerationFigures) -> None:
        if not self._banks_recorded:
            spec, pinned = self._plan.spec, self._plan.manifest["datasets"]
            home, names = self._plan.home, (*spec.train, *spec.holdout)
            banks = [bank_materialization(open_version(name, pinned[name]["hash"], home), home) for name in names]
            record(self._context, banks, versions_stay=True)
            self._banks_recorded = True
        generation = figures.generation
        materialization = generation_materialization(self._plan, figures, self._speed())
        if self._versions.get(generation) != materialization.version or generation in self._again:
            self._context.log_event(materialization.event(self._context))
        if self._is_first_of_second(generation):
            self._context.log.info(self._progress(figures))

    def _speed(self) -> float | None:
        """Return the evaluations a second of all islands that run at once, from the pace of this process's island."""
        written = self._written
        return written.evaluations / written.seconds * self._concurrent if written and written.seconds else None

    def _is_first_of_second(self, generation: int) -> bool:
        """Whether the generation before was merged in an earlier second: the log has at most one line a second."""
        if generation == 1:
            return True
        return int(self._plan.folder.generation_table(generation - 1).stat().st_mtime) < int(time.time())

    def _progress(self, figures: GenerationFigures) -> str:
        generation = figures.generation
        best = ", ".join(f"{name} {value:.4g}" for name, value in figures.best.items() if value is not None)
        speed = self._speed()
        return progress_text(
            generation,
            self._total,
            None if self._written is None else self._written.seconds * self._plan.spec.islands / self._concurrent,
            f"{figures.feasible} of {figures.survivors} survivors feasible"
            + (f", best {best}" if best else "")
            + f", hypervolume {figures.hypervolume:.4g}"
            + (f", {speed:,.0f} evaluations a second" if speed else ""),
        )


def progress_text(generation: int, total: int, seconds: float | None, figures: str) -> str:
    """Return a line of progress; ``seconds`` is what one generation takes, None where it is not known."""
    left = f", {duration(seconds * (total - generation))} left" if seconds is not None and generation < total else ""
    return f"generation {generation} of {total} ({generation / total:.0%}{left}): {figures}"


def duration(seconds: float) -> str:
    """Return a time span as a person says it: ``40 s``, ``3 min``, ``2 h 10 min``."""
    whole = math.ceil(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
