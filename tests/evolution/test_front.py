"""Front, hypervolume and knee against definitions, pencil and paper, and Optuna's own hypervolume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna._hypervolume import compute_hypervolume

from forge_core.evolution.nsga.front import (
    desirability,
    hypervolume,
    knee,
    losses,
    nondominated,
    reference_point,
    volume,
)
from forge_core.evolution.search.evaluation import Objective
from forge_core.metrics.catalog import METRICS, Metric, get_metric

points = st.integers(1, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 25), st.just(m)), elements=st.integers(0, 8).map(float))
)


@given(points)
def test_nondominated_is_the_definition(losses: np.ndarray) -> None:
    expected = [not any((other <= point).all() and (other < point).any() for other in losses) for point in losses]
    assert nondominated(losses).tolist() == expected


@given(points)
def test_volume_is_optunas(losses: np.ndarray) -> None:
    reference = np.full(losses.shape[1], 7.0)
    inside = losses[(losses < reference).all(axis=1)]
    expected = compute_hypervolume(inside, reference) if len(inside) else 0.0
    assert volume(losses, reference) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_volume_of_a_real_sized_front(dimensions: int) -> None:
    losses = np.random.default_rng(1).random((150, dimensions))
    reference = np.ones(dimensions)
    assert volume(losses, reference) == pytest.approx(compute_hypervolume(losses, reference))


def test_volume_by_hand() -> None:
    assert volume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0])) == 3.0
    assert volume(np.array([[3.0, 0.0], [9.0, 9.0]]), np.array([3.0, 3.0])) == 0.0
    assert volume(np.empty((0, 2)), np.array([3.0, 3.0])) == 0.0
    assert volume(np.array([[0.5], [0.25]]), np.array([1.0])) == 0.75


def sliced(points: np.ndarray, reference: np.ndarray) -> float:
    """The volume by its definition, slice by slice along the last loss (Zitzler, 1999)."""
    points = points[(points < reference).all(axis=1)]
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    points = points[np.argsort(points[:, -1], kind="stable")]
    depths = np.diff(np.append(points[:, -1], reference[-1]))
    return sum(sliced(points[: k + 1, :-1], reference[:-1]) * depth for k, depth in enumerate(depths) if depth > 0)


@given(points)
def test_volume_is_the_definition(losses: np.ndarray) -> None:
    reference = np.full(losses.shape[1], 7.0)
    assert volume(losses[:8], reference) == pytest.approx(sliced(losses[:8], reference), abs=1e-9)


def objectives(*names: str) -> list[Objective]:
    found = []
    for name in names:
        metric = get_metric(name)
        assert metric.better is not None
        found.append(Objective(name, name, metric.better, "worst", metric.worst))
    return found


DIRECTED = [metric for metric in METRICS if metric.better is not None]


@pytest.mark.parametrize("metric", DIRECTED, ids=lambda metric: metric.name)
def test_desirability_rises_from_the_reference_to_the_ideal(metric: Metric) -> None:
    chosen = objectives(metric.name)
    scale = metric.scale or abs(metric.ideal - metric.reference_value)
    if metric.better == "maximize":
        values = metric.reference_value + scale * np.linspace(0.0, 1.0, 101)
    else:
        values = scale * np.linspace(1.0, 0.0, 101)
    scaled = desirability(losses(values[:, None], chosen), chosen)[:, 0]
    assert (np.diff(scaled) > 0).all()  # so that scaling changes no dominance
    assert scaled.min() >= 0.0
    assert scaled.max() <= 1.0
    at = metric.reference_value
    assert desirability(losses(np.array([[at]]), chosen), chosen)[0, 0] == pytest.approx(0.0, abs=0.011)
    if metric.scale is None:
        assert (scaled[0], scaled[-1]) == (0.0, 1.0)
    else:
        half = scaled[-1] if metric.better == "maximize" else scaled[0]
        assert half == 0.5


def test_desirability_by_hand() -> None:
    chosen = objectives("sharpe", "max_drawdown", "turnover", "financing")
    values = np.array([[1.0, 0.25, 150.0, 0.0], [3.0, 0.0, 0.0, -10_000.0], [-1.0, 1.0, 1e9, 30_000.0]])
    expected = [[0.5, 0.75, 0.25, 1.0], [0.75, 1.0, 1.0, 1.5], [-0.5, 0.0, 5e-8, 0.25]]
    assert desirability(losses(values, chosen), chosen) == pytest.approx(np.array(expected), abs=1e-9)


def test_a_turnover_among_the_objectives_keeps_the_hypervolume_between_zero_and_one() -> None:
    """With the raw turnover's reference of 1e9 it was of that order, and no gain in turnover showed."""
    chosen = objectives("sharpe", "turnover")
    before = hypervolume(losses(np.array([[1.0, 100.0]]), chosen), chosen)
    after = hypervolume(losses(np.array([[1.0, 100.0], [1.0, 80.0]]), chosen), chosen)
    assert before == pytest.approx(0.5 / 3)
    assert after == pytest.approx(0.5 * 50 / 130)
    assert after - before > 0.1 * after
    assert hypervolume(losses(np.array([[-1.0, 10.0]]), chosen), chosen) == 0.0
    assert hypervolume(np.empty((0, 2)), chosen) == 0.0


def test_losses_and_reference_turn_with_the_direction() -> None:
    sharpe = Objective("sharpe", "sharpe", "maximize", "worst", -20.0)
    drawdown = Objective("max_drawdown", "max_drawdown", "minimize", "worst", 1.0)
    growth = Objective("total_return", "total_return", "maximize", "worst", -1.0)
    assert reference_point([sharpe, drawdown, growth]) == [0.0, 1.0, -1.0]
    assert losses(np.array([[1.5, 0.2, 0.3]]), [sharpe, drawdown, growth]).tolist() == [[-1.5, 0.2, -0.3]]


def test_knee() -> None:
    bent = np.array([[0.0, 10.0], [1.0, 2.0], [5.0, 1.0], [10.0, 0.0]])
    assert knee(bent) == 1
    assert knee(bent[::-1]) == 2
    assert knee(np.array([[3.0, 4.0]])) == 0
    # a loss that does not vary does not count
    assert knee(np.array([[0.0, 7.0], [1.0, 7.0]])) == 0


@given(points, st.floats(0.1, 100), st.floats(-50, 50))
def test_the_knee_does_not_depend_on_units(losses: np.ndarray, scale: float, shift: float) -> None:
    front = losses[nondominated(losses)]
    chosen, moved = front[knee(front)], knee(front * scale + shift)
    span = np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), 1.0)
    total = ((front - front.min(axis=0)) / span).sum(axis=1)
    assert total[moved] == pytest.approx(((chosen - front.min(axis=0)) / span).sum())
