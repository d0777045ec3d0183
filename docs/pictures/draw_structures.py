"""Pictures of docs/features.md: each structure on S&P 500 daily bars of the PyPI package ``arch``.

Run ``python docs/pictures/draw_structures.py [folder]``; the output is deterministic.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from arch.data import sp500
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forge_core.features.registry import get_feature

LEAD, SHOWN = 300, 110
BLUE, RED, GREY, GREEN = "#1f5fa8", "#b8322a", "#7a7a7a", "#2c7a3f"

Columns = dict[str, np.ndarray]


def load_bars() -> tuple[Columns, pd.DatetimeIndex]:
    """Return the bars up to the end of 2011: a fall, a turn and a recovery."""
    frame = sp500.load().loc[:"2011-12-30"].iloc[-(LEAD + SHOWN) :]
    return {name.lower(): frame[name].to_numpy(dtype=np.float64) for name in frame.columns}, frame.index


def candles(axes: Axes, bars: Columns, first: int) -> None:
    """Draw bars as high-low sticks with a body from open to close, grey where the close is below the open."""
    x = np.arange(first, bars["close"].size)
    up = bars["close"][first:] >= bars["open"][first:]
    axes.vlines(x, bars["low"][first:], bars["high"][first:], color=GREY, linewidth=0.8, zorder=1)
    for side, colour in ((up, "white"), (~up, GREY)):
        body = bars["close"][first:] - bars["open"][first:]
        axes.bar(x[side], body[side], 0.7, bars["open"][first:][side], color=colour, edgecolor=GREY, linewidth=0.6)


def steps(axes: Axes, column: np.ndarray, first: int, colour: str, label: str, style: str = "-") -> None:
    """Draw one output as a step line."""
    x = np.arange(first, column.size)
    axes.step(x, column[first:], where="mid", color=colour, linewidth=1.4, linestyle=style, label=label)


def draw_swings(axes: Axes, bars: Columns, first: int) -> None:
    """Draw the last swing levels, labelled at the bar that confirms each swing."""
    columns = get_feature("swings").compute(bars, {})
    for kind, colour, above in (("high", RED, True), ("low", BLUE, False)):
        level, label = columns[f"last_{kind}"], columns[f"label_{kind}"]
        steps(axes, level, first, colour, f"last_{kind}")
        for at in np.flatnonzero(np.diff(level) != 0) + 1:
            if at >= first:
                text = ("H" if label[at] > 0 else "L") + kind[0].upper()
                axes.annotate(
                    text,
                    (at, level[at]),
                    (0, 5 if above else -13),
                    textcoords="offset points",
                    color=colour,
                    fontsize=8,
                )


def draw_trend(axes: Axes, bars: Columns, first: int) -> None:
    """Colour the background by the state."""
    state = get_feature("trend").compute(bars, {})["state"]
    for value, colour, label in ((1.0, GREEN, "state 1"), (-1.0, RED, "state -1")):
        axes.fill_between(
            np.arange(first, state.size), 0, 1, where=state[first:] == value, step="mid", color=colour, alpha=0.15,
            transform=axes.get_xaxis_transform(), linewidth=0, label=label,
        )  # fmt: skip


def draw_breaks(axes: Axes, bars: Columns, first: int) -> None:
    """Draw arrows at breaking bars, and the broken levels."""
    columns = get_feature("breaks").compute(bars, {})
    swings = get_feature("swings").compute(bars, {})
    steps(axes, swings["last_high"], first, GREY, "last swing high and low", ":")
    steps(axes, swings["last_low"], first, GREY, "", ":")
    for name, colour in (("bos", BLUE), ("choch", RED)):
        labelled = name
        for way, marker in ((1.0, "^"), (-1.0, "v")):
            at = np.flatnonzero(columns[name] == way)
            at = at[at >= first]
            y = bars["low"][at] * 0.985 if way > 0 else bars["high"][at] * 1.015
            axes.scatter(at, y, marker=marker, color=colour, s=45, label=labelled, zorder=3)
            labelled = ""


def draw_zones(axes: Axes, bars: Columns, first: int) -> None:
    """Draw support and resistance, with a line width of the number of touches."""
    columns = get_feature("zones").compute(bars, {"lookback": 55, "tolerance": 1.0})
    x = np.arange(first, bars["close"].size)
    for name, colour in (("support", BLUE), ("resistance", RED)):
        level, touches = columns[name][first:], columns[f"{name}_touches"][first:]
        for count in np.unique(touches[~np.isnan(touches)]):
            shown = np.where(touches == count, level, np.nan)
            axes.step(x, shown, where="mid", color=colour, linewidth=count, label=f"{name}, {count:.0f} touches")


def draw_fibonacci(axes: Axes, bars: Columns, first: int) -> None:
    """Draw the levels of the leg known at each bar."""
    columns = get_feature("fibonacci").compute(bars, {"left": 5, "right": 3})
    levels = [name for name in columns if name.startswith("level_")]
    for name, colour in zip(levels, mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(levels))), strict=True):
        steps(axes, columns[name], first, colour, name)


def draw_range(axes: Axes, bars: Columns, first: int) -> None:
    """Draw high, low and middle of the 20 previous bars."""
    columns = get_feature("range").compute(bars, {})
    for name, colour in (("high", RED), ("middle", GREY), ("low", BLUE)):
        steps(axes, columns[name], first, colour, name)


PICTURES: dict[str, Callable[[Axes, Columns, int], None]] = {
    "swings": draw_swings,
    "trend": draw_trend,
    "breaks": draw_breaks,
    "zones": draw_zones,
    "fibonacci": draw_fibonacci,
    "range": draw_range,
}


def main(folder: Path) -> None:
    """Write one SVG per structure into ``folder``."""
    bars, dates = load_bars()
    ticks = [at for at in range(LEAD, LEAD + SHOWN) if dates[at].month != dates[at - 1].month]
    for name, draw in PICTURES.items():
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        axes = figure.subplots()
        candles(axes, bars, LEAD)
        draw(axes, bars, LEAD)
        axes.set_xlim(LEAD - 1, LEAD + SHOWN)
        axes.set_xticks(ticks, [dates[at].strftime("%b %Y") for at in ticks])
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        axes.set_title(f"{name}: S&P 500, daily", loc="left", fontsize=9)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    with mpl.rc_context({"svg.hashsalt": "forge", "svg.fonttype": "none", "font.size": 9}):
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
