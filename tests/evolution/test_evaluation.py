"""Objectives and constraints are finite whatever happens; a failing Play stops nobody."""

import math

import numpy as np
import pytest

from forge_core.engine.fill_rules import FillRules
from forge_core.engine.simulate import simulate
from forge_core.errors import DataError, StudyError
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.status import status_text
from forge_core.evolution.search import evaluation
from forge_core.evolution.search.evaluation import FAILURE, Constraint, Objective, Objectives
from forge_core.paths import Home

from .plays import OBJECTIVES, metrics
from .studies import small_spec

NAN = math.nan


@pytest.mark.parametrize(
    ("aggregate", "direction", "expected"),
    [
        ("worst", "maximize", 0.5),
        ("median", "maximize", 1.0),
        ("mean", "maximize", 1.5),
    ],
)
def test_aggregation_of_a_maximized_metric(aggregate: str, direction: str, expected: float) -> None:
    rows = np.array([metrics(sharpe=value) for value in (1.0, 3.0, 0.5)])
    assert Objective("o", "sharpe", direction, aggregate, -20.0).value(rows) == expected


def test_the_worst_of_a_minimized_metric_is_the_largest() -> None:
    rows = np.array([metrics(max_drawdown=value) for value in (0.1, 0.4, 0.2)])
    assert Objective("o", "max_drawdown", "minimize", "worst", 1.0).value(rows) == 0.4


def test_undefined_and_boundless_metrics_are_worst_or_capped() -> None:
    assert OBJECTIVES.score(np.array([metrics(sharpe=NAN, max_drawdown=0.2)])).objectives == (-20.0, 0.2)
    assert OBJECTIVES.score(np.array([metrics(sharpe=math.inf, max_drawdown=math.inf)])).objectives == (-20.0, 1.0)
    assert OBJECTIVES.score(np.array([metrics(sharpe=1e9, max_drawdown=7.0)])).objectives == (20.0, 1.0)


@pytest.mark.parametrize(
    ("name", "values", "aggregate", "bound", "expected"),
    [
        ("min_trades", [30, 45], "worst", 30, 0.0),
        ("min_trades", [15, 45], "worst", 30, 0.5),
        ("min_trades", [15, 45], "mean", 30, 0.0),
        ("min_trades", [0, 0], "worst", 0, 0.0),
        ("max_drawdown", [0.9, 0.1], "worst", 0.6, 0.5),
        ("max_drawdown", [0.6, 0.1], "worst", 0.6, 0.0),
        ("max_drawdown", [0.9, 0.1, 0.2], "median", 0.6, 0.0),
        ("min_total_return", [-0.25], "worst", 0.0, 0.25),
        ("min_sharpe", [NAN], "worst", 1.0, 21.0),
        ("min_average_bars_held", [NAN, 5.0], "worst", 2.0, 1000.0),
    ],
)
def test_constraints(name: str, values: list[float], aggregate: str, bound: float, expected: float) -> None:
    from forge_core.evolution.spec.study import constraint_metric

    metric = constraint_metric(name)
    direction = "maximize" if name.startswith("min_") else "minimize"
    rows = np.array([metrics(**{metric: value}) for value in values])
    assert Constraint(name, metric, direction, aggregate, bound).violation(rows) == pytest.approx(expected)


def test_objectives_of_a_study() -> None:
    spec = small_spec(
        "objectives", constraints={"min_trades": 5, "max_drawdown": {"value": 0.5, "aggregate": "median"}}
    )
    constraints = Objectives.of(spec).constraints
    assert [(c.name, c.metric, c.direction, c.aggregate, c.bound) for c in constraints] == [
        ("max_drawdown", "max_drawdown", "minimize", "median", 0.5),
        ("min_trades", "total_trades", "maximize", "worst", 5.0),
    ]


def test_a_failure_is_worse_than_anything() -> None:
    failed = OBJECTIVES.failed(2, "dataset: ZeroDivisionError: division by zero")
    assert failed.objectives == (-20.0, 1.0)
    assert failed.violations == (FAILURE,)
    assert np.isnan(failed.metrics).all()
    assert not failed.feasible
    worst = OBJECTIVES.score(np.array([metrics(total_trades=0.0)]))
    assert 0 < worst.violation < failed.violation
    assert all(math.isfinite(value) for value in (*failed.objectives, *failed.violations))


@pytest.fixture(scope="module")
def plan(home: Home) -> StudyPlan:
    return StudyPlan.make(small_spec("evaluation"), home)


@pytest.fixture(scope="module")
def plays(plan: StudyPlan) -> list:
    rng = np.random.default_rng(4)
    sizes = [gene.size for gene in plan.genome.genes]
    return [plan.genome.decode([int(v) for v in rng.integers(0, sizes)]) for _ in range(24)]


def test_the_evaluation_is_the_backtest(plan: StudyPlan, plays: list) -> None:
    judged, daily = plan.evaluator(plan.spec.train).evaluate(plays[0])
    for i, name in enumerate(plan.spec.train):
        result = simulate(plays[0], plan.open_feed(name))
        np.testing.assert_array_equal(judged.metrics[i], result.metrics)
        np.testing.assert_array_equal(daily[i], result.daily_returns.astype(np.float32))


def test_one_play_that_fails_stops_nobody(plan: StudyPlan, plays: list, monkeypatch: pytest.MonkeyPatch) -> None:
    real = evaluation.simulate

    def fails_once(play, feed, **settings):
        if play is plays[3]:
            raise FloatingPointError("a numerical accident\nwith details")
        return real(play, feed, **settings)

    monkeypatch.setattr(evaluation, "simulate", fails_once)
    evaluator = plan.evaluator(plan.spec.train)
    results = [evaluator.evaluate(play) for play in plays]
    reasons = [result.error for result, _ in results]
    assert reasons[3] == "SP500_BEAR_2008: FloatingPointError: a numerical accident"
    assert reasons.count(None) == len(plays) - 1
    assert results[3][1] == ()


@pytest.mark.parametrize("error", [DataError("bars.npy is damaged"), OSError(28, "No space left"), MemoryError()])
def test_missing_data_and_a_full_disk_are_not_the_plays_fault(
    plan: StudyPlan, plays: list, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def breaks(*args: object, **settings: object) -> None:
        raise error

    monkeypatch.setattr(evaluation, "simulate", breaks)
    with pytest.raises(type(error)):
        plan.evaluator(plan.spec.train).evaluate(plays[0])


def test_costs_of_the_study_are_used(home: Home, plays: list) -> None:
    free = StudyPlan.make(small_spec("free", costs={}), home)
    dear = StudyPlan.make(small_spec("dear", costs={"commission_bps": 100}), home)
    evaluators = [study.evaluator(["SP500_BULL_2013"]) for study in (free, dear)]
    returns = [(x.evaluate(play)[0].metrics[0, 4]) for play in plays for x in evaluators]
    assert all(cheap >= costly for cheap, costly in zip(returns[::2], returns[1::2], strict=True))
    assert any(cheap > costly for cheap, costly in zip(returns[::2], returns[1::2], strict=True))


def test_fill_rules_of_the_study_are_used(home: Home, plays: list) -> None:
    fills = FillRules(target="touch", levels="exact")
    plan = StudyPlan.make(small_spec("touched", fills=fills.model_dump(), holdout=["SP500_BULL_2003"]), home)
    assert plan.manifest["study"]["fills"] == fills.model_dump()
    assert "fills" not in StudyPlan.make(small_spec("strict"), home).manifest["study"]
    differs = 0
    evaluator = plan.evaluator(plan.spec.train)
    for play in plays:
        judged, _ = evaluator.evaluate(play)
        for i, name in enumerate(plan.spec.train):
            feed = plan.open_feed(name)
            np.testing.assert_array_equal(judged.metrics[i], simulate(play, feed, fills=fills).metrics)
            differs += not np.array_equal(judged.metrics[i], simulate(play, feed).metrics, equal_nan=True)
    assert differs
    assert StudyPlan.open("touched", home).spec.fills == fills
    assert Experiment(plan.search, **plan.spec.terms).terms == plan.spec.terms
    assert "fill rules: levels=exact, target=touch (not strict)" in status_text("touched", home)
    with pytest.raises(StudyError, match=r"study.fills: was .*, is gone"):
        StudyPlan.make(small_spec("touched", holdout=["SP500_BULL_2003"]), home)


def test_annual_returns_are_refused_where_there_are_bars_of_less_than_a_year(home: Home) -> None:
    year = StudyPlan.make(small_spec("year", objectives="single:calmar"), home)
    assert year.folder.manifest.is_file()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forge_core.feeds.feed.Feed.years", 300 / 365.25)
        with pytest.raises(StudyError, match=r"calmar needs 360 days .* SP500_BEAR_2008 has bars of 300"):
            StudyPlan.make(small_spec("part_of_a_year", objectives="single:calmar"), home)
    assert not home.study("part_of_a_year").exists()
