"""Speed-up by worker processes: the parts of an evaluation measured here, and a prediction for more cores.

Measured on one island of level 5 without the time of starting: processor time of an evaluation in a worker, of the
island's main thread (the serial share), of the threads that write, and of merging a generation. The prediction runs the
schedule with these durations: workers take the next Play as soon as they are free, a generation waits for its last
Play, and merging and writing happen meanwhile. It knows nothing of memory bandwidth and clock rates, which fall as
more cores are busy.
"""

import heapq
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.tables import number, show
from benchmarks.workspace import TIMEFRAME, Workspace, benchmark_bars
from forge_core.evolution.run.island import IslandReport
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.search.assessment import play_document
from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.steps import merge_epoch, plan_study, run_island
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash

CORES = (1, 2, 4, 8, 14, 16, 32, 64)
POPULATION, GENERATIONS, ISLANDS = 150, 50, 2  # of the study that is predicted
LUCK, WINDOWS = 19, 5  # searches of the default evidence
_SHORT, _LONG = 4, 12  # generations of the two runs whose difference is measured


@dataclass(frozen=True)
class Parts:
    """Processor seconds: each sampled evaluation, and the other parts by evaluation or by generation."""

    evaluations: list[float]
    serial_per_evaluation: float
    writing_per_evaluation: float
    merging_per_generation: float


def run(options: Options) -> dict[str, Any]:
    """Measure, print the tables, and return the content of scaling.json."""
    result: dict[str, Any] = {"machine": machine()}
    print(describe(result["machine"]))
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        workspace = Workspace(benchmark_bars(options.length), Path(folder))
        print(workspace.bars.label + "\n")
        dataset = workspace.dataset("1h", "4h")
        with workspace.active():
            parts, walls = _measure(Home(Path(workspace.environment["FORGE_HOME"])), dataset.name)
    rng = np.random.default_rng(1)
    sampled = np.array(parts.evaluations)
    predicted = {cores: predict(sampled, parts, cores, rng) for cores in CORES}
    result |= {"data": workspace.bars.label, "parts": asdict(parts) | {"evaluations": len(sampled)}}
    result |= {"mean_evaluation_ms": 1e3 * float(sampled.mean()), "wall_per_evaluation_ms": walls}
    result["predicted"] = {str(cores): speedups for cores, speedups in predicted.items()}
    _show(parts, sampled, walls, predicted)
    return result


def _measure(home: Home, dataset: str) -> tuple[Parts, dict[str, float]]:
    """Return the parts, and the wall milliseconds of an evaluation with one worker and with two."""
    _islands(home, dataset, "warm", _LONG, workers=1)  # computes the columns
    plan = StudyPlan.open("warm", home)
    evaluator = plan.evaluator(plan.spec.train)
    seconds = []
    survivors = plan.tables.survivors(plan.tables.read(plan.folder.island_table(0, _LONG)))
    children = plan.algorithm.asker(survivors, 1)(300)
    for genes in children:
        begun = time.thread_time()
        play = plan.genome.decode(genes)
        play_hash(play)
        evaluator.evaluate(play)
        play_document(play)
        seconds.append(time.thread_time() - begun)
    short, long = (_islands(home, dataset, f"two_{n}", n, workers=2) for n in (_SHORT, _LONG))
    more = sum(r.evaluations for r in long) - sum(r.evaluations for r in short)

    def per_evaluation(part: str) -> float:
        return float(sum(getattr(r, part) for r in long) - sum(getattr(r, part) for r in short)) / more

    serial = per_evaluation("serial_cpu_seconds")
    writing = per_evaluation("cpu_seconds") - per_evaluation("workers_cpu_seconds") - serial
    begun = time.process_time()
    merge_epoch(StudyPlan.open(f"two_{_LONG}", home).document(), 1)
    merging = (time.process_time() - begun) / _LONG
    one = _islands(home, dataset, "one", _LONG, workers=1)
    walls = {"1": _wall(one), "2": _wall(long)}
    return Parts(seconds, serial, writing, merging), walls


def _wall(reports: Sequence[IslandReport]) -> float:
    return 1e3 * sum(r.seconds["backtest"] for r in reports) / sum(r.evaluations for r in reports)


def _islands(home: Home, dataset: str, name: str, generations: int, *, workers: int) -> list[IslandReport]:
    """Evolve both islands of a study, one after the other."""
    study = {
        "name": name,
        "train": [dataset],
        "timeframe": TIMEFRAME,
        "space": {"level": 5},
        "objectives": "risk_adjusted",
        "constraints": {"min_trades": 100},
        "population": POPULATION,
        "generations": generations,
        "epochs": 1,
        "islands": ISLANDS,
    }
    plan = plan_study(StudySpec.model_validate(study), home)
    return [run_island(plan, island, 1, workers=workers) for island in range(ISLANDS)]


def makespan(durations: Sequence[float] | NDArray[np.float64], workers: int) -> float:
    """Return how long ``workers`` take for tasks in their order, each taken by the first that is free."""
    free = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def generation_seconds(
    sampled: NDArray[np.float64], parts: Parts, size: int, workers: int, rng: np.random.Generator
) -> float:
    """Return the time of one generation of an island with ``workers``; with one, all but writing is in one process."""
    drawn = rng.choice(sampled, size)
    serial = size * parts.serial_per_evaluation
    threads = min(max(workers // 2, 1), 4)
    writing = size * parts.writing_per_evaluation / threads
    if workers == 1:
        return float(drawn.sum()) + serial + max(writing, parts.merging_per_generation)
    return serial + max(makespan(drawn, workers), writing, parts.merging_per_generation)


def predict(sampled: NDArray[np.float64], parts: Parts, cores: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the speed-ups of ``cores`` workers against one: a study, luck searches, walk-forward windows."""
    size = POPULATION // ISLANDS

    def study(workers: int) -> float:
        each = max(1, workers // min(workers, ISLANDS))
        rounds = -(-ISLANDS // min(workers, ISLANDS))
        return rounds * sum(generation_seconds(sampled, parts, size, each, rng) for _ in range(GENERATIONS))

    search = POPULATION * GENERATIONS * (float(sampled.mean()) + parts.serial_per_evaluation)
    # a window's search has the bars up to it: a sixth of them, two sixths, ...; the longest are taken first
    windows = [search * k / (WINDOWS + 1) for k in range(WINDOWS, 0, -1) for _ in range(2)]
    return {
        "study": study(1) / study(cores),
        "luck": LUCK * search / makespan([search] * LUCK, cores),
        "windows": sum(windows) / makespan(windows, cores),
        "evidence": (LUCK * search + sum(windows)) / makespan([search] * LUCK + windows, cores),
    }


def _show(
    parts: Parts,
    sampled: NDArray[np.float64],
    walls: dict[str, float],
    predicted: dict[int, dict[str, float]],
) -> None:
    rows = [
        ("evaluation in a worker: decoding, hash, backtest, JSON", number(1e3 * float(sampled.mean()))),
        ("main thread of the island, an evaluation", number(1e3 * parts.serial_per_evaluation)),
        ("writing threads, an evaluation", number(1e3 * parts.writing_per_evaluation)),
        ("merging, a generation", number(1e3 * parts.merging_per_generation)),
        ("wall time of an evaluation, one worker", number(walls["1"])),
        ("wall time of an evaluation, two workers", number(walls["2"])),
        ("ratio of the two", number(walls["1"] / walls["2"])),
    ]
    show("Level 5: processor time, ms", ("", "ms"), rows)
    show(
        f"Predicted speed-up against one worker: {POPULATION} Plays, {GENERATIONS} generations, {ISLANDS} islands",
        ("workers", "study", f"{LUCK} luck searches", f"{WINDOWS} windows, 2 searches each", "all evidence"),
        [
            (str(cores), *(f"{speedups[name]:.1f}" for name in ("study", "luck", "windows", "evidence")))
            for cores, speedups in predicted.items()
        ],
    )
