"""Fail if the engine is 25 % slower than the committed baseline, as a ratio to the floor.

``python -m benchmarks.check`` measures Forge and the floor, interleaved, on SIM bars; it needs no extras. The ratio
cancels the speed of the machine but not the model of its processor, so baselines are kept per processor. ``--record``
writes one.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import history, plays
from benchmarks.comparison import LABELS, make_job
from benchmarks.machine import machine
from benchmarks.worker_pool import WorkerPool
from benchmarks.workspace import REAL_LENGTH, Workspace, benchmark_bars

_ATTEMPTS = 5  # further rounds are measured only while a row is too slow: noise goes away, a slower engine does not
_ROUNDS, _SECONDS = 20, 0.05


def main() -> int:
    """Measure, print the ratios, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write the measured ratios to the baseline")
    record = parser.parse_args().record
    processor = str(machine()["processor"])
    baseline = None if record else history.read_baseline(processor)
    ratios = _measure(baseline, attempts=_ATTEMPTS)
    for row, ratio in ratios.items():
        known = f", baseline {baseline[row]:.2f}" if baseline else ""
        print(f"{LABELS[row]}: {ratio:.2f} times the floor{known}")
    if record:
        history.record_baseline(processor, ratios)
        print(f"recorded for {processor!r}: {history.BASELINE}")
    elif baseline is None:
        print(f"no baseline for {processor!r}; record one with: python -m benchmarks.check --record")
    elif slower := history.slower_rows(baseline, ratios):
        print("the engine is slower than its baseline:", *slower, sep="\n  ")
        return 1
    return 0


def _measure(baseline: dict[str, float] | None, attempts: int) -> dict[str, float]:
    """Return ratios of the fastest runs, over as many attempts as the baseline requires (all without one)."""
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        workspace = Workspace(benchmark_bars(REAL_LENGTH), Path(folder))
        dataset = workspace.dataset("1h")
        forge = make_job("forge", dataset, plays.level_5())
        jobs = {
            "forge": forge,
            "forge_new_play": replace(forge, new_play=True),
            "forge_stops": replace(forge, play=plays.level_5_with_stops(), commission_bps=None),
            "floor": make_job("floor", dataset, plays.level_5()),
        }
        with WorkerPool(workspace.environment) as pool:
            pool.prepare(jobs)
            for _ in range(attempts):
                for name, timing in pool.time(jobs, rounds=_ROUNDS, seconds=_SECONDS).items():
                    best[name] = min(timing.best, best.get(name, timing.best))
                ratios = history.ratios_to_floor(best)
                if baseline is not None and not history.slower_rows(baseline, ratios):
                    break
    return ratios


if __name__ == "__main__":
    sys.exit(main())
