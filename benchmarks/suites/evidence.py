"""Size and power of the tests of evidence, in markets whose truth is known.

A daily market is 300 days of lead-in, 1,000 that are searched and 500 that are held out; a search is 400 evaluations of
level 3 (population 40, 10 generations, two islands), objective Sharpe ratio. A test that is honest at 5 % is
significant in 5 % of the markets in which nothing can be earned.
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.simulated import fair_bars, index_bars
from benchmarks.simulated_markets import (
    HOLDOUT,
    LEAD_IN,
    TRAIN,
    correlated_symbols,
    daily,
    funded_perpetual,
    quarters_of_hours,
    rolling_future,
)
from benchmarks.tables import show
from forge_core.engine.costs import Costs
from forge_core.errors import ConfigError, unknown
from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evidence.searches.luck import luck_market, luck_search
from forge_core.evidence.searches.walk_forward import Period, make_windows, run_window, stitch, trade_period
from forge_core.evidence.statistics.hac import hac_t
from forge_core.evidence.statistics.sharpe import (
    deflated_sharpe,
    luck_line,
    probabilistic_sharpe,
    sharpe_p_value,
    sharpe_ratio,
)
from forge_core.evolution.nsga.nsga2 import Operators, make_nsga2
from forge_core.evolution.search.evaluation import Constraint, Objective, Objectives
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.loop import Found, Search
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.space import SpaceSpec
from forge_core.files import read_json, write_json

SEARCHES = 19
LEVEL = 0.05
KINDS = "FORGE_EVIDENCE_KINDS"
MINUTES = "FORGE_EVIDENCE_MINUTES"
_WINDOWS = 5
_A_YEAR = 365
_CENTS = Costs(commission_bps=4.0, slippage_bps=1.0)
_TICKS = Costs(commission_per_contract=0.05, slippage_ticks=1.0)

Markets = Mapping[str, Market]


class Truth(NamedTuple):
    """One kind of market: how it is made, whether something can be earned, how many to try, what a search of it sees
    and pays.

    ``by_t``: the luck test compares the t of the champion's mean return with HAC variance instead of its Sharpe ratio.
    """

    make: Callable[[np.random.Generator], Markets]
    edge: bool
    markets: int
    timeframes: tuple[str, ...] = ("1d",)
    costs: Costs = Costs.zero()
    by_t: bool = False


def _daily(bars: Callable[..., Any], **changes: float) -> Callable[[np.random.Generator], Markets]:
    return lambda rng: daily(bars(LEAD_IN + TRAIN + HOLDOUT, rng, **changes))


TRUTHS = {
    "fair": Truth(_daily(fair_bars), False, 200),
    "drift": Truth(_daily(fair_bars, drift=6.0), False, 200),
    "index": Truth(_daily(index_bars), False, 200),
    "edge 30": Truth(_daily(fair_bars, edge=30.0), True, 20),
    "edge 60": Truth(_daily(fair_bars, edge=60.0), True, 30),
    "edge 90": Truth(_daily(fair_bars, edge=90.0), True, 20),
}
"""Daily bars of one symbol, without costs."""

FURTHER = {
    "15m": Truth(quarters_of_hours, False, 40, ("15m", "1h", "4h"), _CENTS),
    "future": Truth(rolling_future, False, 40, ("4h", "1d"), _TICKS),
    "perpetual": Truth(funded_perpetual, False, 40, ("4h", "1d"), _CENTS),
    "three symbols": Truth(correlated_symbols, False, 40),
    "fair, by t": Truth(_daily(fair_bars), False, 40, by_t=True),
    "edge 60, by t": Truth(_daily(fair_bars, edge=60.0), True, 40, by_t=True),
}
"""Bars within a day with costs and several timeframes, contract rolls, funding, several symbols, another score."""

_ALL = TRUTHS | FURTHER

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


def experiment(
    seed: int,
    population: int = 40,
    generations: int = 10,
    timeframes: tuple[str, ...] = ("1d",),
    costs: Costs | None = None,
) -> Experiment:
    """Return the search that is repeated in every market; ``timeframes``: the one that is traded first."""
    objectives = Objectives(
        (Objective("sharpe", "sharpe", "maximize", "worst", -20.0),),
        (Constraint("min_trades", "total_trades", "maximize", "worst", 30.0),),
    )
    space = SpaceSpec(level=3, timeframes=list(timeframes))
    genome = Genome(build_space(space, timeframe=timeframes[0], sides="both", available=list(timeframes)))
    search = Search(
        genome=genome,
        algorithm=make_nsga2(genome.genes, objectives.directions, Operators()),
        objectives=objectives,
        seed=seed,
        sizes=(population // 2, population - population // 2),
        epochs=(generations - generations // 2, generations // 2),
        migrants=5,
    )
    return Experiment(search, costs=Costs.zero() if costs is None else costs)


def examine(kind: str, number: int, *, walk: bool = False) -> dict[str, Any]:
    """Return which tests are significant for the champion of market ``number`` of a kind; None where not tried.

    The luck test ends with the first search that is as good: from there on it cannot be significant. Walk-forward is
    tried where it can decide (the luck test is significant), or where ``walk`` asks for it.
    """
    truth = _ALL[kind]
    rng = np.random.default_rng([number, list(_ALL).index(kind)])
    whole = truth.make(rng)
    days = next(iter(whole.values())).days
    last = int(days[round(len(days) * TRAIN / (TRAIN + HOLDOUT)) - 1])
    markets = {name: market.window(None, last) for name, market in whole.items()}
    search = experiment(number + 1, timeframes=truth.timeframes, costs=truth.costs)
    found = search.run(markets)
    champion = found.champion
    if champion is None or found.score is None:
        return {"market": number, "score": None} | dict.fromkeys(TESTS, False)
    play = search.search.genome.decode(champion.genes)
    held = trade_period(search, play, whole, Period(last + 1, int(days[-1])))[1]
    trained = _trained(search, markets, found)
    score = hac_t(trained) if truth.by_t else found.score
    searches, as_good = 0, False
    while searches < SEARCHES and not as_good:
        searches += 1
        other = luck_search(search, markets, searches)
        if truth.by_t and other.champion is not None:
            mirrored = luck_market(markets, search.search.seed, searches)
            as_good = hac_t(_trained(search, mirrored, other)) >= score
        else:
            as_good = other.score is not None and other.score >= score
    luck = not as_good
    walk_p = None
    if walk or luck:
        windows = [run_window(search, markets, window) for window in make_windows(markets, _WINDOWS)]
        walk_p = stitch(windows, _A_YEAR).p
    walked = None if walk_p is None else walk_p <= LEVEL
    held_well = sharpe_p_value(held) <= LEVEL
    daily_ratio, length = sharpe_ratio(trained), trained.size
    moments = {"skew": float(stats.skew(trained)), "kurtosis": float(stats.kurtosis(trained, fisher=False))}
    deflated = deflated_sharpe(daily_ratio, length, trials=found.evaluated, variance=1 / (length - 1), **moments)
    return {
        "market": number,
        "score": found.score,
        "line": bool(daily_ratio > luck_line(found.evaluated, length)),
        "luck": luck,
        "walk": walked if walk else None,
        "confirmed": luck and bool(walked),
        "held": held_well,
        "luck_held": luck and held_well,
        "deflated": deflated >= 1 - LEVEL,
        "probabilistic": probabilistic_sharpe(daily_ratio, length, **moments) >= 1 - LEVEL,
    }


def _trained(search: Experiment, markets: Markets, found: Found) -> np.ndarray:
    """Return the daily returns of a search's champion on the days it was searched on."""
    assert found.champion is not None
    play = search.search.genome.decode(found.champion.genes)
    days = np.concatenate([market.days for market in markets.values()])
    return trade_period(search, play, markets, Period(int(days.min()), int(days.max())))[1]


def selected_kinds() -> dict[str, Truth]:
    """Return the kinds of markets to measure: those that ``FORGE_EVIDENCE_KINDS`` names, separated by semicolons;
    by default the daily ones."""
    wanted = os.environ.get(KINDS, "").strip()
    if not wanted:
        return TRUTHS
    names = list(_ALL) if wanted == "all" else [name.strip() for name in wanted.split(";")]
    for name in names:
        if name not in _ALL:
            raise ConfigError(unknown("kind of market", name, _ALL))
    return {name: _ALL[name] for name in names}


def run(options: Options) -> dict[str, Any]:
    """Measure, print the tables, and return what evidence.json holds.

    Rows are written as markets end, and a second run only adds those that are missing. ``FORGE_EVIDENCE_KINDS`` names
    the kinds of markets to add to, ``all`` or some of them separated by semicolons. ``FORGE_EVIDENCE_MINUTES`` ends the
    run after about as many minutes, with as many markets of each kind as there was time for.
    """
    share = 1.0 if options.cold else 0.05
    minutes = float(os.environ.get(MINUTES, "inf"))
    result: dict[str, Any] = {"machine": machine(), "searches": SEARCHES, "evaluations": 400}
    print(describe(result["machine"]))
    path = options.out / "evidence_rows.json"
    rows: dict[str, list[dict[str, Any]]] = read_json(path) if path.is_file() else {}
    wanted = {kind: max(2, int(truth.markets * share)) for kind, truth in selected_kinds().items()}
    tasks = sorted(  # all kinds advance together, so that a run that ends early has some of each
        ((number / count, kind, number) for kind, count in wanted.items() for number in range(count)),
    )
    done = {(kind, row["market"]) for kind, found in rows.items() for row in found}
    deadline = time.monotonic() + 60 * minutes
    with ProcessPoolExecutor(int(os.environ.get("FORGE_WORKERS", "") or os.cpu_count() or 1)) as pool:
        running = {
            pool.submit(examine, kind, number, walk=number % 4 == 0): kind
            for _, kind, number in tasks
            if (kind, number) not in done
        }
        for ended in as_completed(running):
            if ended.cancelled():
                continue
            rows.setdefault(running[ended], []).append(ended.result())
            write_json(path, rows)
            if time.monotonic() > deadline:
                for other in running:
                    other.cancel()
    result["tests"] = {kind: table(found) for kind, found in sorted(rows.items())}
    for title, kinds in (("Daily bars", TRUTHS), ("Other markets", FURTHER)):
        _show(title, {kind: result["tests"][kind] for kind in kinds if kind in result["tests"]})
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


def _show(title: str, tests: dict[str, dict[str, dict[str, float]]]) -> None:
    if not tests:
        return
    rows = [(text, *(_cell(found.get(test)) for found in tests.values())) for test, text in TESTS.items()]
    show(f"{title}: significant at 5 %, percent of the markets (95 % interval; markets)", ("", *tests), rows)


def _cell(found: dict[str, float] | None) -> str:
    if found is None:
        return "-"
    low, high = (round(100 * found[key]) for key in ("low", "high"))
    return f"{100 * found['share']:.0f} ({low}-{high}; {found['markets']:.0f})"
