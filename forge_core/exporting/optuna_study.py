"""Export of a study's trials as an Optuna study, a journal file that optuna-dashboard opens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from forge_core.errors import ConfigError, StudyError
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.status import study_status
from forge_core.files import read_table, replacing
from forge_core.paths import Home

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # tables have no times: one second a trial, in order


def export_optuna(name: str, path: Path, home: Home | None = None) -> int:
    """Write every distinct Play that a study backtested as a trial; return their number.

    A trial has the objectives as values, the genes as parameters, the violations as constraints, and Play, generation
    and island as user attributes. Its state is failed where the backtest failed. ``path`` is replaced. Raises
    StudyError for a study without a merged generation.
    """
    home = home or Home.current()
    if study_status(name, home).state == "not started":
        raise StudyError(f"study {name!r} has not been run; run `make evolve STUDY={name}` first")
    plan = StudyPlan.open(name, home)
    objectives = plan.objectives.terms
    trials = [trial for generation in _generations(plan) for trial in _trials(plan, generation)]
    if not trials:
        raise StudyError(f"study {name!r} has no merged generation yet; wait for the first epoch to end")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file, such as {path / f'{name}.log'}")
    with replacing(path) as temporary:
        storage = JournalStorage(JournalFileBackend(str(temporary)))
        study = optuna.create_study(
            storage=storage, study_name=name, directions=[objective.direction for objective in objectives]
        )
        study.set_metric_names([objective.name for objective in objectives])
        for number, trial in enumerate(trials):
            started = _EPOCH + timedelta(seconds=number)
            trial.datetime_start, trial.datetime_complete = started, started + timedelta(seconds=1)
        study.add_trials(trials)
    return len(trials)


def _generations(plan: StudyPlan) -> list[int]:
    found = []
    generation = 1
    while plan.folder.generation_table(generation).is_file():
        found.append(generation)
        generation += 1
    return found


def _trials(plan: StudyPlan, generation: int) -> list[FrozenTrial]:
    """Return the Plays that were born in a generation and backtested."""
    columns = ["born", "play", "island", "is_duplicate", "error", "genes", *plan.tables.objectives]
    rows = read_table(plan.folder.generation_table(generation), [*columns, *plan.tables.constraints]).to_pylist()
    genes = plan.genome.genes
    distributions: dict[str, BaseDistribution] = {
        gene.name: IntDistribution(0, gene.size - 1)
        if gene.ordered
        else CategoricalDistribution(tuple(range(gene.size)))
        for gene in genes
    }
    return [_trial(plan, row, distributions) for row in rows if row["born"] == generation and not row["is_duplicate"]]


def _trial(plan: StudyPlan, row: dict[str, Any], distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    failed = row["error"] is not None
    attributes = {"play": row["play"], "generation": row["born"], "island": row["island"]}
    violations = {name.removeprefix("constraint."): row[name] for name in plan.tables.constraints}
    if failed:
        attributes["error"] = row["error"]
    return optuna.trial.create_trial(
        state=TrialState.FAIL if failed else TrialState.COMPLETE,
        values=None if failed else [row[name] for name in plan.tables.objectives],
        params=dict(zip(distributions, row["genes"], strict=True)),
        distributions=distributions,
        user_attrs=attributes,
        constraints=None if failed else violations,
    )
