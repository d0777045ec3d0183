"""Walk-forward: the whole search repeated on the past alone, each champion traded on the days that follow.

The trade dates of all train datasets are divided into ``windows + 1`` blocks of equal length. Window w is searched on
the blocks before block w (anchored) or on the one before it (rolling), and its champion trades block w, flat at both
ends. Nothing has to be purged: blocks begin and end flat, and features are causal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.simulate import simulate
from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evidence.statistics.sharpe import sharpe_p_value, sharpe_ratio
from forge_core.evolution.search.generation import Individual
from forge_core.metrics.summary import SHARPE, TOTAL_TRADES
from forge_core.plays.model import Play

_LEAST_SHARE = 0.5  # of the share of the dataset that a window holds most of


class Period(NamedTuple):
    """Trade dates (days since 1970-01-01), both included."""

    first: int
    last: int


@dataclass(frozen=True)
class Window:
    """The days a search sees, and those its champion then trades."""

    train: Period
    test: Period


@dataclass(frozen=True)
class WindowResult:
    """One window: the champion's hash (None: nothing was feasible, so nothing was traded), its Sharpe ratio a year on
    the train days (mean over datasets), and its daily ``returns`` on the test ``days`` with their ``trades``."""

    play: str | None
    train_sharpe: float | None
    days: NDArray[np.int64]
    returns: NDArray[np.float64]
    trades: int


@dataclass(frozen=True)
class Stitched:
    """All windows in a row. ``sharpe`` and ``train_sharpe`` are yearly; ``efficiency`` is the one over the other, None
    where the latter is not positive; ``p``: one-sided, of H0 that the true Sharpe ratio is at most 0."""

    days: NDArray[np.int64]
    returns: NDArray[np.float64]
    total_return: float
    sharpe: float
    train_sharpe: float | None
    efficiency: float | None
    p: float


def make_windows(markets: Mapping[str, Market], count: int, *, rolling: bool = False) -> list[Window]:
    """Return ``count`` windows over the trade dates of ``markets``; fewer where there are not enough days."""
    days = np.unique(np.concatenate([market.days for market in markets.values()]))
    blocks = [block for block in np.array_split(days, count + 1) if block.size]
    return [
        Window(
            Period(int(blocks[w - 1][0] if rolling else days[0]), int(blocks[w - 1][-1])),
            Period(int(blocks[w][0]), int(blocks[w][-1])),
        )
        for w in range(1, len(blocks))
    ]


def train_markets(markets: Mapping[str, Market], period: Period) -> tuple[dict[str, Market], float]:
    """Return the markets cut to ``period``, and the share of each one's days that the search has at least.

    A dataset takes part once the period holds at least half as large a share of it as of any other: a few days of a
    dataset would be judged as if they were all of it.
    """
    shares = {}
    for name, market in markets.items():
        days = market.days
        shares[name] = float(((days >= period.first) & (days <= period.last)).mean())
    most = max(shares.values())
    taken = [name for name, share in shares.items() if share > 0.0 and share >= _LEAST_SHARE * most]
    return {n: markets[n].window(period.first, period.last) for n in taken}, min(shares[n] for n in taken)


def run_window(
    experiment: Experiment, markets: Mapping[str, Market], window: Window, *, workers: int = 1, draw: bool = False
) -> WindowResult:
    """Search the train days of ``window`` and trade its champion on the test days.

    ``draw``: take as many Plays at random instead. Bounds on counts of trades shrink with the days.
    """
    train, share = train_markets(markets, window.train)
    each = experiment.shortened(share)
    found = (each.draw if draw else each.run)(train, workers)
    champion = found.champion
    play = None if champion is None else experiment.search.genome.decode(champion.genes)
    days, returns, trades = trade_period(experiment, play, markets, window.test)
    if champion is None:
        return WindowResult(None, None, days, returns, trades)
    return WindowResult(champion.play, _train_sharpe(champion), days, returns, trades)


def _train_sharpe(champion: Individual) -> float:
    return float(np.nan_to_num(champion.evaluation.metrics[:, SHARPE]).mean())


def trade_period(
    experiment: Experiment, play: Play | None, markets: Mapping[str, Market], period: Period
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Return trade dates, daily returns and trades of ``play`` from ``period.first`` to ``period.last``, flat at both
    ends; equal weights where several markets trade on a date, zeros without a Play."""
    all_days, all_returns, trades = [], [], 0
    for market in markets.values():
        days = market.days
        if not ((days >= period.first) & (days <= period.last)).any():
            continue
        cut = market.window(period.first, period.last)
        if play is None:
            returns = np.zeros(cut.days.size)
        else:
            result = simulate(play, cut.feed(), **experiment.terms)
            returns = result.daily_returns
            trades += int(result.metrics[TOTAL_TRADES])
        all_days.append(cut.days)
        all_returns.append(returns)
    return *mean_by_day(all_days, all_returns), trades


def mean_by_day(
    days: Sequence[NDArray[np.int64]], returns: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each trade date once, with the mean of the returns on it."""
    dates, place = np.unique(np.concatenate(days), return_inverse=True)
    return dates, np.bincount(place, np.concatenate(returns)) / np.bincount(place)


def stitch(results: Sequence[WindowResult], annualization: int) -> Stitched:
    """Join the test days of all windows; ``annualization`` is the number of daily returns a year."""
    days = np.concatenate([result.days for result in results])
    returns = np.concatenate([result.returns for result in results])
    trained = [result.train_sharpe for result in results if result.train_sharpe is not None]
    train = float(np.mean(trained)) if trained else None
    yearly = sharpe_ratio(returns) * float(np.sqrt(annualization))
    return Stitched(
        days=days,
        returns=returns,
        total_return=float(np.prod(1.0 + returns) - 1.0),
        sharpe=yearly,
        train_sharpe=train,
        efficiency=yearly / train if train is not None and train > 0.0 else None,
        p=sharpe_p_value(returns),
    )
