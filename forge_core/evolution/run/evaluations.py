"""Evaluation of single Plays on the datasets of a study, counted on its holdout."""

from collections.abc import Mapping

import numpy as np

from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import DatasetFigures
from forge_core.evolution.spec.study import holdout_relation
from forge_core.feeds.feed import Feed
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import metrics_mapping, undefined_reasons
from forge_core.plays.model import Play


def evaluate_on_holdout(plan: StudyPlan, dataset: str, plays: Mapping[str, Play]) -> list[DatasetFigures]:
    """Backtest ``plays`` (by hash) on a holdout dataset; return the figures of each.

    Every evaluation is in the ledger before the dataset is opened. A Play that the study evaluated before keeps its
    number.
    """
    pinned = plan.manifest["datasets"][dataset]["hash"]
    numbers = [plan.ledger.record_holdout_evaluation(dataset, pinned, play) for play in plays]
    relation = holdout_relation(plan.spec, dataset)
    evaluator = plan.evaluator([dataset])
    held = buy_and_hold(evaluator.feeds[dataset])
    evaluations = [evaluator.evaluate(play)[0] for play in plays.values()]
    return [
        dataset_figures(evaluation.metrics[0], held, number, relation, evaluation.error or None)
        for number, evaluation in zip(numbers, evaluations, strict=True)
    ]


def dataset_figures(
    metrics: np.ndarray,
    held: float,
    evaluation: int | None = None,
    relation: str | None = None,
    failure: str | None = None,
) -> DatasetFigures:
    """Return the figures of a metrics vector: null where undefined, with the reasons."""
    metrics = metrics[: len(METRICS)]  # own metrics follow
    return DatasetFigures(metrics_mapping(metrics), undefined_reasons(metrics), held, evaluation, relation, failure)


def buy_and_hold(feed: Feed) -> float:
    """Return the buy-and-hold return, unlevered and without costs, from the first tradable open to the last close.

    The gap between contracts at a roll is excluded.
    """
    gaps = 0.0
    if feed.rolls is not None:
        first = np.flatnonzero(feed.rolls[feed.start + 1 :]) + feed.start + 1
        gaps = (feed.open[first] - feed.close[first - 1]).sum()
    return float((feed.close[-1] - gaps) / feed.open[feed.start] - 1.0)
