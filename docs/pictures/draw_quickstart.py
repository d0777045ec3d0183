"""Picture of a finished study for the README: its Pareto front, and the champion's equity compared with holding.

Run ``python docs/pictures/draw_quickstart.py [study] [file]`` after ``make evolve``.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forge_core.engine.backtest import backtest
from forge_core.evolution.steps import load_study, read_front
from forge_core.files import read_json
from forge_core.paths import Home

BLUE, RED, GREY, GREEN = "#1f5fa8", "#b8322a", "#7a7a7a", "#2c7a3f"


def draw_front(axes: Axes, study: str) -> None:
    """Draw the Plays of the front by the first two objectives, with the champion marked."""
    front = read_front(study)
    champion = read_json(Home.current().study(study) / "champion.json")["play"]
    first, second = list(front.columns)[1:3]
    axes.plot(front[second], front[first], "o", color=BLUE, markersize=5)
    chosen = front[front["play"] == champion]
    axes.plot(chosen[second], chosen[first], "*", color=RED, markersize=15, label="champion (knee)")
    axes.set(xlabel=second.replace("_", " "), ylabel=first, title=f"Pareto front of {study}, train regimes")
    axes.legend(frameon=False)


def draw_equity(axes: Axes, study: str) -> None:
    """Draw the champion's equity on each dataset, after costs, starting at 1; holding the index is dotted."""
    spec = load_study(study)
    play = Home.current().study(study) / "champion.yaml"
    for name, color in zip([*spec.train, *spec.holdout], (BLUE, GREEN, GREY, RED), strict=False):
        result = backtest(play, name)
        equity = result.equity / result.cash
        held = result.feed.close[result.feed.start :] / result.feed.close[result.feed.start]
        kind = "holdout" if name in spec.holdout else "train"
        axes.plot(equity.index, equity, color=color, linewidth=1.4, label=f"{name} ({kind})")
        axes.plot(equity.index, np.asarray(held), color=color, linewidth=0.9, linestyle=":")
    axes.set(title="Champion after costs; dotted: buy and hold", ylabel="equity, start = 1")
    axes.legend(frameon=False, fontsize=8)


def main(study: str = "quickstart", target: str = str(Path(__file__).parent / "quickstart.png")) -> None:
    """Draw front and equity into one PNG."""
    figure = Figure(figsize=(11, 3.8), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    draw_front(left, study)
    draw_equity(right, study)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
