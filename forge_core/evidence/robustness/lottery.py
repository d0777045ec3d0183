"""Lottery trading: the champion's trades at random times, to tell whether its timing matters.

Each draw keeps the champion's sides and holding times (in another order) and spreads the trades at random over the
period without overlap. A trade earns the move from the open of its entry bar to the open of its exit bar, less the
costs of both; the champion is measured the same way, so that only times differ. (Chen and Navet, Failure of
Genetic-Programming Induced Trading Strategies: Distinguishing between Efficient Markets and Inefficient Algorithms,
2007.) Stops and targets are in it by the holding times they led to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.simulate import Simulation
from forge_core.feeds.feed import Feed

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DRAWS = 2_000


@dataclass(frozen=True)
class LotteryResult:
    """``own``: the champion's mean return of a trade; ``draws``: those of the lotteries; ``p``: the share of all, the
    champion included, that did as well."""

    own: float
    draws: Floats
    p: float


def lottery(runs: Mapping[str, tuple[Simulation, Feed]], costs: Costs | None, seed: int) -> LotteryResult | None:
    """Draw the trades of a champion's recorded runs at random times; None where it never traded."""
    rng = np.random.default_rng([seed, 3])
    own, drawn, trades = 0.0, np.zeros(DRAWS), 0
    for run, feed in runs.values():
        assert run.trades is not None
        entries = np.searchsorted(feed.time, run.trades["entry_time"])
        if entries.size == 0:
            continue
        held = np.maximum(run.trades["bars_held"], 1).astype(np.int64)
        sides = run.trades["side"].astype(np.float64)
        cost = _round_trip(feed, costs)
        own += _earned(feed, entries, held, sides, cost)
        for draw in range(DRAWS):
            order = rng.permutation(entries.size)
            times = random_entries(held[order], feed.start, len(feed), rng)
            drawn[draw] += _earned(feed, times, held[order], sides[order], cost)
        trades += entries.size
    if not trades:
        return None
    p = (1 + int((drawn >= own).sum())) / (DRAWS + 1)
    return LotteryResult(own / trades, drawn / trades, p)


def random_entries(held: Integers, start: int, size: int, rng: np.random.Generator) -> Integers:
    """Return entry bars of trades held for ``held`` bars, one after the other without overlap, from ``start`` on.

    The bars between them are spread evenly at random: each arrangement is as likely as any other.
    """
    free = max(size - start - int(held.sum()), 0)
    waits = np.sort(rng.integers(0, free + 1, held.size))
    return start + waits + np.concatenate([[0], np.cumsum(held)[:-1]])


def _earned(feed: Feed, entries: Integers, held: Integers, sides: Floats, cost: float) -> float:
    """Return the sum of the trades' returns, from open to open; the last bar ends a trade at its close."""
    last = len(feed) - 1
    first = np.minimum(entries, last)
    leave = first + held
    out = np.where(leave <= last, feed.open[np.minimum(leave, last)], feed.close[last])
    moved = (out - feed.open[first]) / np.abs(feed.open[first])
    if feed.rolls is not None:  # the gap between contracts is no profit
        gaps = np.zeros(len(feed) + 1)
        at = np.flatnonzero(feed.rolls[1:]) + 1
        gaps[at + 1] = feed.open[at] - feed.close[at - 1]
        total = np.cumsum(gaps)
        moved -= (total[np.minimum(leave, last) + 1] - total[first + 1]) / np.abs(feed.open[first])
    return float((sides * moved - cost).sum())


def _round_trip(feed: Feed, costs: Costs | None) -> float:
    """Return what entering and leaving costs, as a share of the notional at a typical price."""
    costs = costs or Costs.of(feed.instrument)
    price = float(np.median(np.abs(feed.close[feed.start :])))
    fixed = costs.slippage_ticks * feed.instrument.tick + costs.commission_per_contract / feed.instrument.multiplier
    return 2.0 * ((costs.commission_bps + costs.slippage_bps) / 10_000 + fixed / price)
