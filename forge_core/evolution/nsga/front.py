"""The Pareto front, its hypervolume and its knee. Losses here are objectives turned so that less is better."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forge_core.evolution.search.evaluation import Objective

Floats = NDArray[np.float64]


def losses(values: Floats, objectives: Sequence[Objective]) -> Floats:
    """Return objective values of shape (n, objectives) as losses: maximized ones with their sign turned."""
    return values * [-1.0 if objective.direction == "maximize" else 1.0 for objective in objectives]


def reference_point(objectives: Sequence[Objective]) -> list[float]:
    """Return the point, in the objectives' own values, from which the hypervolume is measured.

    It is each metric's worst value; a maximized metric whose worst lies below -1 (a Sharpe ratio of -20 says nothing)
    counts from 0.
    """
    return [
        0.0 if objective.direction == "maximize" and objective.worst < -1.0 else objective.worst
        for objective in objectives
    ]


def nondominated(points: Floats) -> NDArray[np.bool_]:
    """Return which of the losses (n, m) no other dominates; equal points are all on the front."""
    on_front = np.ones(len(points), np.bool_)
    order = np.lexsort(points.T[::-1])  # none is dominated by a later one
    kept = np.empty((0, points.shape[1]))
    for index in order:
        point = points[index]
        dominated = ((kept <= point).all(axis=1) & (kept < point).any(axis=1)).any()
        on_front[index] = not dominated
        if not dominated:
            kept = np.vstack([kept, point])
    return on_front


def hypervolume(points: Floats, reference: Floats) -> float:
    """Return the volume that the losses (n, m) dominate below ``reference``; points beyond it count for nothing.

    By slices along the last loss (Zitzler, Evolutionary Algorithms for Multiobjective Optimization, 1999); two and
    three losses by one pass over a sorted grid.
    """
    inside = points[(points < reference).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    front = np.unique(inside[nondominated(inside)], axis=0)
    return _volume(front, reference)


def _volume(points: Floats, reference: Floats) -> float:
    dimensions = points.shape[1]
    if dimensions == 1:
        return float(reference[0] - points.min())
    if dimensions == 2:
        return _area(points, reference)
    order = np.argsort(points[:, -1], kind="stable")
    points = points[order]
    depths = np.diff(np.append(points[:, -1], reference[-1]))
    if dimensions == 3:
        return _stacked_areas(points[:, :2], depths, reference[:2])
    slices = (
        _volume(points[: i + 1, :-1][nondominated(points[: i + 1, :-1])], reference[:-1]) * depth
        for i, depth in enumerate(depths)
        if depth > 0
    )
    return float(sum(slices))


def _area(points: Floats, reference: Floats) -> float:
    x, y = points[np.argsort(points[:, 0], kind="stable")].T
    lowest = np.minimum.accumulate(y)
    return float(np.sum(np.diff(np.append(x, reference[0])) * (reference[1] - lowest)))


def _stacked_areas(points: Floats, depths: Floats, reference: Floats) -> float:
    """Return the sum over i of the area that points 0..i dominate, times ``depths[i]``."""
    order = np.argsort(points[:, 0], kind="stable")
    widths = np.diff(np.append(points[order, 0], reference[0]))
    # heights[i, j]: how far point j (in the order of x) reaches up in slice i, where it counts from its own slice on
    heights = np.where(order[None, :] <= np.arange(len(points))[:, None], reference[1] - points[order, 1][None, :], 0.0)
    return float(depths @ (np.maximum.accumulate(heights, axis=1) @ widths))


def knee(points: Floats) -> int:
    """Return the index of the knee of a front's losses (n, m), the first of equal ones.

    Each loss is scaled to 0..1 between the front's best and worst. The knee is the point farthest, towards the ideal
    point, from the hyperplane through the unit points, which for two losses is the line through the front's extremes:
    the smallest sum of scaled losses. (Das, On Characterizing the Knee of the Pareto Curve Based on Normal-Boundary
    Intersection, Structural Optimization 18, 1999.) A loss that is the same everywhere does not count.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmin(scaled.sum(axis=1)))
