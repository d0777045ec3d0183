"""Luck line of a mass test: what the best of all its parameter sets has by luck."""

import math

import numpy as np
import pandas as pd

from forge_core.evidence.statistics.sharpe import luck_line
from forge_core.market.reference.instruments import get_instrument
from forge_core.sweeps.plan import SweepPlan


def sweep_luck_line(plan: SweepPlan, ranking: pd.DataFrame) -> float | None:
    """Return the Sharpe ratio a year that the best of the sweep's parameter sets has by luck over the days of the
    ranking's best row; None for an empty ranking or fewer than two sets.

    All sets count, also those that a filter of the ranking leaves out: they were tried on the same bars. Returns of
    several symbols or intervals over the same days are not independent, so the line is too low for them.
    """
    sets = len(plan.spec.variants)
    if ranking.empty or sets < 2:
        return None
    days = int(ranking["days"].iloc[0])
    a_year = np.mean([get_instrument(symbol).annualization for symbol in plan.spec.symbols])
    return luck_line(sets, days) * math.sqrt(a_year)


def sweep_luck_text(plan: SweepPlan, ranking: pd.DataFrame) -> str | None:
    """Return the line as a sentence beside the best row's Sharpe ratio."""
    line = sweep_luck_line(plan, ranking)
    if line is None:
        return None
    best = float(ranking["sharpe"].max())
    side = "above" if best > line else "below"
    return (
        f"luck line: the best of {len(plan.spec.variants):,} parameter sets has a Sharpe ratio of {line:.2f} over "
        f"{int(ranking['days'].iloc[0]):,} days by luck alone; the highest here, {best:.2f}, lies {side} it"
    )
