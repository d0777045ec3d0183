"""Engine measurements beyond level 5 on the default bars: levels, cold starts, growth over bars."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import plays
from benchmarks.comparison import HEADERS, LABELS, compare_engines, make_job
from benchmarks.job import Job
from benchmarks.options import Options
from benchmarks.tables import number, show
from benchmarks.worker_pool import WorkerPool, WorkerProcess
from benchmarks.workspace import Dataset, Workspace


def measure_levels(
    pool: WorkerPool, dataset: Dataset, peers: tuple[str, ...], options: Options
) -> list[dict[str, Any]]:
    """Measure time and memory of each level and preset."""
    results, rows = [], []
    engines = ("forge", *peers)
    for level in plays.LEVELS:
        if options.levels is not None and level.name not in options.levels:
            continue
        play = plays.level_play(level)
        jobs = {name: make_job(name, dataset, play) for name in engines}
        pool.prepare(jobs)
        agreement = compare_engines(pool, peers)
        timed = pool.time(jobs, rounds=max(3, options.rounds // 3), seconds=options.seconds)
        memory = {name: pool[name].call("memory", name=name, runs=3) for name in engines}
        pool.drop(jobs)
        equal = all(entry["equal"] for entry in agreement.values())
        mapped = (level.indicators + level.structures) * dataset.bars * 10 / 2**20  # values and 16-bit codes
        trades = agreement[peers[0]]["trades"]
        results.append(
            asdict(level)
            | {f"{name}_ms": round(timing.best, 4) for name, timing in timed.items()}
            | {f"{name}_run_mb": round(entry["run_mb"], 3) for name, entry in memory.items()}
            | {
                "forge_columns_mb": round(mapped, 1),
                "trades": trades,
                "trades_equal": equal,
                "differing": {name: entry for name, entry in agreement.items() if not entry["equal"]},
            }
        )
        rows.append(
            (
                level.name,
                f"{level.indicators}+{level.structures}, {level.timeframes}",
                number(1e3 * level.budget_seconds),
                number(level.budget_mb),
                *(number(timed[name].best) for name in engines),
                number(memory["forge"]["run_mb"]),
                number(mapped),
                number(memory["vectorbt_rust"]["run_mb"]),
                f"{trades:,}",
                "yes" if equal else "NO",
            )
        )
    headers = ("level", "columns, TFs", "budget ms", "budget MB", *(HEADERS[name] for name in engines))
    show(
        "Levels and multi-timeframe presets: milliseconds and MB a backtest",
        (*headers, "Forge MB", "bank MB", "vbt MB", "trades", "equal"),
        rows,
        "budget: design budget of one run that computes its columns. Forge MB: memory a run adds to its process; "
        "bank MB: the columns it reads, mapped once for all processes.",
    )
    return results


def measure_cold_starts(
    workspace: Workspace, dataset: Dataset, engines: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """Measure a new process up to its first result: first without compiled code on disk, then with it."""
    results: dict[str, Any] = {}
    rows = []
    for name in (*engines, "floor"):
        job = make_job(name, dataset, plays.level_5())
        cache = {"NUMBA_CACHE_DIR": str(folder / f"numba-{name}")}
        compiling = _first_result(workspace, job, cache, compiles=True)
        # the second start of Forge uses the kernels compiled at installation, which are cached elsewhere
        second = _first_result(workspace, job, cache, compiles=False)
        results[name] = {"compiling_s": compiling, "compiled_s": second}
        rows.append((LABELS[name], *(number(value) for value in (*compiling, *second))))
    show(
        "Level 5 in a new process, seconds",
        ("", "ready", "first run, compiling", "ready", "first run, compiled before"),
        rows,
        "ready: start of Python, imports, bars and columns loaded.",
    )
    return results


def _first_result(workspace: Workspace, job: Job, cache: dict[str, str], *, compiles: bool) -> tuple[float, float]:
    """Return the seconds from process start to ready, and those of the first run."""
    with WorkerProcess({**workspace.environment, **cache}) as worker:
        ready = worker.call("prepare", name="only", job=asdict(job), compiles=compiles)["seconds_since_start"]
        return ready, worker.call("run", name="only", seconds=0.0)[0]


def measure_growth(
    pool: WorkerPool, workspace: Workspace, engines: tuple[str, ...], options: Options
) -> list[dict[str, Any]]:
    """Measure level 5 on increasing numbers of bars; linear growth is a constant time per bar."""
    results, rows = [], []
    for length in options.growth:
        dataset = workspace.dataset("1h", length=length)
        jobs = {name: make_job(name, dataset, plays.level_5()) for name in (*engines, "floor")}
        pool.prepare(jobs)
        timed = pool.time(jobs, rounds=max(3, options.rounds // 3), seconds=options.seconds)
        memory = {name: pool[name].call("memory", name=name, runs=3) for name in engines}
        pool.drop(jobs)
        results.append(
            {"bars": length}
            | {f"{name}_ms": round(timing.best, 4) for name, timing in timed.items()}
            | {f"{name}_run_mb": round(entry["run_mb"], 3) for name, entry in memory.items()}
        )
        rows.append(
            (
                f"{length:,}",
                *(number(timed[name].best) for name in (*engines, "floor")),
                number(1e6 * timed["forge"].best / length),
                *(number(memory[name]["run_mb"]) for name in engines),
            )
        )
    show(
        "Growth over SIM bars (simulated, seed 1), level 5: milliseconds and MB a backtest",
        (
            "bars",
            *(HEADERS[name] for name in (*engines, "floor")),
            "Forge ns/bar",
            *(f"{HEADERS[name]} MB" for name in engines),
        ),
        rows,
    )
    return results
