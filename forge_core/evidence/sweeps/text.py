"""Luck of a sweep in a few lines for a person: the luck test first, then the luck line."""

import pandas as pd

from forge_core.evidence.sweeps.luck_line import sets_tried, sweep_luck_line_text
from forge_core.evidence.sweeps.luck_test import SweepLuck, read_sweep_luck
from forge_core.plotting.png import histogram_png
from forge_core.sweeps.plan import SweepPlan


def sweep_luck_text(plan: SweepPlan, ranking: pd.DataFrame) -> str | None:
    """Return the luck test of a sweep, or how to run it, and its luck line; None for a single parameter set."""
    line = sweep_luck_line_text(plan, ranking, sets_tried(plan))
    if line is None:
        return None
    found = read_sweep_luck(plan)
    return f"{line}\nis it luck? `forge sweep luck {plan.spec.name}`" if found is None else f"{found.sentence}\n{line}"


def sweep_luck_picture(luck: SweepLuck) -> bytes | None:
    """Draw the best Sharpe ratios of the mirrored sweeps, and that of the sweep; None without any."""
    scores = [score for score in luck.scores if score is not None]
    if not scores:
        return None
    return histogram_png(
        scores,
        marks={luck.best: luck.sharpe},
        title=f"{luck.sweep}: the same sweep in markets without memory",
        xlabel="Sharpe ratio of the best parameter set",
    )
