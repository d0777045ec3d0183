"""Requests to evolve: which study, and how far."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from forge_core.configuration import validate_model
from forge_core.errors import StudyError
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.steps import StudySpec, load_study
from forge_core.evolution.storage.manifest import read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.paths import Home
from forge_pipelines.lib.partitions import parse_generation_key

STUDY_TAG = "forge/study"
"""The run tag that names the study. The job sets it from ``FORGE_STUDY`` of the process that starts the run, so that a
step on another machine evolves the same study."""

DEFAULT_TAGS = {STUDY_TAG: os.environ.get("FORGE_STUDY") or "quickstart"}
"""Run tags of a job over one study that no request names."""


class EvolveConfig(dg.Config):
    """Study to evolve. Every value that is set becomes part of the study and is written to its manifest."""

    study: str | None = Field(
        default=None,
        description="A study's name, as in `forge study list`, or the path of its YAML file; by default that of the "
        f"run tag {STUDY_TAG}, which is FORGE_STUDY, or quickstart.",
    )
    seed: int | None = Field(default=None, description="Another seed than the study's own.")
    population: int | None = Field(default=None, description="Another population: Plays alive at a time, all islands.")
    generations: int | None = Field(default=None, description="Another number of generations.")


@dataclass(frozen=True)
class Request:
    """Study to evolve, and the generations that were asked for by name; none means all of them."""

    spec: StudySpec
    generations: Sequence[int] = ()

    @property
    def until(self) -> int | None:
        """The last generation to evolve, None for the study's last."""
        return max(self.generations, default=None)


def read_request(context: dg.OpExecutionContext, config: EvolveConfig, home: Home) -> Request:
    """Return what a run asks for: by its partitions if it materializes assets, else by its config or run tag.

    Raises StudyError for generations of several studies, and ConfigError for a value that no study can have.
    """
    if not context.has_assets_def:
        return Request(with_changes(load_study(config.study or context.run.tags[STUDY_TAG]), config))
    keys = list(context.partition_keys)
    if context.selected_asset_keys != {dg.AssetKey("generation_fitness")}:
        (study,), generations = keys, []
    else:
        parsed = [parse_generation_key(key) for key in keys]
        studies = sorted({study for study, _ in parsed})
        if len(studies) > 1:
            raise StudyError(
                f"generations of {len(studies)} studies were chosen ({', '.join(studies)}); choose those of one study"
            )
        (study,), generations = studies, [generation for _, generation in parsed]
    if config.study not in (None, study):
        raise StudyError(f"the config says study {config.study!r}, the partition is {study!r}; leave study empty")
    return Request(with_changes(_started_or_declared(study, home), config), generations)


def _started_or_declared(study: str, home: Home) -> StudySpec:
    """Return a study as its manifest has it, else as its file declares it."""
    started = read_manifest(StudyFolder.of(study, home)) is not None
    return StudyPlan.open(study, home).spec if started else load_study(study)


def with_changes(spec: StudySpec, config: EvolveConfig) -> StudySpec:
    """Return ``spec`` with the values that ``config`` sets instead of its own."""
    changes = {name: value for name, value in config.model_dump(exclude={"study"}).items() if value is not None}
    if not changes:
        return spec
    return validate_model(StudySpec, {**spec.model_dump(), **changes}, source=f"study {spec.name} as this run asks")
