"""Luck line of a mass test: the Sharpe ratio that the best of all parameter sets ever tried has by luck."""

import math

import numpy as np
import pandas as pd

from forge_core.evidence.statistics.sharpe import luck_line
from forge_core.files import read_table
from forge_core.market.reference.instruments import get_instrument
from forge_core.sweeps.plan import SweepPlan, Task
from forge_core.sweeps.results import ResultFiles

_TERMS = ("test", "instrument", "costs", "cash", "adjust", "roll_mode", "policy", "fills")


def sets_tried(plan: SweepPlan) -> int:
    """Return how many parameter sets were tried on the bars of a sweep, by any sweep.

    A set with other costs, cash or fill policy counts as another one. Of several symbols and intervals the one with the
    most counts, because a row of the ranking pools them.
    """
    tried = max((_tried(plan, task) for task in plan.tasks), default=0)
    return max(tried, len(plan.spec.variants))


def _tried(plan: SweepPlan, task: Task) -> int:
    months = {cell.data for cell in task.cells}
    frames = []
    for path in ResultFiles(plan.home, "results", task.symbol, task.interval).files():
        table = read_table(path, columns=["data", "error", *_TERMS])
        frame = table.to_pandas()
        frame = frame[frame["data"].isin(months) & frame["error"].isna()]
        frames.append(frame[list(_TERMS)].astype(str).drop_duplicates())
    return len(pd.concat(frames).drop_duplicates()) if frames else 0


def sweep_luck_line(plan: SweepPlan, ranking: pd.DataFrame, sets: int) -> float | None:
    """Return the Sharpe ratio a year that the best of ``sets`` parameter sets has by luck over the days of the
    ranking's best row; None for an empty ranking or fewer than two sets.

    All sets count, also those that a filter of the ranking leaves out: they were tried on the same bars. Returns of
    several symbols or intervals over the same days are not independent, so the line is too low for them.
    """
    if ranking.empty or sets < 2:
        return None
    days = int(ranking["days"].iloc[0])
    a_year = np.mean([get_instrument(symbol).annualization for symbol in plan.spec.symbols])
    return luck_line(sets, days) * math.sqrt(a_year)


def sweep_luck_line_text(plan: SweepPlan, ranking: pd.DataFrame, sets: int) -> str | None:
    """Return the line and the best row's Sharpe ratio as a sentence."""
    line = sweep_luck_line(plan, ranking, sets)
    if line is None:
        return None
    best = float(ranking["sharpe"].max())
    side = "above" if best > line else "below"
    return (
        f"luck line: the best of {sets:,} parameter sets has a Sharpe ratio of {line:.2f} over "
        f"{int(ranking['days'].iloc[0]):,} days by luck alone; the highest here, {best:.2f}, lies {side} it"
    )
