"""Portfolios: a few Plays, each with a share of the capital, on one calendar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.covariance import LedoitWolf

from forge_core.engine.backtest import backtest
from forge_core.engine.report.result import BacktestResult
from forge_core.errors import ConfigError, DataError, unknown
from forge_core.metrics.returns import from_daily_returns
from forge_core.plays.model import Play

Weighting = Literal["equal", "inverse_volatility", "minimum_variance"]
MIN_DAYS = 60  # in each half
_FIGURES = ("total_return", "sharpe", "sortino", "max_drawdown", "volatility")


@dataclass(frozen=True)
class Portfolio:
    """Parts with their ``weights``, and growth of 1 of each part and of the ``portfolio`` from ``start`` on.

    The weights are those of the days before ``start``, which are in no figure. Each part trades its own share of the
    capital and pays its own costs; nothing is moved between parts, so there is no cost of rebalancing. ``figures``: a
    row for each part and for the portfolio. ``correlation``: of the parts' daily returns.
    """

    weighting: Weighting
    weights: pd.Series
    start: pd.Timestamp
    growth: pd.DataFrame = field(repr=False)
    figures: pd.DataFrame = field(repr=False)
    correlation: pd.DataFrame = field(repr=False)


def portfolio(
    parts: Mapping[str, tuple[Play, str]],
    *,
    weighting: Weighting = "equal",
    start: str | None = None,
    cash: float = 100_000.0,
) -> Portfolio:
    """Weight Plays on datasets; ``parts``: Play and dataset by name.

    ``start``: the day from which on the portfolio is held; the weights are fitted before. By default the middle of the
    parts' common period. Raises ConfigError for fewer than two parts or an unknown weighting, DataError where the
    common period is too short.
    """
    results = {name: backtest(play, dataset, cash=cash) for name, (play, dataset) in parts.items()}
    returns = {name: result.daily_returns for name, result in results.items()}
    return weigh(returns, weighting=weighting, start=start, a_year=_annualization(list(results.values())))


def weigh(
    returns: Mapping[str, pd.Series],
    *,
    weighting: Weighting = "equal",
    start: str | None = None,
    a_year: float = 252.0,
) -> Portfolio:
    """Return the portfolio of daily ``returns`` by date; see ``portfolio``. A day without a bar of a part returns 0."""
    if len(returns) < 2:
        raise ConfigError(f"a portfolio of {len(returns)} part; expected two or more")
    if weighting not in get_args(Weighting):
        raise ConfigError(unknown("weighting", weighting, get_args(Weighting)))
    table = _common(returns)
    split = table.index[len(table) // 2] if start is None else pd.Timestamp(start)
    before, after = table[table.index < split], table[table.index >= split]
    if min(len(before), len(after)) < MIN_DAYS:
        raise DataError(
            f"the parts have {len(table)} common days, {len(before)} before {split:%Y-%m-%d} and {len(after)} after; "
            f"expected {MIN_DAYS} or more in each part"
        )
    weights = pd.Series(fit_weights(before, weighting), index=table.columns, name="weight")
    growth = (1.0 + after).cumprod()
    growth["portfolio"] = growth[list(table.columns)] @ weights
    daily = growth.pct_change()
    daily.iloc[0] = growth.iloc[0] - 1.0
    years = len(after) / a_year
    figures = pd.DataFrame({name: from_daily_returns(daily[name], a_year, years) for name in growth}).T
    return Portfolio(weighting, weights, split, growth, figures[list(_FIGURES)].astype(float), after.corr())


def fit_weights(returns: pd.DataFrame, weighting: Weighting) -> np.ndarray:
    """Return non-negative weights that sum to 1. A part without variance gets none, unless weights are equal.

    ``minimum_variance``: of the covariance shrunk as Ledoit and Wolf do (A well-conditioned estimator for
    large-dimensional covariance matrices, 2004).
    """
    count = returns.shape[1]
    if weighting == "equal":
        return np.full(count, 1.0 / count)
    deviation = returns.std().to_numpy()
    active = deviation > 0.0
    if not active.any():
        raise DataError("no part traded before the portfolio starts, so there is nothing to weigh by")
    weights = np.zeros(count)
    if weighting == "inverse_volatility":
        weights[active] = 1.0 / deviation[active]
        return weights / weights.sum()
    covariance = LedoitWolf().fit(returns.to_numpy()[:, active]).covariance_
    covariance = covariance / np.trace(covariance)
    size = int(active.sum())
    found = minimize(
        lambda w: w @ covariance @ w,
        np.full(size, 1.0 / size),
        jac=lambda w: 2.0 * covariance @ w,
        bounds=[(0.0, 1.0)] * size,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    weights[active] = np.maximum(found.x, 0.0)
    return weights / weights.sum()


def _common(returns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the returns of all parts from the latest first day to the earliest last, on the union of their days."""
    first = max(series.index[0] for series in returns.values())
    last = min(series.index[-1] for series in returns.values())
    if first >= last:
        spans = ", ".join(f"{name} {s.index[0]:%Y-%m-%d} to {s.index[-1]:%Y-%m-%d}" for name, s in returns.items())
        raise DataError(f"the parts have no common period: {spans}")
    table = pd.DataFrame(dict(returns)).sort_index()
    return table[(table.index >= first) & (table.index <= last)].fillna(0.0)


def _annualization(results: Sequence[BacktestResult]) -> float:
    return float(max(result.feed.instrument.annualization for result in results))
