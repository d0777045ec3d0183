"""Comparison of two engines' trades and metrics."""

from typing import Any

import numpy as np

from benchmarks.engines import Trades

_FIELDS = ("entry_time", "exit_time", "side", "entry_price", "exit_price")


def compare_trades(ours: Trades, theirs: Trades) -> dict[str, Any]:
    """Compare trades to the last bit: entry and exit times and prices, and sides.

    Trades are matched by entry time and side. The result holds the number of trades of each engine, the number that
    only one engine has, the number of matched trades that differ by field, and whether all are equal.
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
    """Return the shared metric with the largest relative difference, and that difference."""
    shared = [name for name in ours if name in theirs and np.isfinite(theirs[name])]
    differences = {name: abs(ours[name] - theirs[name]) / max(abs(ours[name]), 1e-12) for name in shared}
    worst = max(differences, key=lambda name: differences[name])
    return worst, differences[worst]


def _by_entry(trades: Trades) -> dict[tuple[float, float], tuple[float, ...]]:
    rows = zip(*(trades[field] for field in _FIELDS), strict=True)
    return {(row[0], row[2]): row for row in rows}
