"""Probes of one champion on the bars it was chosen on: what a small change of costs, orders, parameters or bars does.

They may lower a verdict, never raise it: a champion found by luck passes most of them. Figures are means over the train
datasets, each with the study's cash: ``sharpe`` a year, ``total_return``, and ``trades`` in all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.simulate import Simulation, simulate
from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evidence.statistics.bootstrap import stationary_indexes
from forge_core.features.column import Column, ColumnSource, Floats, read_only
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed
from forge_core.metrics.summary import SHARPE, TOTAL_RETURN, TOTAL_TRADES
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Play

COST_FACTORS = (0.0, 1.0, 2.0, 3.0)
DELAYS = (1, 2, 4)  # bars
START_SHIFTS = (5, 20, 60)  # trade dates
NOISES = 10
_NOISE = 0.1  # of ATR(14)
_ATR = 14
_BEST_TRADES = (1, 5, 10)
_BEST_SHARE = 0.05
_RESAMPLES = 10_000
_CHUNK = 500


@dataclass(frozen=True)
class Probe:
    """One variant: ``kind`` (costs, delay, ...), what was changed (``variant``), and what came of it, None where it has
    no such figure."""

    kind: str
    variant: str
    sharpe: float | None
    total_return: float | None
    trades: int | None
    drawdown: float | None = None


def run_probes(
    experiment: Experiment, play: Play, genes: Sequence[int], markets: Mapping[str, Market], seed: int
) -> list[Probe]:
    """Return all probes of ``play``, whose ``genes`` are those of the experiment's search."""
    feeds = {name: market.feed() for name, market in markets.items()}
    probes = [*cost_probes(experiment, play, feeds)]
    probes += [_probe(experiment, "delay", f"{n} bars late", play, delayed(feeds, n)) for n in DELAYS]
    probes += _start_probes(experiment, play, markets)
    rng = np.random.default_rng([seed, 1])
    for number in range(1, NOISES + 1):
        disturbed = {name: noisy(market, rng).feed() for name, market in markets.items()}
        probes.append(_probe(experiment, "noise", f"10 % of ATR, draw {number}", play, disturbed))
    probes += neighbour_probes(experiment, play, genes, feeds)
    runs = _simulations(experiment, play, feeds, record=True)
    return probes + trade_probes(runs, experiment.cash) + drawdown_probes(runs, experiment.cash, seed)


def cost_probes(experiment: Experiment, play: Play, feeds: Mapping[str, Feed]) -> Iterator[Probe]:
    """Yield ``play`` at multiples of its costs."""
    for factor in COST_FACTORS:
        runs = [
            simulate(play, f, **(experiment.terms | {"costs": _scaled(experiment, f, factor)})) for f in feeds.values()
        ]
        yield _figures("costs", f"x {factor:g}", runs)


def _scaled(experiment: Experiment, feed: Feed, factor: float) -> Costs:
    costs = experiment.costs or Costs.of(feed.instrument)
    return Costs(**{name: value * factor for name, value in costs.model_dump().items()})


def _start_probes(experiment: Experiment, play: Play, markets: Mapping[str, Market]) -> Iterator[Probe]:
    for shift in START_SHIFTS:
        later = {
            name: market.window(int(days[shift]), None).feed()
            for name, market in markets.items()
            if (days := market.days).size > 2 * shift
        }
        if later:
            yield _probe(experiment, "start", f"{shift} trade dates later", play, later)


def neighbour_probes(
    experiment: Experiment, play: Play, genes: Sequence[int], feeds: Mapping[str, Feed]
) -> Iterator[Probe]:
    """Yield each Play that differs in one gene: one step up or down, any other value where it only names a choice.

    Those that decode to the champion itself, or to one already seen, are left out.
    """
    genome = experiment.search.genome
    seen = {play_hash(play)}
    for place, gene in enumerate(genome.genes):
        own = genes[place]
        others = (own - 1, own + 1) if gene.ordered else range(gene.size)
        for value in others:
            if not 0 <= value < gene.size:
                continue
            other = genome.decode([*genes[:place], value, *genes[place + 1 :]])
            name = play_hash(other)
            if name not in seen:
                seen.add(name)
                yield _probe(experiment, "neighbour", f"{gene.name} {own} to {value}", other, feeds)


def trade_probes(runs: Sequence[Simulation], cash: float) -> list[Probe]:
    """Return the total return without the best trades, of all datasets together."""
    profits = np.sort(np.concatenate([run.trades["net_pnl"] for run in runs if run.trades is not None]))[::-1]
    counts = [(f"{n} best trades left out", n) for n in _BEST_TRADES]
    counts.append(("best 5 % of trades left out", int(np.ceil(_BEST_SHARE * profits.size))))
    return [
        Probe("trades", label, None, float(profits[n:].sum() / (cash * len(runs))), max(profits.size - n, 0))
        for label, n in counts
    ]


def drawdown_probes(runs: Sequence[Simulation], cash: float, seed: int) -> list[Probe]:
    """Return the median and the 95th percentile of the deepest drawdown over 10,000 resamples of trades and of days.

    Trades in another order, and blocks of days (stationary bootstrap). Sharpe ratio and total return are left out: the
    order of trades does not change them.
    """
    rng = np.random.default_rng([seed, 2])
    by_trades, by_days = [], []
    for run in runs:
        returns = _trade_returns(run, cash)
        draws = (rng.permuted(np.tile(returns, (_CHUNK, 1)), axis=1) for _ in range(_RESAMPLES // _CHUNK))
        by_trades.append(np.concatenate([deepest(draw) for draw in draws]))
        indexes = stationary_indexes(run.daily_returns.size, _RESAMPLES, seed=int(rng.integers(2**31)))
        parts = (run.daily_returns[indexes[i : i + _CHUNK]] for i in range(0, _RESAMPLES, _CHUNK))
        by_days.append(np.concatenate([deepest(part) for part in parts]))
    probes = []
    for label, found in (("trades in another order", by_trades), ("blocks of days", by_days)):
        worst = np.max(found, axis=0)  # of the datasets
        for name, share in (("median", 0.5), ("95th percentile", 0.95)):
            value = float(np.quantile(worst, share))
            probes.append(Probe("drawdown", f"{label}, {name}", None, None, None, value))
    return probes


def _trade_returns(run: Simulation, cash: float) -> Floats:
    """Return each trade's net profit as a share of the equity before it."""
    assert run.trades is not None
    profits = run.trades["net_pnl"]
    before = cash + np.concatenate([[0.0], np.cumsum(profits)[:-1]])
    return np.where(before > 0.0, profits / np.where(before > 0.0, before, 1.0), 0.0)


def deepest(returns: Floats) -> Floats:
    """Return the deepest drawdown of each row of ``returns``, a fraction of the peak."""
    equity = np.cumprod(1.0 + np.maximum(returns, -1.0), axis=1)
    peaks = np.maximum(np.maximum.accumulate(equity, axis=1), 1.0)
    return np.asarray((1.0 - equity / peaks).max(axis=1, initial=0.0))


class DelayedColumns:
    """Feature columns seen ``bars`` late, so that every order is."""

    def __init__(self, source: ColumnSource, bars: int) -> None:
        self._source, self._bars = source, bars

    def column(self, reference: FeatureRef) -> Floats:
        """Return the column, ``bars`` late."""
        values = self._source.column(reference)
        return read_only(np.concatenate([np.full(self._bars, np.nan), values[: -self._bars]]))

    def quantized_column(self, reference: FeatureRef) -> Column:
        """Return the column, ``bars`` late, without codes."""
        return Column(self.column(reference))

    def warmup(self, reference: FeatureRef) -> int:
        """Return the column's warm-up and the delay."""
        return self._source.warmup(reference) + self._bars


def delayed(feeds: Mapping[str, Feed], bars: int) -> dict[str, Feed]:
    """Return ``feeds`` whose columns are ``bars`` late."""
    return {name: replace(feed, columns=DelayedColumns(feed.columns, bars)) for name, feed in feeds.items()}


def noisy(market: Market, rng: np.random.Generator) -> Market:
    """Return ``market`` with noise of 10 % of ATR(14) on every price; high and low stay the extremes."""
    bars = market.bars
    before = bars["close"].shift().fillna(bars["open"])
    ranges = np.maximum(bars["high"].to_numpy(), before) - np.minimum(bars["low"].to_numpy(), before)
    scale = _NOISE * pd.Series(ranges).rolling(_ATR, min_periods=1).mean().to_numpy()
    moved = {name: bars[name].to_numpy() + rng.standard_normal(len(bars)) * scale for name in _PRICES}
    high, low = (edge(list(moved.values()), axis=0) for edge in (np.max, np.min))
    if market.instrument.positive_prices:
        floor = bars["low"].to_numpy() / 2.0
        moved = {name: np.maximum(values, floor) for name, values in moved.items()}
        high, low = np.maximum(high, floor), np.maximum(low, floor)
    return market.with_bars(bars.assign(**(moved | {"high": high, "low": low})))


_PRICES = ("open", "high", "low", "close")


def _probe(experiment: Experiment, kind: str, variant: str, play: Play, feeds: Mapping[str, Feed]) -> Probe:
    return _figures(kind, variant, _simulations(experiment, play, feeds))


def _simulations(
    experiment: Experiment, play: Play, feeds: Mapping[str, Feed], *, record: bool = False
) -> list[Simulation]:
    return [simulate(play, feed, record=record, **experiment.terms) for feed in feeds.values()]


def _figures(kind: str, variant: str, runs: Sequence[Simulation]) -> Probe:
    metrics = np.array([run.metrics for run in runs])
    return Probe(
        kind, variant, _mean(metrics, SHARPE), _mean(metrics, TOTAL_RETURN), int(metrics[:, TOTAL_TRADES].sum())
    )


def _mean(metrics: NDArray[np.float64], column: int) -> float:
    """Return the mean over datasets, 0 for a dataset where the metric is undefined: nothing was traded there."""
    return float(np.nan_to_num(metrics[:, column]).mean())


def probe_table(probes: Sequence[Probe]) -> pd.DataFrame:
    """Return probes as a table."""
    return pd.DataFrame([vars(probe) for probe in probes])


def weaknesses(probes: Sequence[Probe]) -> list[str]:
    """Return in words what makes a champion fragile: twice the costs or the best 5 % of its trades left out turn it to
    a loss, or the median neighbour has less than half of its Sharpe ratio."""
    found = []
    of_costs = {probe.variant: probe for probe in probes if probe.kind == "costs"}
    twice, own = of_costs["x 2"], of_costs["x 1"]
    if (twice.total_return or 0.0) < 0.0:
        found.append(f"at twice the costs it loses ({twice.total_return:+.1%})")
    near = [probe.sharpe or 0.0 for probe in probes if probe.kind == "neighbour"]
    if near and float(np.median(near)) < 0.5 * (own.sharpe or 0.0):
        found.append(f"its median neighbour has a Sharpe ratio of {np.median(near):.2f}, itself {own.sharpe:.2f}")
    rest = next((probe for probe in probes if probe.variant == "best 5 % of trades left out"), None)
    if rest is not None and (rest.total_return or 0.0) < 0.0:
        found.append(f"without the best 5 % of its trades it loses ({rest.total_return:+.1%})")
    return found
