"""The engine beside vectorbt, backtesting.py and the floor, on the same Plays and bars; see docs/benchmarks.md."""

import tempfile
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import plays
from benchmarks.agreement import compare_trades, largest_difference
from benchmarks.crew import Crew, Timing, WorkerProcess
from benchmarks.job import Job
from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.scene import Dataset, Scene, benchmark_bars
from benchmarks.tables import number, ratio, show

ENGINES = ("forge", "vectorbt_rust", "vectorbt_numba", "backtesting_py")
PEERS = ENGINES[1:]
LABELS = {
    "forge": "Forge",
    "vectorbt_rust": "vectorbt, Rust engine",
    "vectorbt_numba": "vectorbt, numba engine",
    "backtesting_py": "backtesting.py",
    "floor": "floor: one numba pass over open, high, low, close",
    "floor_columns": "floor with the Play's columns read as well",
    "forge_new_play": "Forge, a Play that has not run before, each time",
    "forge_stops": "Forge, with stop, target, trailing stop and its own costs",
    "vectorbt_rust_report": "vectorbt, Rust engine, its own stats()",
    "vectorbt_rust_trades": "vectorbt, Rust engine, no metrics at all",
}
_RUNS = 12  # after which memory is compared with that after the first


def run(options: Options) -> dict[str, Any]:
    """Measure everything, print the tables, and return what engine.json holds."""
    for module in ("vectorbt", "vectorbt_rust", "backtesting"):
        if find_spec(module) is None:
            raise SystemExit(f"{module} is not installed; get the peers with: python -m pip install -e '.[bench]'")
    result: dict[str, Any] = {"machine": machine()}
    print(describe(result["machine"]))
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        scene = Scene(benchmark_bars(options.length), Path(folder) / "usual")
        print(scene.bars.label + "\n")
        dataset = scene.dataset(*plays.TIMEFRAMES[1:])
        result |= {"data": scene.bars.label, "bars": dataset.bars}
        with Crew(scene.environment) as crew:
            result |= _level_5(crew, dataset, options)
            result["levels"] = _levels(crew, dataset, options)
        if options.cold:
            result["cold"] = _cold(scene, dataset, Path(folder))
        if options.growth:
            grown = Scene(benchmark_bars(max(options.growth)), Path(folder) / "growth")
            with Crew(grown.environment) as crew:
                result["growth"] = _growth(crew, grown, options)
    result["machine"]["load_at_end"] = machine()["load"]
    return result


def _job(contestant: str, dataset: Dataset, play: str, **other: Any) -> Job:
    return Job(contestant=contestant, dataset=dataset.name, version=dataset.version, play=play, **other)


def _level_5(crew: Crew, dataset: Dataset, options: Options) -> dict[str, Any]:
    """The row of engine.json: warm and with indicators, and whether the trades are the same."""
    play = plays.level_5()
    jobs = {name: _job(name, dataset, play) for name in (*ENGINES, "floor")}
    extra = {
        "floor_columns": replace(jobs["floor"], metrics="columns"),
        "forge_new_play": replace(jobs["forge"], new_play=True),
        "forge_stops": replace(jobs["forge"], play=plays.level_5_with_stops(), commission_bps=None),
        "vectorbt_rust_report": replace(jobs["vectorbt_rust"], metrics="own"),
        "vectorbt_rust_trades": replace(jobs["vectorbt_rust"], metrics="none"),
    }
    jobs |= extra
    crew.prepare(jobs)
    agreement = _agreement(crew)
    warm = crew.time(jobs, rounds=options.rounds, seconds=options.seconds)
    engines = {name: jobs[name] for name in ENGINES}
    cold = crew.time(engines, rounds=max(3, options.rounds // 3), seconds=0.0, indicators=True)
    crew.prepare({"forge": jobs["forge"]})  # its bank was emptied
    memory = {name: crew[jobs[name].contestant].ask("memory", name=name, runs=_RUNS) for name in ENGINES}
    _show_level_5(warm, cold, memory)
    _show_agreement(agreement)
    crew.drop(jobs)
    best = {f"{name}_ms": round(timing.best, 4) for name, timing in warm.items()}
    return {
        **best,
        "trades_equal": all(entry["equal"] for entry in agreement.values()),
        "trades": agreement[PEERS[0]]["trades"],
        "agreement": agreement,
        **{f"{name}_median_ms": round(timing.median, 4) for name, timing in warm.items()},
        **{f"{name}_cold_bank_ms": round(timing.best, 4) for name, timing in cold.items()},
        **{f"{name}_memory": entry for name, entry in memory.items()},
        "runs": {name: timing.runs for name, timing in warm.items()},
    }


def _agreement(crew: Crew) -> dict[str, Any]:
    trades = crew["forge"].ask("trades", name="forge")
    figures = crew["forge"].ask("figures", name="forge")
    agreement: dict[str, Any] = {}
    for name in PEERS:
        found = compare_trades(trades, crew[name].ask("trades", name=name))
        metric, difference = largest_difference(figures, crew[name].ask("figures", name=name))
        still_open = figures["total_trades"] - found["trades"]
        agreement[name] = found | {"open_at_end": still_open, "metric_differing_most": metric, "by_share": difference}
    return agreement


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
        f"+indicators: columns computed on the way, Forge writes them to its bank. {forge.runs:,} runs of Forge, turn "
        "by turn with the others.",
    )


def _show_agreement(agreement: dict[str, Any]) -> None:
    for name, found in agreement.items():
        if found["equal"]:
            verdict = f"the same {found['trades']:,} trades: times, sides and prices equal to the last bit"
        else:
            verdict = (
                f"{found['their_trades']:,} trades, Forge {found['trades']:,}; only Forge {found['only_forge']:,}, "
                f"only there {found['only_theirs']:,}, differing {found['differing']}"
            )
        if found["open_at_end"]:
            verdict += "; one open at the last bar, which Forge closes there, is left out and makes metrics differ"
        print(f"{LABELS[name]}: {verdict}")
        print(
            f"    metrics that both have differ by {found['by_share']:.1e} at most ({found['metric_differing_most']})"
        )
    print()


def _levels(crew: Crew, dataset: Dataset, options: Options) -> list[dict[str, Any]]:
    """Time and memory of each level beside the mission's table."""
    results, rows = [], []
    for level in plays.LEVELS:
        if options.levels is not None and level.name not in options.levels:
            continue
        play = plays.level_play(level)
        jobs = {name: _job(name, dataset, play) for name in ENGINES}
        crew.prepare(jobs)
        agreement = _agreement(crew)
        timed = crew.time(jobs, rounds=max(3, options.rounds // 3), seconds=options.seconds)
        memory = {name: crew[name].ask("memory", name=name, runs=3) for name in ENGINES}
        crew.drop(jobs)
        equal = all(entry["equal"] for entry in agreement.values())
        mapped = (level.indicators + level.structures) * dataset.bars * 10 / 2**20  # values and codes
        results.append(
            asdict(level)
            | {f"{name}_ms": round(timing.best, 4) for name, timing in timed.items()}
            | {f"{name}_run_mb": round(entry["run_mb"], 3) for name, entry in memory.items()}
            | {
                "forge_columns_mb": round(mapped, 1),
                "trades": agreement[PEERS[0]]["trades"],
                "trades_equal": equal,
                "differing": {name: entry for name, entry in agreement.items() if not entry["equal"]},
            }
        )
        rows.append(
            (
                level.name,
                f"{level.indicators}+{level.structures}, {level.timeframes}",
                number(1e3 * level.mission_seconds),
                number(level.mission_mb),
                *(number(timed[name].best) for name in ENGINES),
                number(memory["forge"]["run_mb"]),
                number(mapped),
                number(memory["vectorbt_rust"]["run_mb"]),
                f"{agreement[PEERS[0]]['trades']:,}",
                "yes" if equal else "NO",
            )
        )
    show(
        "Levels and multi-timeframe presets: milliseconds and MB a backtest",
        (
            "level",
            "columns, TFs",
            "mission ms",
            "mission MB",
            "Forge ms",
            "vbt Rust",
            "vbt numba",
            "bt.py",
            "Forge MB",
            "bank MB",
            "vbt MB",
            "trades",
            "equal",
        ),
        rows,
        "Forge MB: what a run adds to its process; bank MB: the columns it reads, mapped once for all processes.",
    )
    return results


def _cold(scene: Scene, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """A fresh process until its first result: nothing compiled yet, then with what the first has left on disk."""
    results: dict[str, Any] = {}
    rows = []
    for name in (*ENGINES, "floor"):
        job = _job(name, dataset, plays.level_5())
        cache = {"NUMBA_CACHE_DIR": str(folder / f"numba-{name}")}
        compiling = _first_result(scene, job, cache, compiles=True)
        # Forge's own kernels are not cached there: its second start uses those compiled at installation
        second = _first_result(scene, job, cache, compiles=False)
        results[name] = {"compiling_s": compiling, "compiled_s": second}
        rows.append((LABELS[name], *(number(value) for value in (*compiling, *second))))
    show(
        "Level 5 in a fresh process, seconds",
        ("", "to be ready", "first run, compiling", "to be ready", "first run, compiled before"),
        rows,
        "To be ready: Python's start, imports, bars and columns loaded.",
    )
    return results


def _first_result(scene: Scene, job: Job, cache: dict[str, str], *, compiles: bool) -> tuple[float, float]:
    """Return the seconds from a process's start until it is ready, and those of its first run."""
    with WorkerProcess({**scene.environment, **cache}) as worker:
        ready = worker.ask("prepare", name="only", job=asdict(job), compiles=compiles)["seconds_since_start"]
        return ready, worker.ask("run", name="only", seconds=0.0)[0]


def _growth(crew: Crew, scene: Scene, options: Options) -> list[dict[str, Any]]:
    """Level 5 on more and more bars; linear growth is a constant time per bar."""
    results, rows = [], []
    for length in options.growth:
        dataset = scene.dataset("1h", length=length)
        jobs = {name: _job(name, dataset, plays.level_5()) for name in (*ENGINES, "floor")}
        crew.prepare(jobs)
        timed = crew.time(jobs, rounds=max(3, options.rounds // 3), seconds=options.seconds)
        memory = {name: crew[name].ask("memory", name=name, runs=3) for name in ENGINES}
        crew.drop(jobs)
        results.append(
            {"bars": length}
            | {f"{name}_ms": round(timing.best, 4) for name, timing in timed.items()}
            | {f"{name}_run_mb": round(entry["run_mb"], 3) for name, entry in memory.items()}
        )
        rows.append(
            (
                f"{length:,}",
                *(number(timed[name].best) for name in (*ENGINES, "floor")),
                number(1e6 * timed["forge"].best / length),
                *(number(memory[name]["run_mb"]) for name in ENGINES),
            )
        )
    show(
        "Growth over SIM bars (simulated, seed 1), level 5: milliseconds and MB a backtest",
        (
            "bars",
            "Forge",
            "vbt Rust",
            "vbt numba",
            "bt.py",
            "floor",
            "Forge ns/bar",
            "Forge MB",
            "vbt Rust MB",
            "vbt numba MB",
            "bt.py MB",
        ),
        rows,
    )
    return results
