"""Small plots as SVG text: one or two kilobytes and about a millisecond each."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

_WIDTH, _HEIGHT = 320, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 308, 12, 146
_SHADES = ("#c9d3e6", "#9fb4dc", "#7190cd", "#2b59c3")
_TEXT = 'font-family="sans-serif" font-size="10" fill="#5c6773"'


def points_svg(groups: Sequence[ArrayLike], labels: Sequence[str]) -> str:
    """Return an SVG (320 x 170) of points in their first two columns.

    ``groups``: arrays of shape (n, 2 or more), drawn from pale to dark; the last is on top, joined by a line if it has
    two columns. ``labels``: the names of the columns. Empty groups are skipped.
    """
    drawn = [np.asarray(group, np.float64) for group in groups]
    drawn = [group for group in drawn if group.size]
    low, high = _bounds(drawn)
    shapes = []
    for number, group in enumerate(drawn):
        color = _SHADES[max(len(_SHADES) - len(drawn) + number, 0)]
        x, y = _places(group, low, high)
        if number == len(drawn) - 1 and group.shape[1] == 2:
            order = np.argsort(x, kind="stable")
            line = " ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in order)
            shapes.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="0.7" opacity="0.6"/>')
        shapes += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="{color}"/>' for a, b in zip(x, y, strict=True)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>{"".join(shapes)}'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}" {_TEXT}>{escape(_range(labels[0], low[0], high[0]))} →</text>'
        f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 6}" {_TEXT}>{escape(_range(labels[1], low[1], high[1]))} ↑</text></svg>'
    )


def _bounds(groups: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not groups:
        return np.zeros(2), np.ones(2)
    points = np.vstack([group[:, :2] for group in groups])
    return points.min(axis=0), points.max(axis=0)


def _places(
    group: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    share = (group[:, :2] - low) / np.where(high > low, high - low, 1.0)
    return _LEFT + share[:, 0] * (_RIGHT - _LEFT), _BOTTOM - share[:, 1] * (_BOTTOM - _TOP)


def _range(label: str, low: float, high: float) -> str:
    return f"{label} {low:.3g} to {high:.3g}"


def curves_svg(curves: Sequence[ArrayLike], points: int = 48) -> str:
    """Return an SVG (240 x 80) of curves on one vertical scale, each from left to right, pale to dark.

    ``points``: number of points of all curves together. Dagster shows Markdown of less than 1,000 characters without a
    click; two curves with the default are below that.
    """
    each = max(points // max(len(curves), 1), 2)
    drawn = [values[np.linspace(0, len(values) - 1, each).round().astype(int)] for values in map(np.asarray, curves)]
    low, high = min(values.min() for values in drawn), max(values.max() for values in drawn)
    lines = []
    for number, values in enumerate(drawn):
        x = np.linspace(0, 240, each).round().astype(int)
        y = (78 - 76 * (values - low) / ((high - low) or 1.0)).round().astype(int)
        color = _SHADES[max(len(_SHADES) - len(drawn) + number, 0)]
        pairs = ",".join(f"{a},{b}" for a, b in zip(x, y, strict=True))
        lines.append(f"<polyline points='{pairs}' fill='none' stroke='{color}'/>")
    return f"<svg xmlns='http://www.w3.org/2000/svg' width='240' height='80'>{''.join(lines)}</svg>"
