"""Engines of the comparison: names, labels, jobs and agreement of their trades."""

from importlib.util import find_spec
from typing import Any

from benchmarks.agreement import compare_trades, largest_difference
from benchmarks.job import Job
from benchmarks.worker_pool import WorkerPool
from benchmarks.workspace import Dataset

_REQUIRED = ("vectorbt", "vectorbt_rust", "backtesting")
_PEERS = ("vectorbt_rust", "vectorbt_numba", "raptorbt", "backtesting_py")
LABELS = {
    "forge": "Forge, bitmaps of the rules cached",
    "vectorbt_rust": "vectorbt, Rust engine",
    "vectorbt_numba": "vectorbt, numba engine",
    "raptorbt": "raptorbt, one run per side",
    "backtesting_py": "backtesting.py",
    "floor": "floor: one numba pass over open, high, low, close",
    "floor_columns": "floor that reads the Play's columns as well",
    "forge_new_play": "Forge, a Play not run before, no rule cached",
    "forge_stops": "Forge, with stop, target, trailing stop and its own costs",
    "vectorbt_rust_report": "vectorbt, Rust engine, its own stats()",
    "vectorbt_rust_trades": "vectorbt, Rust engine, no metrics",
}
HEADERS = {
    "forge": "Forge",
    "vectorbt_rust": "vbt Rust",
    "vectorbt_numba": "vbt numba",
    "raptorbt": "raptorbt",
    "backtesting_py": "bt.py",
    "floor": "floor",
}


def installed_peers() -> tuple[str, ...]:
    """Return the peers to compare with; raises SystemExit if one of the extra ``bench`` is missing.

    raptorbt is optional, since it has no wheel for every Python version.
    """
    missing = [module for module in _REQUIRED if find_spec(module) is None]
    if missing:
        raise SystemExit(f"{missing[0]} is not installed; install the peers: python -m pip install -e '.[bench]'")
    return tuple(name for name in _PEERS if name != "raptorbt" or find_spec("raptorbt") is not None)


def make_job(engine: str, dataset: Dataset, play: str, **other: Any) -> Job:
    """Return a job of ``engine`` on a dataset."""
    return Job(engine=engine, dataset=dataset.name, version=dataset.version, play=play, **other)


def compare_engines(pool: WorkerPool, peers: tuple[str, ...]) -> dict[str, Any]:
    """Compare the trades and metrics of Forge's prepared job with those of each peer."""
    trades = pool["forge"].call("trades", name="forge")
    figures = pool["forge"].call("figures", name="forge")
    agreement: dict[str, Any] = {}
    for name in peers:
        found = compare_trades(trades, pool[name].call("trades", name=name))
        metric, difference = largest_difference(figures, pool[name].call("figures", name=name))
        still_open = figures["total_trades"] - found["trades"]
        agreement[name] = found | {"open_at_end": still_open, "metric_differing_most": metric, "by_share": difference}
    return agreement


def print_agreement(agreement: dict[str, Any]) -> None:
    """Print one verdict per peer."""
    for name, found in agreement.items():
        if found["equal"]:
            verdict = f"the same {found['trades']:,} trades: times, sides and prices equal to the last bit"
        else:
            verdict = (
                f"{found['their_trades']:,} trades, Forge {found['trades']:,}; only Forge {found['only_forge']:,}, "
                f"only peer {found['only_theirs']:,}, differing {found['differing']}"
            )
        if found["open_at_end"]:
            verdict += "; the trade open at the last bar, which Forge closes there, is excluded and changes metrics"
        print(f"{LABELS[name]}: {verdict}")
        print(
            f"    largest relative difference of a metric: {found['by_share']:.1e} ({found['metric_differing_most']})"
        )
    print()
