"""Forward test in a few lines for a person, and its picture."""

import pandas as pd

from forge_core.evidence.following.champion_forward import DAYS, forward_folder
from forge_core.evidence.following.document import Forward
from forge_core.files import read_table
from forge_core.paths import Home
from forge_core.plotting.png import equity_png


def forward_lines(forward: Forward) -> list[str]:
    """Return the sentence, and what it rests on."""
    lines = [forward.sentence, f"  after {forward.after}, on {' and '.join(forward.symbols)}"]
    if forward.days:
        lines[1] += f": {forward.trades} trades, Sharpe ratio {forward.sharpe:.2f}, evaluation {forward.evaluation}"
    if forward.log_e is not None:
        lines.append(f"  e-process: {forward.log_e:+.2f} (earns as promised from +3.00, dead from -3.00)")
    return lines


def forward_picture(forward: Forward, home: Home) -> bytes | None:
    """Draw the champion's growth on new days and the cone it was expected in; None without days."""
    if not forward.days:
        return None
    days = read_table(forward_folder(forward.study, home) / DAYS).to_pandas()
    days.index = pd.DatetimeIndex(pd.to_datetime(days["date"]), tz="UTC")
    curves = {"champion": days["growth"]}
    if forward.expected is not None:
        curves |= {"expected": days["median"], "5 % below": days["low"], "5 % above": days["high"]}
    return equity_png(curves, title=f"{forward.study}: days after everything the study saw", ylabel="growth of 1")
