"""Whether two engines made the same trades: computed, and what differs is named and counted."""

from typing import Any

import numpy as np

from benchmarks.contestants import Trades

_FIELDS = ("entry_time", "exit_time", "side", "entry_price", "exit_price")


def compare_trades(ours: Trades, theirs: Trades) -> dict[str, Any]:
    """Compare trades to the last bit: entry and exit times and prices, and sides.

    Trades belong together that were entered at the same time on the same side. The result says how many each engine
    has, how many only one has, in how many each field differs, and whether there is no difference at all.
    """
    left, right = _by_entry(ours), _by_entry(theirs)
    shared = left.keys() & right.keys()
    differing = {
        field: sum(left[key][place] != right[key][place] for key in shared) for place, field in enumerate(_FIELDS)
    }
    result: dict[str, Any] = {
        "trades": len(ours["side"]),
        "their_trades": len(theirs["side"]),
        "only_forge": len(left.keys() - right.keys()),
        "only_theirs": len(right.keys() - left.keys()),
        "differing": {field: count for field, count in differing.items() if count},
    }
    result["equal"] = (
        result["trades"] == result["their_trades"] == len(shared) and not result["differing"] and len(shared) > 0
    )
    return result


def largest_difference(ours: dict[str, float], theirs: dict[str, float]) -> tuple[str, float]:
    """Return the metric both have that differs most, and by how much of its own size."""
    shared = [name for name in ours if name in theirs and np.isfinite(theirs[name])]
    differences = {name: abs(ours[name] - theirs[name]) / max(abs(ours[name]), 1e-12) for name in shared}
    worst = max(differences, key=lambda name: differences[name])
    return worst, differences[worst]


def _by_entry(trades: Trades) -> dict[tuple[float, float], tuple[float, ...]]:
    rows = zip(*(trades[field] for field in _FIELDS), strict=True)
    return {(row[0], row[2]): row for row in rows}
