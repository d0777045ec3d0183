"""Front, hypervolume and knee against definitions, pencil and paper, and Optuna's own hypervolume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna._hypervolume import compute_hypervolume

from forge_core.evolution.nsga.front import hypervolume, knee, losses, nondominated, reference_point
from forge_core.evolution.search.evaluation import Objective

points = st.integers(1, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 25), st.just(m)), elements=st.integers(0, 8).map(float))
)


@given(points)
def test_nondominated_is_the_definition(losses: np.ndarray) -> None:
    expected = [not any((other <= point).all() and (other < point).any() for other in losses) for point in losses]
    assert nondominated(losses).tolist() == expected


@given(points)
def test_hypervolume_is_optunas(losses: np.ndarray) -> None:
    reference = np.full(losses.shape[1], 7.0)
    inside = losses[(losses < reference).all(axis=1)]
    expected = compute_hypervolume(inside, reference) if len(inside) else 0.0
    assert hypervolume(losses, reference) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_hypervolume_of_a_real_sized_front(dimensions: int) -> None:
    losses = np.random.default_rng(1).random((150, dimensions))
    reference = np.ones(dimensions)
    assert hypervolume(losses, reference) == pytest.approx(compute_hypervolume(losses, reference))


def test_hypervolume_by_hand() -> None:
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0])) == 3.0
    assert hypervolume(np.array([[3.0, 0.0], [9.0, 9.0]]), np.array([3.0, 3.0])) == 0.0
    assert hypervolume(np.empty((0, 2)), np.array([3.0, 3.0])) == 0.0
    assert hypervolume(np.array([[0.5], [0.25]]), np.array([1.0])) == 0.75


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
