"""Size and power of the tests of evidence, in markets whose truth is known.

A market is 300 days of lead-in, 1,000 that are searched and 500 that are held out; a search is 400 evaluations of level
3 (population 40, 10 generations, two islands), objective Sharpe ratio, no costs. A test that is honest at 5 % is
significant in 5 % of the markets in which nothing can be earned.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.simulated import fair_bars, index_bars
from benchmarks.tables import show
from forge_core.engine.costs import Costs
from forge_core.engine.simulate import simulate
from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evidence.searches.luck import luck_search
from forge_core.evidence.searches.walk_forward import make_windows, run_window, stitch
from forge_core.evidence.statistics.sharpe import deflated_sharpe, luck_line, probabilistic_sharpe, sharpe_p_value
from forge_core.evolution.nsga.nsga2 import Operators, make_nsga2
from forge_core.evolution.search.evaluation import Constraint, Objective, Objectives
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.loop import Search
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.space import SpaceSpec
from forge_core.files import read_json, write_json
from forge_core.market.reference.instruments import Instrument

LEAD_IN, TRAIN, HOLDOUT = 300, 1_000, 500
SEARCHES = 19
LEVEL = 0.05
_WINDOWS = 5
_A_YEAR = 365
_SPOT = Instrument(symbol="SIM", kind="spot", tick=0.0001, lot=0.0001)


class Truth(NamedTuple):
    """One kind of market: how its bars are made, whether something can be earned, and how many to try."""

    bars: Callable[[int, np.random.Generator], pd.DataFrame]
    edge: bool
    markets: int


TRUTHS = {
    "fair": Truth(fair_bars, False, 200),
    "drift": Truth(lambda n, rng: fair_bars(n, rng, drift=6.0), False, 200),
    "index": Truth(index_bars, False, 200),
    "edge 30": Truth(lambda n, rng: fair_bars(n, rng, edge=30.0), True, 20),
    "edge 60": Truth(lambda n, rng: fair_bars(n, rng, edge=60.0), True, 30),
    "edge 90": Truth(lambda n, rng: fair_bars(n, rng, edge=90.0), True, 20),
}

TESTS = {
    "luck": f"luck test ({SEARCHES} searches in mirrored markets)",
    "walk": f"walk-forward ({_WINDOWS} windows)",
    "confirmed": "luck test and walk-forward: confirmed",
    "held": "holdout, one evaluation",
    "luck_held": "luck test and holdout: confirmed",
    "line": "above the luck line",
    "deflated": "deflated Sharpe ratio, N trials of variance 1/(T-1)",
    "probabilistic": "probabilistic Sharpe ratio, no correction",
}


def experiment(seed: int, population: int = 40, generations: int = 10) -> Experiment:
    """Return the search that is repeated in every market."""
    objectives = Objectives(
        (Objective("sharpe", "sharpe", "maximize", "worst", -20.0),),
        (Constraint("min_trades", "total_trades", "maximize", "worst", 30.0),),
    )
    genome = Genome(build_space(SpaceSpec(level=3), timeframe="1d", sides="both", available=["1d", "1w"]))
    search = Search(
        genome=genome,
        algorithm=make_nsga2(genome.genes, objectives.directions, Operators()),
        objectives=objectives,
        seed=seed,
        sizes=(population // 2, population - population // 2),
        epochs=(generations - generations // 2, generations // 2),
        migrants=5,
    )
    return Experiment(search, costs=Costs.zero())


def examine(truth: str, number: int, *, walk: bool = False) -> dict[str, Any]:
    """Return which tests are significant for the champion of market ``number`` of a kind; None where not tried.

    The luck test ends with the first search that is as good: from there on it cannot be significant. Walk-forward is
    tried where it can decide (the luck test is significant), or where ``walk`` asks for it.
    """
    rng = np.random.default_rng([number, list(TRUTHS).index(truth)])
    bars = TRUTHS[truth].bars(LEAD_IN + TRAIN + HOLDOUT, rng)
    whole = Market(_SPOT, "1d", bars, {}, bars.index[LEAD_IN])
    days = whole.days
    market = {"SIM": whole.window(None, int(days[TRAIN - 1]))}
    search = experiment(number + 1)
    found = search.run(market)
    champion = found.champion
    if champion is None or found.score is None:
        return {"market": number, "score": None} | dict.fromkeys(TESTS, False)
    play = search.search.genome.decode(champion.genes)
    held = simulate(play, whole.window(int(days[TRAIN]), None).feed(), costs=search.costs).daily_returns
    trained = simulate(play, market["SIM"].feed(), costs=search.costs).daily_returns
    daily = found.score / np.sqrt(_A_YEAR)
    moments = {"skew": float(stats.skew(trained)), "kurtosis": float(stats.kurtosis(trained, fisher=False))}
    searches, as_good = 0, False
    while searches < SEARCHES and not as_good:
        searches += 1
        other = luck_search(search, market, searches).score
        as_good = other is not None and other >= found.score
    luck = not as_good
    walk_p = None
    if walk or luck:
        windows = [run_window(search, market, window) for window in make_windows(market, _WINDOWS)]
        walk_p = stitch(windows, _A_YEAR).p
    walked = None if walk_p is None else walk_p <= LEVEL
    held_well = sharpe_p_value(held) <= LEVEL
    deflated = deflated_sharpe(daily, TRAIN, trials=found.evaluated, variance=1 / (TRAIN - 1), **moments)
    return {
        "market": number,
        "score": found.score,
        "line": bool(daily > luck_line(found.evaluated, TRAIN)),
        "luck": luck,
        "walk": walked if walk else None,
        "confirmed": luck and bool(walked),
        "held": held_well,
        "luck_held": luck and held_well,
        "deflated": deflated >= 1 - LEVEL,
        "probabilistic": probabilistic_sharpe(daily, TRAIN, **moments) >= 1 - LEVEL,
    }


def run(options: Options) -> dict[str, Any]:
    """Measure, print the table, and return what evidence.json holds.

    Rows are written as markets end, and a second run only adds those that are missing. ``FORGE_EVIDENCE_MINUTES`` ends
    the run after about as many minutes, with as many markets of each kind as there was time for.
    """
    share = 1.0 if options.cold else 0.05
    minutes = float(os.environ.get("FORGE_EVIDENCE_MINUTES", "inf"))
    result: dict[str, Any] = {"machine": machine(), "searches": SEARCHES, "evaluations": 400}
    print(describe(result["machine"]))
    path = options.out / "evidence_rows.json"
    rows: dict[str, list[dict[str, Any]]] = read_json(path) if path.is_file() else {}
    wanted = {truth: max(2, int(kind.markets * share)) for truth, kind in TRUTHS.items()}
    tasks = sorted(  # all kinds advance together, so that a run that ends early has some of each
        ((number / count, truth, number) for truth, count in wanted.items() for number in range(count)),
    )
    done = {(truth, row["market"]) for truth, found in rows.items() for row in found}
    deadline = time.monotonic() + 60 * minutes
    with ProcessPoolExecutor(int(os.environ.get("FORGE_WORKERS", "") or os.cpu_count() or 1)) as pool:
        running = {
            pool.submit(examine, truth, number, walk=number % 4 == 0): truth
            for _, truth, number in tasks
            if (truth, number) not in done
        }
        for ended in as_completed(running):
            if ended.cancelled():
                continue
            rows.setdefault(running[ended], []).append(ended.result())
            write_json(path, rows)
            if time.monotonic() > deadline:
                for other in running:
                    other.cancel()
    result["tests"] = {truth: table(found) for truth, found in sorted(rows.items())}
    _show(result["tests"])
    return result


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return for each test how often it was significant: ``markets``, ``significant``, ``share`` and its interval."""
    return {
        test: proportion(sum(row[test] for row in tried), len(tried))
        for test in TESTS
        if (tried := [row for row in rows if row[test] is not None])
    }


def proportion(hits: int, count: int) -> dict[str, float]:
    """Return a share with its exact 95 % interval (Clopper and Pearson, 1934)."""
    interval = stats.binomtest(hits, count).proportion_ci(0.95, "exact")
    return {
        "markets": count,
        "significant": hits,
        "share": hits / count,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def _show(tests: dict[str, dict[str, dict[str, float]]]) -> None:
    truths = [truth for truth in TRUTHS if truth in tests]
    rows = [(text, *(_cell(tests[truth].get(test)) for truth in truths)) for test, text in TESTS.items()]
    show("Significant at 5 %, in percent of the markets (95 % interval; markets)", ("", *truths), rows)


def _cell(found: dict[str, float] | None) -> str:
    if found is None:
        return "-"
    low, high = (round(100 * found[key]) for key in ("low", "high"))
    return f"{100 * found['share']:.0f} ({low}-{high}; {found['markets']:.0f})"
