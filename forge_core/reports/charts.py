"""Charts of a report: SVG that fills the width of the page, with labels in HTML that stay readable on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forge_core.plotting.downsample import thin

BLUE, ORANGE, GREEN, RED, GREY = "#2b59c3", "#e08e1b", "#1a936f", "#c8553d", "#8a94a0"
_WIDTH, _HEIGHT = 1000.0, 300.0  # of the drawing; the page stretches it
_POINTS = 1_600  # of a line; more than the pixels of the page
_LARGE = 1e4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A curve over time; ``fill`` shades the area to zero."""

    label: str
    curve: pd.Series
    color: str = BLUE
    fill: bool = False


def time_chart(
    title: str,
    lines: Sequence[Line],
    *,
    height: int = 240,
    unit: str = "",
    segments: Sequence[tuple[str, str, pd.DataFrame]] = (),
) -> str:
    """Return a chart of ``lines`` over time.

    ``segments``: label, color and trades, each drawn from entry to exit. ``unit`` follows the labels of the vertical
    axis. Lines are thinned to the page's pixels with their extremes; segments are all drawn.
    """
    drawn = [(line, _times(line.curve.index), line.curve.to_numpy(np.float64)) for line in lines]
    drawn = [(line, x[np.isfinite(y)], y[np.isfinite(y)]) for line, x, y in drawn]
    drawn = [item for item in drawn if item[2].size]
    if not drawn:
        return empty_chart(title)
    left, right = min(x[0] for _, x, _ in drawn), max(x[-1] for _, x, _ in drawn)
    values = np.concatenate([np.array([y.min(), y.max()]) for _, _, y in drawn])
    if any(line.fill for line, _, _ in drawn):
        values = np.append(values, 0.0)
    plot = _Plot(left, right, float(values.min()), float(values.max()))
    shapes = []
    for line, x, y in drawn:
        kept = thin(y, _POINTS)
        path = plot.path(x[kept], y[kept])
        if line.fill:
            zero = plot.y(0.0)
            area = f"{path} L{plot.x(x[-1]):.1f},{zero:.1f} L{plot.x(x[0]):.1f},{zero:.1f}Z"
            shapes.append(f'<path d="{area}" fill="{line.color}" fill-opacity=".18" stroke="none"/>')
        shapes.append(_stroke(path, line.color))
    shapes += [_stroke(plot.segments(trades), color, 1.3) for _, color, trades in segments if len(trades)]
    legend = [(line.label, line.color) for line, _, _ in drawn] + [(label, color) for label, color, _ in segments]
    return _figure(title, legend, shapes, plot, height, unit, _time_ticks(left, right))


def scatter_chart(
    title: str,
    groups: Sequence[tuple[str, str, ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    height: int = 260,
    line: bool = False,
    radius: float = 5,
) -> str:
    """Return a chart of points; ``groups``: label, color, x and y. ``line`` joins the points of the last group."""
    drawn = [(label, color, np.asarray(x, np.float64), np.asarray(y, np.float64)) for label, color, x, y in groups]
    drawn = [
        (label, color, x[ok], y[ok]) for label, color, x, y in drawn if (ok := np.isfinite(x) & np.isfinite(y)).any()
    ]
    if not drawn:
        return empty_chart(title)
    xs, ys = np.concatenate([item[2] for item in drawn]), np.concatenate([item[3] for item in drawn])
    plot = _Plot(float(xs.min()), float(xs.max()), float(ys.min()), float(ys.max()), margin=0.04)
    shapes = []
    for number, (_, color, x, y) in enumerate(drawn):
        if line and number == len(drawn) - 1:
            order = np.argsort(x, kind="stable")
            shapes.append(_stroke(plot.path(x[order], y[order]), color, 1))
        dots = "".join(f"M{plot.x(a):.1f},{plot.y(b):.1f}h0" for a, b in zip(x, y, strict=True))
        shapes.append(
            f'<path d="{dots}" stroke="{color}" stroke-opacity=".6" stroke-width="{radius}" stroke-linecap="round" '
            'vector-effect="non-scaling-stroke" fill="none"/>'
        )
    ticks = [(plot.x(value), number_label(value)) for value in nice_ticks(plot.left, plot.right, 5)]
    legend = [(label, color) for label, color, _, _ in drawn if label]
    axes = f"{ylabel} ↑, {xlabel} →"
    return _figure(title, legend, shapes, plot, height, "", ticks, note=axes)


def bar_chart(
    title: str,
    values: ArrayLike,
    edges: ArrayLike,
    *,
    xlabel: str,
    ylabel: str,
    marks: Sequence[tuple[str, float]] = (),
    height: int = 220,
) -> str:
    """Return a histogram: ``values`` (n,) between ``edges`` (n + 1,); ``marks`` are labelled vertical lines."""
    counts, sides = np.asarray(values, np.float64), np.asarray(edges, np.float64)
    low = min(float(sides[0]), *(value for _, value in marks)) if marks else float(sides[0])
    high = max(float(sides[-1]), *(value for _, value in marks)) if marks else float(sides[-1])
    plot = _Plot(low, high, 0.0, float(counts.max(initial=1.0)), margin=0.02)
    zero = plot.y(0.0)
    shapes = [
        f'<rect x="{plot.x(a):.1f}" y="{plot.y(v):.1f}" width="{max(plot.x(b) - plot.x(a) - 1, 1):.1f}" '
        f'height="{zero - plot.y(v):.1f}" fill="{RED if b <= 0 else BLUE}" fill-opacity=".65"/>'
        for v, a, b in zip(counts, sides, sides[1:], strict=False)
        if v
    ]
    shapes += [_stroke(f"M{plot.x(value):.1f},0V{_HEIGHT:.0f}", ORANGE, 2.5) for _, value in marks]
    ticks = [(plot.x(value), number_label(value)) for value in nice_ticks(plot.left, plot.right, 6)]
    legend = [(f"{label}: {number_label(value)}", ORANGE) for label, value in marks]
    return _figure(title, legend, shapes, plot, height, "", ticks, note=f"{ylabel} ↑, {xlabel} →")


def histogram(
    title: str, values: ArrayLike, *, xlabel: str, ylabel: str, marks: Sequence[tuple[str, float]] = ()
) -> str:
    """Return a histogram of ``values`` in up to 40 equal bins."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return empty_chart(title)
    counts, edges = np.histogram(numbers, bins=int(min(40, max(5, np.sqrt(numbers.size) * 2))))
    return bar_chart(title, counts, edges, xlabel=xlabel, ylabel=ylabel, marks=marks)


def empty_chart(title: str) -> str:
    """Return the place of a chart without data."""
    return f"<figure><figcaption>{escape(title)}</figcaption><p>nothing to draw</p></figure>"


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers between ``low`` and ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * 0.999)
    return [float(value) for value in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def number_label(value: float) -> str:
    """Return a short text of a number."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:,.4g}"


class _Plot:
    """Maps data to the drawing."""

    def __init__(self, left: float, right: float, low: float, high: float, margin: float = 0.0) -> None:
        wide, tall = (right - left) or 1.0, (high - low) or abs(high) or 1.0
        self.left, self.right = left - margin * wide, right + margin * wide
        self.low, self.high = low - 0.03 * tall, high + 0.03 * tall

    def x(self, value: float) -> float:
        return (value - self.left) / (self.right - self.left or 1.0) * _WIDTH

    def y(self, value: float) -> float:
        return _HEIGHT - (value - self.low) / (self.high - self.low) * _HEIGHT

    def path(self, x: Floats, y: Floats) -> str:
        across = (x - self.left) / (self.right - self.left or 1.0) * _WIDTH
        up = _HEIGHT - (y - self.low) / (self.high - self.low) * _HEIGHT
        return "M" + " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))

    def segments(self, trades: pd.DataFrame) -> str:
        begin, end = _times(trades["entry_time"]), _times(trades["exit_time"])
        rows = zip(begin, trades["entry_price"], end, trades["exit_price"], strict=True)
        return "".join(f"M{self.x(a):.1f},{self.y(b):.1f}L{self.x(c):.1f},{self.y(d):.1f}" for a, b, c, d in rows)


def _times(index: "pd.Index | pd.Series") -> Floats:
    """Return times as days since 1970-01-01."""
    stamps = pd.DatetimeIndex(index)
    stamps = stamps.tz_convert("UTC").tz_localize(None) if stamps.tz is not None else stamps
    return stamps.as_unit("us").asi8 / 86_400e6


def _time_ticks(left: float, right: float) -> list[tuple[float, str]]:
    """Return places and labels: years, else months, else days."""
    first, last = (pd.Timestamp(int(value * 86_400e6), unit="us") for value in (left, right))
    days = right - left
    if days > 900:
        step = max(1, int(np.ceil(days / 365.25 / 8)))
        stamps = [pd.Timestamp(year, 1, 1) for year in range(first.year + 1, last.year + 1, step)]
        form = "%Y"
    elif days > 75:
        months = pd.date_range(first.normalize().replace(day=1), last, freq="MS")
        stamps, form = list(months[:: max(1, len(months) // 7)]), "%Y-%m"
    else:
        spread = pd.date_range(first.normalize(), last, freq="D")
        stamps, form = list(spread[:: max(1, len(spread) // 7)]), "%m-%d"
    width = days or 1.0
    places = [(stamp.value / 86_400e9 - left) / width for stamp in stamps]
    return [
        (place * _WIDTH, stamp.strftime(form)) for place, stamp in zip(places, stamps, strict=True) if 0 <= place < 0.97
    ]


def _stroke(path: str, color: str, width: float = 1.5) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:g}" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"/>'
    )


def _figure(
    title: str,
    legend: Sequence[tuple[str, str]],
    shapes: Sequence[str],
    plot: _Plot,
    height: int,
    unit: str,
    ticks: Sequence[tuple[float, str]],
    note: str = "",
) -> str:
    rows = [(plot.y(value), f"{number_label(value)}{unit}") for value in nice_ticks(plot.low, plot.high, 5)]
    grid = "".join(_stroke(f"M0,{y:.1f}H{_WIDTH:.0f}", "#e4e7ea", 1) for y, _ in rows)
    grid += "".join(_stroke(f"M{x:.1f},0V{_HEIGHT:.0f}", "#f0f2f4", 1) for x, _ in ticks)
    if plot.low < 0 < plot.high:
        grid += _stroke(f"M0,{plot.y(0.0):.1f}H{_WIDTH:.0f}", "#9aa4ae", 1)
    labels = "".join(f'<i class="y" style="top:{y / _HEIGHT:.2%}">{escape(text)}</i>' for y, text in rows)
    crowded = len(ticks) > 5
    labels += "".join(
        f'<i class="x{" rare" if crowded and number % 2 else ""}" style="left:{x / _WIDTH:.2%}">{escape(text)}</i>'
        for number, (x, text) in enumerate(ticks)
    )
    keys = "".join(f'<b style="color:{color}">●</b> {escape(label)} ' for label, color in legend)
    keys += f"<em>{escape(note)}</em>" if note else ""
    return (
        f"<figure><figcaption>{escape(title)} <small>{keys}</small></figcaption>"
        f'<div class="plot" style="height:{height}px"><svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(title, quote=True)}">{grid}{"".join(shapes)}</svg>'
        f"{labels}</div></figure>"
    )
