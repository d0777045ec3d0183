"""A complete mass test as a job, a second run with nothing to do, and the same tests in one process."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.tables import number, show
from forge_core.market.futures.roll_dates import import_roll_dates
from forge_core.market.importing.importer import import_files
from forge_core.paths import Home

_ROOT = Path(__file__).resolve().parents[2]
_REAL = _ROOT / ".." / "shared" / "data"
_SWITCHES = _REAL / "raw_formats" / "contract_switch_dates.yaml"
_MODULE = "forge_pipelines.definitions"
_SAMPLE_SECONDS = 0.2  # interval of memory samples

_IN_PROCESS = """
import json, logging, resource, sys, time
from forge_core.sweeps.steps import load_sweep, run_sweep
logging.disable()
spec, workers = load_sweep(sys.argv[1]), int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
report = run_sweep(spec, workers=workers)
seconds = time.perf_counter() - began
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"tests": report["run"], "wall_s": seconds, "peak_mb": after / 1024, "imported_mb": before / 1024}))
"""


def run(options: Options) -> dict[str, Any]:
    """Measure, print the table, and return the content of mass_test.json."""
    result: dict[str, Any] = {"machine": machine()}
    print(describe(result["machine"]))
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        workspace = _Workspace(Path(folder))
        print(workspace.label + "\n")
        first, again = workspace.command(), workspace.command()
        one, two = workspace.in_process(workers=1), workspace.in_process(workers=2)
    result |= {
        "data": workspace.label,
        "tests": first.tests,
        "wall_s": round(first.wall_s, 2),
        "tests_per_s": round(first.tests / first.wall_s, 1),
        "rerun_s": round(again.wall_s, 2),
        "peak_mb": round(first.peak_mb, 1),
        "in_process": {name: _rounded(figures) for name, figures in (("1", one), ("2", two))},
    }
    result["machine"]["load_at_end"] = machine()["load"]
    _show(result)
    return result


class _Ran(NamedTuple):
    tests: int
    wall_s: float
    peak_mb: float


class _Workspace:
    """A temporary home with bars and a Dagster instance."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        files = sorted(file for symbol in ("ZS", "GC", "CL") for file in _REAL.glob(f"{symbol}_*.parquet"))
        if files:
            import_files(files, home=self.home)
            import_roll_dates(_SWITCHES, trade_dates=True, home=self.home)
            self.sweep, self.label = "mass_test_futures", f"real bars of ZS, GC and CL, {len(files)} series"
        else:
            self.sweep, self.label = "mass_test", "real daily bars of SP500 and NASDAQ, the sample"
        (folder / "dagster").mkdir()
        (folder / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.environment = os.environ | {
            "FORGE_HOME": str(self.home.root),
            "DAGSTER_HOME": str(folder / "dagster"),
            "FORGE_SWEEP": self.sweep,
        }
        # compile first, as `make setup` does: set-up is not measured
        subprocess.run(
            [sys.executable, "-m", "forge_pipelines.lib.preload"], cwd=_ROOT, env=self.environment, check=True
        )

    def command(self) -> _Ran:
        """Run the job as a command and sample the memory of its processes."""
        dagster = Path(sys.executable).parent / "dagster"
        began = time.perf_counter()
        process = subprocess.Popen(
            [dagster, "job", "execute", "-m", _MODULE, "-j", "mass_test"],
            cwd=_ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        peaks = [0.0]
        watch = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peaks))
        watch.start()
        output = process.communicate()[0]
        wall = time.perf_counter() - began
        watch.join()
        if process.returncode:
            raise RuntimeError(f"the job failed:\n{output}")
        said = next(line for line in output.splitlines() if f"sweep {self.sweep}: " in line and " failed" in line)
        return _Ran(int(said.split(": ")[-1].split()[0].replace(",", "")), wall, max(peaks))

    def in_process(self, workers: int) -> dict[str, float]:
        """Delete all results and run the sweep in one process."""
        shutil.rmtree(self.home.mass_tests)
        command = [sys.executable, "-c", _IN_PROCESS, self.sweep, str(workers)]
        done = subprocess.run(command, cwd=_ROOT, env=self.environment, check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))


def _watch(process: psutil.Process, peaks: list[float]) -> None:
    """Sample the memory of a process and its descendants (shared pages counted once), MB, until it ends."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        total = 0.0
        try:
            for one in (process, *process.children(recursive=True)):
                memory = one.memory_full_info()
                total += getattr(memory, "pss", memory.uss) / 2**20
        except psutil.Error:
            pass
        peaks.append(total)
        time.sleep(_SAMPLE_SECONDS)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    rounded = {name: round(value, 2) for name, value in figures.items()}
    return rounded | {"tests_per_s": round(figures["tests"] / figures["wall_s"], 1)}


def _show(result: dict[str, Any]) -> None:
    def row(label: str, found: dict[str, Any]) -> tuple[str, ...]:
        return label, f"{found['tests']:,}", *(number(found[name]) for name in ("wall_s", "tests_per_s", "peak_mb"))

    rows = [row("dagster job execute -j mass_test", result)]
    rows += [row(f"in one process, {n} at a time", found) for n, found in result["in_process"].items()]
    note = f"second run with nothing to do: {number(result['rerun_s'])} s; memory: all processes, interpreters included"
    show("Mass test, no results stored", ("", "tests", "seconds", "tests a second", "peak MB"), rows, note)
