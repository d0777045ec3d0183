"""Forge, vectorbt, raptorbt, backtesting.py and the floor on the same Plays and bars; see docs/benchmarks.md."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import history, plays
from benchmarks.comparison import LABELS, compare_engines, installed_peers, make_job, print_agreement
from benchmarks.growth import measure_cold_starts, measure_growth, measure_levels
from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.tables import number, ratio, show
from benchmarks.worker_pool import Timing, WorkerPool
from benchmarks.workspace import Dataset, Workspace, benchmark_bars

_MEMORY_RUNS = 12  # memory after these runs is compared with memory after the first


def run(options: Options) -> dict[str, Any]:
    """Measure, print the tables, append to the history, and return the content of engine.json."""
    peers = installed_peers()
    engines = ("forge", *peers)
    result: dict[str, Any] = {"machine": machine()}
    print(describe(result["machine"]))
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        workspace = Workspace(benchmark_bars(options.length), Path(folder) / "default")
        print(workspace.bars.label + "\n")
        dataset = workspace.dataset(*plays.TIMEFRAMES[1:])
        result |= {"data": workspace.bars.label, "bars": dataset.bars}
        with WorkerPool(workspace.environment) as pool:
            result |= _level_5(pool, dataset, peers, options)
            result["levels"] = measure_levels(pool, dataset, peers, options)
        if options.cold:
            result["cold"] = measure_cold_starts(workspace, dataset, engines, Path(folder))
        if options.growth:
            grown = Workspace(benchmark_bars(max(options.growth)), Path(folder) / "growth")
            with WorkerPool(grown.environment) as pool:
                result["growth"] = measure_growth(pool, grown, engines, options)
    result["machine"]["load_at_end"] = machine()["load"]
    history.append(options.out / "history.jsonl", history.entry(result))
    return result


def _level_5(pool: WorkerPool, dataset: Dataset, peers: tuple[str, ...], options: Options) -> dict[str, Any]:
    """Measure the level-5 Play, with and without indicators, and compare the trades."""
    engines = ("forge", *peers)
    play = plays.level_5()
    jobs = {name: make_job(name, dataset, play) for name in (*engines, "floor")}
    jobs |= {
        "floor_columns": replace(jobs["floor"], metrics="columns"),
        "forge_new_play": replace(jobs["forge"], new_play=True),
        "forge_stops": replace(jobs["forge"], play=plays.level_5_with_stops(), commission_bps=None),
        "vectorbt_rust_report": replace(jobs["vectorbt_rust"], metrics="own"),
        "vectorbt_rust_trades": replace(jobs["vectorbt_rust"], metrics="none"),
    }
    pool.prepare(jobs)
    agreement = compare_engines(pool, peers)
    warm = pool.time(jobs, rounds=options.rounds, seconds=options.seconds)
    cold = pool.time(
        {name: jobs[name] for name in engines}, rounds=max(3, options.rounds // 3), seconds=0.0, indicators=True
    )
    pool.prepare({"forge": jobs["forge"]})  # the timing above emptied its bank
    memory = {name: pool[jobs[name].engine].call("memory", name=name, runs=_MEMORY_RUNS) for name in engines}
    _show_level_5(warm, cold, memory)
    print_agreement(agreement)
    pool.drop(jobs)
    best = {f"{name}_ms": round(timing.best, 4) for name, timing in warm.items()}
    return {
        **best,
        "trades_equal": all(entry["equal"] for entry in agreement.values()),
        "trades": agreement[peers[0]]["trades"],
        "agreement": agreement,
        **{f"{name}_median_ms": round(timing.median, 4) for name, timing in warm.items()},
        **{f"{name}_cold_bank_ms": round(timing.best, 4) for name, timing in cold.items()},
        **{f"{name}_memory": entry for name, entry in memory.items()},
        "runs": {name: timing.runs for name, timing in warm.items()},
    }


def _show_level_5(warm: dict[str, Timing], cold: dict[str, Timing], memory: dict[str, Any]) -> None:
    forge = warm["forge"]
    rows = []
    for name in sorted(warm, key=list(LABELS).index):
        timing, bank = warm[name], cold.get(name)
        rows.append(
            (
                LABELS[name],
                number(timing.best),
                number(timing.median),
                ratio(timing.best, forge.best),
                ratio(timing.median, forge.median),
                number(bank.best if bank else None),
                ratio(bank.best, cold["forge"].best) if bank else "-",
                number(memory[name]["run_mb"]) if name in memory else "-",
                number(memory[name]["unique_mb"]) if name in memory else "-",
            )
        )
    show(
        "Level 5 (12 indicator and 2 structure columns, 15m and 1h), milliseconds a backtest",
        ("", "best", "median", "of Forge", "(median)", "+indicators", "of Forge", "run MB", "process MB"),
        rows,
        f"+indicators: columns computed in the run, Forge writes them to its bank. {forge.runs:,} runs of Forge, "
        "interleaved with the others.",
    )
