"""Best parameter set of a sweep on given bars, by the pooled Sharpe ratio of its ranking."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from forge_core.errors import ForgeError
from forge_core.evidence.sweeps.mirrored_series import BarSeries, Key
from forge_core.feeds.feed import Floats
from forge_core.metrics.summary import TOTAL_TRADES
from forge_core.sweeps.loading import Filters
from forge_core.sweeps.months import cut_months
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.ranking import rank
from forge_core.sweeps.simulation import Simulator

MIN_TRADES = 30
"""Trades over all tests that a parameter set needs to be the best: a ratio of fewer says nothing."""

_DAYS, _SUM, _SQUARES, _YEARS, _TRADES = range(5)


@dataclass(frozen=True)
class BestSet:
    """The parameter set with the highest pooled Sharpe ratio a year, of those with ``MIN_TRADES``."""

    label: str
    sharpe: float


def ranked_best(plan: SweepPlan) -> BestSet | None:
    """Return the best parameter set of a finished sweep's ranking; None where none has enough trades."""
    table = rank(plan, Filters(min_trades=MIN_TRADES)).dropna(subset=["sharpe"])
    if table.empty:
        return None
    best = table.iloc[int(table["sharpe"].to_numpy().argmax())]
    return BestSet(_label(plan, best["strategy"], best["parameters"], best["options"]), float(best["sharpe"]))


def best_set(plan: SweepPlan, series: Mapping[Key, BarSeries], threads: int = 1) -> BestSet | None:
    """Test all parameter sets of a sweep on ``series``; return the best one, as ``ranked_best`` finds it on disk."""
    sums = np.zeros((len(plan.spec.variants), 5))
    for task in plan.tasks:
        one = series[task.symbol, task.interval]
        simulator = Simulator(plan.spec, task)
        months = cut_months(one.bars, task.instrument.session).only(cell.month for cell in task.cells)
        if not len(months):
            continue
        feeds, cells = simulator.open(one.bars, months, one.funding), np.arange(len(months))

        def add(number: int, simulator=simulator, feeds=feeds, cells=cells) -> None:  # type: ignore[no-untyped-def]
            variant = plan.spec.variants[number]
            try:
                found, periods = simulator.simulate(variant, simulator.play(variant), feeds, cells)
            except ForgeError:  # a failed test has no row in the ranking either
                return
            daily = found.returns.astype(np.float32).astype(np.float64)  # as the results on disk hold them
            years = (np.diff(found.offsets) / periods).sum()
            trades = found.metrics[:, TOTAL_TRADES].sum()
            sums[number] += (daily.size, daily.sum(), (daily * daily).sum(), years, trades)

        with ThreadPoolExecutor(threads, "sweep-luck") as pool:
            list(pool.map(add, range(len(sums))))
    sharpe = _pooled_sharpe(sums)
    sharpe[sums[:, _TRADES] < MIN_TRADES] = np.nan
    if np.isnan(sharpe).all():
        return None
    best = int(np.nanargmax(sharpe))
    variant = plan.spec.variants[best]
    label = _label(plan, variant.strategy.name, variant.parameters_json, variant.options_json)
    return BestSet(label, float(sharpe[best]))


def _label(plan: SweepPlan, strategy: str, parameters: str, options: str) -> str:
    several = len({variant.options for variant in plan.spec.variants}) > 1
    return f"{strategy} {parameters}" + (f" {options}" if several else "")


def _pooled_sharpe(sums: Floats) -> Floats:
    """Return the yearly Sharpe ratio of each row of sums; NaN for fewer than two days, or days that are all equal."""
    days, years = sums[:, _DAYS], sums[:, _YEARS]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[:, _SUM] / days
        variance = (sums[:, _SQUARES] - days * mean * mean) / (days - 1)
        ratio = mean / np.sqrt(variance) * np.sqrt(days / years)
    return np.where((days > 1) & (variance > 1e-24), ratio, np.nan)
