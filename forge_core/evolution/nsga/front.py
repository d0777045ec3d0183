"""Pareto front, hypervolume and knee of losses: objectives with signs such that less is better."""

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from forge_core.evolution.search.evaluation import Objective

Floats = NDArray[np.float64]


def losses(values: Floats, objectives: Sequence[Objective]) -> Floats:
    """Return objective values of shape (n, objectives) as losses: maximized ones are negated."""
    return values * [-1.0 if objective.direction == "maximize" else 1.0 for objective in objectives]


def reference_point(objectives: Sequence[Objective]) -> list[float]:
    """Return the point, in the objectives' own values, from which the hypervolume is measured."""
    return [objective.definition.reference_value for objective in objectives]


def nondominated(points: Floats) -> NDArray[np.bool_]:
    """Return which of the losses (n, m) no other dominates; equal points are all on the front."""
    if len(points) == 0:
        return np.zeros(0, np.bool_)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=True), np.bool_)


def distinct_front(points: Floats) -> Floats:
    """Return the distinct losses (n, m) that no other dominates, sorted."""
    points = np.unique(points, axis=0)
    return points[nondominated(points)]


def hypervolume(points: Floats, objectives: Sequence[Objective]) -> float:
    """Return the hypervolume of the losses (n, m), each scaled between reference point (0) and ideal (1).

    The scaling (``desirability``) is that of the metrics' catalogue: it depends on no Play, so the hypervolumes of all
    generations of a study, and of all studies of the same objectives, compare. A point that is not better than the
    reference in every objective adds nothing.

    References
    ----------
    Zitzler and Thiele, Multiobjective Optimization Using Evolutionary Algorithms, PPSN V, 1998.
    Wagner and Trautmann, Integration of Preferences in Hypervolume-Based Multiobjective Evolutionary Algorithms by
    Means of Desirability Functions, IEEE Transactions on Evolutionary Computation 14(5), 2010.
    """
    return volume(1.0 - desirability(points, objectives), np.ones(len(objectives)))


def volume(points: Floats, reference: Floats) -> float:
    """Return the volume that the losses (n, m) dominate below ``reference``; points beyond it add nothing."""
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def desirability(points: Floats, objectives: Sequence[Objective]) -> Floats:
    r"""Return the losses (n, m) as desirabilities: 0 at the reference, 1 at the ideal, strictly rising with quality.

    With the value :math:`v`, reference :math:`r`, ideal :math:`i` and scale :math:`s` of a metric:

    .. math::
        d = \frac{v - r}{i - r} \text{ where the metric is bounded,}
        \quad d = \frac{v - r}{|v - r| + s} \text{ to maximize,}
        \quad d = \frac{s}{s + v} \text{ to minimize.}

    A value below 0 to minimize (financing that was received) has :math:`1 - v / (s - v)`, above 1.

    References
    ----------
    Derringer and Suich, Simultaneous Optimization of Several Response Variables, Journal of Quality Technology 12(4),
    1980.
    """
    values = losses(points, objectives)  # turned back
    scaled = np.empty(values.shape)
    for k, objective in enumerate(objectives):
        metric, value = objective.definition, values[:, k]
        above = value - metric.reference_value
        if metric.scale is None:
            scaled[:, k] = above / (metric.ideal - metric.reference_value)
        elif objective.direction == "maximize":
            scaled[:, k] = above / (np.abs(above) + metric.scale)
        else:
            received = np.maximum(-value, 0.0)
            scaled[:, k] = metric.scale / (metric.scale + np.maximum(value, 0.0)) + received / (metric.scale + received)
    return scaled


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
