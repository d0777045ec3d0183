"""Complete ``evolve`` runs of level 5: cold bank, warm bank, one worker and two."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.tables import number, show
from benchmarks.workspace import TIMEFRAME, Bars, benchmark_bars
from forge_core.evolution.run.island import IslandReport
from forge_core.files import read_json
from forge_core.market.store.bar_store import BarStore

_ROOT = Path(__file__).resolve().parents[2]
_MODULE = "forge_pipelines.definitions"
_DATASET = "BTCUSDT_FULL_CYCLE"
_POPULATION, _GENERATIONS = 200, 50


def run(options: Options) -> dict[str, Any]:
    """Measure, print the table, and return the content of evolution.json."""
    generations = _GENERATIONS if options.cold else 5
    result: dict[str, Any] = {"machine": machine()}
    print(describe(result["machine"]))
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        workspace = _Workspace(benchmark_bars(options.length), Path(folder))
        print(workspace.label + "\n")
        workspace.evolve("ready", generations=1)  # builds the dataset and compiles: set-up is not measured
        shutil.rmtree(workspace.home / "features")
        cold = workspace.evolve("cold", generations=generations)
        warm = workspace.evolve("warm", generations=generations)
        one = workspace.evolve("one_worker", generations=max(generations // 5, 2), workers=1)
        two = workspace.evolve("two_workers", generations=max(generations // 5, 2), workers=2)
        result |= {"data": workspace.label, "population": _POPULATION, "generations": generations}
    result |= cold.figures() | {"speedup_two_islands": round(one.evolving_s / two.evolving_s, 2)}
    result["warm"] = warm.figures()
    result["machine"]["load_at_end"] = machine()["load"]
    _show(cold, warm, result["speedup_two_islands"])
    return result


@dataclass(frozen=True)
class Evolved:
    """One run: wall time and the islands' reports by epoch."""

    wall_s: float
    reports: list[list[IslandReport]]

    @property
    def all_reports(self) -> list[IslandReport]:
        """The reports of all epochs."""
        return [report for epoch in self.reports for report in epoch]

    @property
    def evaluations(self) -> int:
        """Number of backtested Plays."""
        return sum(report.evaluations for report in self.all_reports)

    @property
    def evolving_s(self) -> float:
        """Wall time of the islands' work, summed over epochs."""
        seconds = 0.0
        for epoch in self.reports:
            spans = [(r.began, r.began + r.seconds["total"]) for r in epoch]
            seconds += max(end for _, end in spans) - min(begin for begin, _ in spans)
        return seconds

    def figures(self) -> dict[str, Any]:
        """Return the figures of the run: seconds by part summed over islands, memory of the largest worker."""
        parts = {part: sum(r.seconds[part] for r in self.all_reports) for part in self.all_reports[0].seconds}
        own = max(r.memory_mb["own"] for r in self.all_reports)
        growth = max(r.memory_mb["own"] - r.memory_mb_after_first_generation["own"] for r in self.all_reports)
        return {
            "evaluations": self.evaluations,
            "wall_s": round(self.wall_s, 2),
            "island_cpu_s": round(sum(r.cpu_seconds for r in self.all_reports), 2),
            "setup_s": round(self.wall_s - self.evolving_s, 2),
            "evolving_s": round(self.evolving_s, 2),
            "backtest_s": round(parts["backtest"], 2),
            "ask_tell_s": round(parts["ask"] + parts["select"], 2),
            "evaluations_per_s": round(self.evaluations / self.evolving_s, 1),
            "island_cpu_ms_per_evaluation": round(
                1e3 * sum(r.cpu_seconds for r in self.all_reports) / self.evaluations, 3
            ),
            "worker_peak_mb": round(own, 1),
            "worker_growth_mb": round(growth, 1),
            "worker_mapped_mb": round(max(r.memory_mb["mapped"] for r in self.all_reports), 1),
        }


class _Workspace:
    """A temporary project, home and Dagster instance with stored bars."""

    def __init__(self, bars: Bars, folder: Path) -> None:
        self.label = bars.label
        self.project, self.home, self.dagster = (folder / name for name in ("project", "home", "dagster"))
        (self.project / "studies").mkdir(parents=True)
        self.dagster.mkdir()
        (self.dagster / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        instrument = {"kind": "spot", "tick": 0.01, "lot": 0.00001, "commission_bps": 10, "slippage_bps": 2}
        first, last = bars.frame.index[0], bars.frame.index[-1]
        dataset = {
            "symbol": bars.symbol,
            "start": first.isoformat(),
            "end": (last + (bars.frame.index[1] - first)).isoformat(),
            "timeframes": [TIMEFRAME, "1h", "4h"],
            "regime": "full_cycle",
        }
        (self.project / "datasets").mkdir()
        self._write("datasets/instruments.yaml", {"instruments": {bars.symbol: instrument | {"borrow_rate": 0.05}}})
        self._write("datasets/catalog.yaml", {"datasets": {_DATASET: dataset}})
        with BarStore(self.home / "forge.duckdb") as store:
            store.upsert(bars.symbol, TIMEFRAME, bars.frame, source=bars.label)

    def evolve(self, name: str, *, generations: int, workers: int = 2) -> Evolved:
        """Run the job ``evolve`` on a new study; raises RuntimeError with the output if it fails."""
        study = {
            "train": [_DATASET],
            "timeframe": TIMEFRAME,
            "space": {"level": 5},
            "objectives": "risk_adjusted",
            "constraints": {"min_trades": 100},
            "population": _POPULATION,
            "generations": generations,
            "epochs": min(2, generations),
            "seed": 1,
        }
        self._write(f"studies/{name}.yaml", study)
        environment = {
            **os.environ,
            "FORGE_PROJECT": str(self.project),
            "FORGE_HOME": str(self.home),
            "DAGSTER_HOME": str(self.dagster),
            "FORGE_STUDY": name,
            "FORGE_WORKERS": str(workers),
        }
        command = [str(Path(sys.executable).with_name("dagster")), "job", "execute", "-m", _MODULE, "-j", "evolve"]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"evolve failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return Evolved(wall, self._reports(name))

    def _reports(self, study: str) -> list[list[IslandReport]]:
        """Return the islands' reports by epoch, read from the step outputs."""
        epochs: dict[int, list[IslandReport]] = {}
        for path in self.dagster.rglob("result*"):
            reports = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
            for file in reports:
                report = read_json(file)
                if isinstance(report, dict) and report.get("study") == study and "generation_seconds" in report:
                    epochs.setdefault(report["epoch"], []).append(IslandReport.read(report))
        return [epochs[epoch] for epoch in sorted(epochs)]

    def _write(self, name: str, value: Any) -> None:
        (self.project / name).write_text(yaml.safe_dump(json.loads(json.dumps(value))), encoding="utf-8")


def _show(cold: Evolved, warm: Evolved, speedup: float) -> None:
    first, second = cold.figures(), warm.figures()
    names = {
        "evaluations": "evaluations (backtests of distinct Plays)",
        "wall_s": "wall time of the whole command, s",
        "island_cpu_s": "CPU time of both islands, s",
        "setup_s": "wall time outside the islands' work, s",
        "evolving_s": "wall time of the islands' work, s",
        "backtest_s": "backtests, s of both islands",
        "ask_tell_s": "ask and select, s of both islands",
        "evaluations_per_s": "evaluations a second of the islands' work",
        "island_cpu_ms_per_evaluation": "CPU ms an evaluation on an island",
        "worker_peak_mb": "a worker's own memory, MB",
        "worker_growth_mb": "growth since its first generation, MB",
        "worker_mapped_mb": "mapped pages that only it uses, MB",
    }
    rows = [(text, number(first[name]), number(second[name])) for name, text in names.items()]
    show("One evolve run of level 5 with two workers", ("", "bank cold", "bank warm"), rows)
    print(f"Speedup of the islands' work with two workers: {speedup}\n")
