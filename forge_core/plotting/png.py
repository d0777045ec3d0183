"""Small PNG plots for reports and asset metadata.

Only matplotlib's object API is used: without global state, drawing is thread-safe. It is imported by the first picture:
it takes an eighth of the start of a process, and most processes draw none.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forge_core.plotting.downsample import thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 100
_WIDTH = 7.0  # inches
_HEIGHT = 3.5
_NUMBERED_CELLS = 150  # of a heat map; more numbers do not fit
_COLUMNS = 700  # a line needs no more chunks than the plot has pixels
_COLORS = ("#2b59c3", "#e08e1b", "#1a936f", "#c8553d", "#7a5195", "#5c6773")


def equity_png(curves: Mapping[str, pd.Series], *, title: str = "", ylabel: str = "equity") -> bytes:
    """Return a PNG (700 x 350) of one or more curves over time.

    ``curves``: Series with a DatetimeIndex, by label. Raises ValueError without curves.
    """
    if not curves:
        raise ValueError("no curves to draw; expected at least one")
    figure, axes = _axes(title, "", ylabel)
    for number, (label, curve) in enumerate(curves.items()):
        time, values = _thinned(curve)
        axes.plot(time, values, color=_COLORS[number % len(_COLORS)], linewidth=1.1, label=label)
    _date_axis(axes)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _png(figure)


def price_png(bars: pd.DataFrame, *, title: str = "") -> bytes:
    """Return a PNG (700 x 350) of ``bars``: the close, and the range from low to high behind it."""
    figure, axes = _axes(title, "", "price")
    stretch = max(1, -(-len(bars) // _COLUMNS))
    begins = np.arange(0, len(bars), stretch)
    time = pd.DatetimeIndex(bars.index[begins]).tz_localize(None).to_numpy()
    low = np.minimum.reduceat(bars["low"].to_numpy(), begins)
    high = np.maximum.reduceat(bars["high"].to_numpy(), begins)
    axes.fill_between(time, low, high, color=_COLORS[0], alpha=0.25, linewidth=0)
    axes.plot(*_thinned(bars["close"]), color=_COLORS[0], linewidth=0.9)
    _date_axis(axes)
    return _png(figure)


def front_png(
    points: ArrayLike,
    labels: Sequence[str],
    *,
    others: ArrayLike | None = None,
    chosen: int | None = None,
    title: str = "",
) -> bytes:
    """Return a PNG (700 x 350) of a Pareto front in its first two objectives.

    ``points``: shape (n, 2 or more), the front. ``labels``: the objectives' names. ``others``: dominated points, same
    columns, drawn pale in the background. ``chosen``: the row of ``points`` to mark (the champion). Raises ValueError
    for shapes that do not match.
    """
    front = np.asarray(points, np.float64)
    if front.ndim != 2 or front.shape[1] < 2 or len(labels) != front.shape[1]:
        raise ValueError(
            f"points of shape {front.shape} do not match the objectives {list(labels)}: expected a column each"
        )
    figure, axes = _axes(title, labels[0], labels[1])
    if others is not None:
        rest = np.asarray(others, np.float64)
        axes.scatter(rest[:, 0], rest[:, 1], s=8, color="#c3c9d0", linewidths=0, label="dominated")
    if front.shape[1] == 2:  # with more objectives the front is a surface, not a line
        order = np.lexsort((front[:, 1], front[:, 0]))
        axes.plot(front[order, 0], front[order, 1], color=_COLORS[0], linewidth=0.6, alpha=0.5)
    axes.scatter(front[:, 0], front[:, 1], s=22, color=_COLORS[0], linewidths=0, label="front")
    if chosen is not None:
        axes.scatter(
            front[chosen, 0],
            front[chosen, 1],
            s=110,
            facecolors="none",
            edgecolors=_COLORS[3],
            linewidths=1.6,
            label="champion",
        )
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def histogram_png(
    values: Sequence[float], *, marks: Mapping[str, float] | None = None, title: str = "", xlabel: str = ""
) -> bytes:
    """Return a PNG (700 x 350) of a histogram, with a labelled vertical line at each of ``marks``.

    Raises ValueError without values.
    """
    if not len(values):
        raise ValueError("no values to draw; expected at least one")
    figure, axes = _axes(title, xlabel, "searches")
    bins = min(20, max(5, len(values) // 2))
    axes.hist(np.asarray(values, np.float64), bins=bins, color=_COLORS[0], alpha=0.6, edgecolor="white")
    for number, (label, value) in enumerate((marks or {}).items()):
        axes.axvline(value, color=_COLORS[3 + number % 3], linewidth=1.6, label=f"{label}: {value:.3g}")
    if marks:
        axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def heat_png(grid: pd.DataFrame, *, title: str = "", value: str = "") -> bytes:
    """Return a PNG (700 x 350) of a table of numbers as a heat map.

    ``grid``: the index is the vertical axis, the columns are the horizontal one, and their names are the axis labels;
    NaN is blank. Colors are blue above zero and red below on a symmetric scale; small grids have the number in each
    cell. ``value``: label of the color bar.
    """
    figure, axes = _axes(title, str(grid.columns.name or ""), str(grid.index.name or ""))
    numbers = grid.to_numpy(np.float64)
    strongest = float(np.nanmax(np.abs(numbers), initial=0.0)) or 1.0
    image = axes.imshow(
        numbers, cmap="RdBu", vmin=-strongest, vmax=strongest, origin="lower", aspect="auto", interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.set_xticks(range(grid.shape[1]), [f"{label:g}" for label in grid.columns])
    axes.set_yticks(range(grid.shape[0]), [f"{label:g}" for label in grid.index])
    if numbers.size <= _NUMBERED_CELLS:
        for (row, column), number in np.ndenumerate(numbers):
            if np.isfinite(number):
                color = "white" if abs(number) > 0.6 * strongest else "black"
                axes.text(column, row, f"{number:.2f}", ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image, ax=axes, label=value, fraction=0.05, pad=0.02).ax.tick_params(labelsize=7)
    return _png(figure)


def _axes(title: str, xlabel: str, ylabel: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI)
    axes = figure.add_axes((0.11, 0.13, 0.86, 0.77))
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e4e7ea", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _date_axis(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0.01)


def _thinned(curve: pd.Series) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    values = curve.to_numpy(np.float64)
    kept = thin(values, 2 * _COLUMNS)
    return pd.DatetimeIndex(curve.index[kept]).tz_localize(None).to_numpy(), values[kept]


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
