"""Mirrored series of a mass test: one coin a timestamp for all symbols, coarser intervals resampled from the finest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forge_core.evidence.markets.market import Market
from forge_core.evidence.markets.mirrored import mirror_bars, mirrored_markets, toss_coins
from forge_core.feeds.feed import Floats
from forge_core.market.reference.timeframes import Timeframe
from forge_core.sweeps.plan import SweepPlan, Task
from forge_core.sweeps.series import load_series

Key = tuple[str, str]  # symbol and interval


@dataclass(frozen=True)
class BarSeries:
    """Bars of one symbol and interval, with the funding paid at each bar of a perpetual if known."""

    bars: pd.DataFrame
    funding: Floats | None = None


def read_all(plan: SweepPlan) -> dict[Key, BarSeries]:
    """Read the bars of all tasks of a sweep."""
    found = {}
    for task in plan.tasks:
        series = load_series(task.symbol, task.interval, task.series, plan.home)
        found[task.symbol, task.interval] = BarSeries(series.bars, series.funding)
    return found


def mirror_series(plan: SweepPlan, real: Mapping[Key, BarSeries], rng: np.random.Generator) -> dict[Key, BarSeries]:
    """Return all series mirrored.

    Intervals of one symbol move together, so a coarser one is resampled from the finest it is a multiple of; its bars
    before and after those of the finest are mirrored by themselves. Funding stays at its times.
    """
    groups = {_key(tasks[0]): tasks for tasks in _groups(plan)}
    markets = {key: _market(tasks, real) for key, tasks in groups.items()}
    mirrored = mirrored_markets({f"{symbol} {interval}": m for (symbol, interval), m in markets.items()}, rng)
    found: dict[Key, BarSeries] = {}
    for (symbol, interval), tasks in groups.items():
        market = mirrored[f"{symbol} {interval}"]
        for task in tasks:
            original = real[_key(task)]
            bars = market.bars if task is tasks[0] else market.higher[task.interval]
            tail = original.bars[original.bars.index > bars.index[-1]]
            if len(tail):
                coins = toss_coins([tail.index], rng)
                bars = pd.concat([bars, mirror_bars(market, tail, coins, split=0)])
            found[_key(task)] = BarSeries(bars, _funding(original, bars))
    return found


def _key(task: Task) -> Key:
    return task.symbol, task.interval


def _groups(plan: SweepPlan) -> Iterator[list[Task]]:
    """Yield the tasks of a symbol that are resampled from the first of them."""
    for symbol in dict.fromkeys(task.symbol for task in plan.tasks):
        left = [task for task in plan.tasks if task.symbol == symbol]
        left.sort(key=lambda task: Timeframe.parse(task.interval).microseconds)
        while left:
            finest = Timeframe.parse(left[0].interval).microseconds
            yield [task for task in left if Timeframe.parse(task.interval).microseconds % finest == 0]
            left = [task for task in left if Timeframe.parse(task.interval).microseconds % finest]


def _market(tasks: list[Task], real: Mapping[Key, BarSeries]) -> Market:
    first, *coarser = tasks
    bars = real[_key(first)].bars
    return Market(
        instrument=first.instrument,
        timeframe=first.interval,
        bars=bars,
        higher={task.interval: real[_key(task)].bars for task in coarser},
        start=bars.index[0],
        roll_dates=first.roll_dates,
    )


def _funding(original: BarSeries, bars: pd.DataFrame) -> Floats | None:
    if original.funding is None:
        return None
    paid = pd.Series(original.funding, index=original.bars.index)
    return np.asarray(paid.reindex(bars.index, fill_value=0.0), np.float64)
