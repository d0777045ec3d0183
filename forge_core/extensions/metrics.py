"""Own metrics: a function of a backtest's trades, equity and daily returns."""

import inspect
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, PlayError
from forge_core.extension_files import register
from forge_core.metrics.catalog import METRIC_INDEX, Metric
from forge_core.metrics.own import MetricFunction, OwnMetric
from forge_core.source_hash import source_hash

Function = TypeVar("Function", bound=MetricFunction)


def metric(
    better: Literal["maximize", "minimize"],
    *,
    worst: float,
    cap: float | None = None,
    reference: float | None = None,
    scale: float = 1.0,
) -> Callable[[Function], Function]:
    """Register a function as a metric for objectives and constraints of studies, under its own name.

    The function takes ``trades`` (columns of ``BacktestResult.trades``), ``equity`` (at each close) and ``daily``
    (daily returns, an array), and returns a number, or None where it is undefined. ``worst``: value as an objective if
    it is undefined or the evaluation failed; values are clipped to it and to ``cap``. ``reference`` and ``scale`` are
    those of the hypervolume: a value ``scale`` better than ``reference`` (default: worst, or 0 if worst is below -1)
    counts one half.
    """

    def decorate(function: Function) -> Function:
        name = function.__name__
        if name in METRIC_INDEX:
            raise ConfigError(f"metric {name!r} has the name of one of Forge's metrics; rename it")
        if list(inspect.signature(function).parameters) != ["trades", "equity", "daily"]:
            raise ConfigError(f"metric {name}: expected def {name}(trades, equity, daily)")
        description = (inspect.getdoc(function) or name).splitlines()[0]
        definition = Metric(
            name, "", better, worst=worst, cap=cap, reference=reference, scale=scale, description=description
        )
        own = OwnMetric(definition, function, function.__code__.co_filename)
        _check(own)
        code = function.__code__
        register("metric", name, own, line=code.co_firstlineno, file=code.co_filename, source=source_hash(function))
        return function

    return decorate


def _check(own: OwnMetric) -> None:
    """Compute the metric of a backtest with trades and of one without, twice."""
    for trades, equity, daily in (_backtest(6), _backtest(0)):
        try:
            one, two = (own.value(trades.copy(), equity.copy(), daily.copy()) for _ in range(2))
        except PlayError as error:
            what = f" on a backtest of {len(trades)} trades; return None where the metric is undefined"
            raise ConfigError(f"{error}{what}") from None
        if not np.array_equal(one, two, equal_nan=True):
            raise ConfigError(f"metric {own.metric.name} has other values when computed again on the same backtest")


def _backtest(count: int) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Return trades, equity and daily returns of a made-up backtest of 40 days."""
    days = pd.date_range("2024-01-01", periods=40, freq="D", tz="UTC", unit="us", name="timestamp")
    daily = 0.01 * np.sin(np.arange(40.0)) if count else np.zeros(40)
    equity = pd.Series(100_000.0 * np.cumprod(1.0 + daily), index=days, name="equity")
    number = np.arange(count)
    pnl = np.where(number % 2 == 0, 500.0, -300.0)
    trades = pd.DataFrame(
        {
            "entry_time": days[5 * number],
            "entry_price": 100.0 + number,
            "exit_time": days[5 * number + 3],
            "exit_price": 101.0 + number,
            "side": np.where(number % 3 == 0, -1, 1),
            "quantity": 1.0 + number,
            "exit_reason": pd.array(["rule"] * count, dtype="str"),
            "bars_held": np.full(count, 3),
            "gross_pnl": pnl + 10.0,
            "commission": np.full(count, 10.0),
            "financing": np.zeros(count),
            "net_pnl": pnl,
            "return_pct": pnl / 1_000.0,
            "mae": np.full(count, -0.01),
            "mfe": np.full(count, 0.02),
            "switch": np.zeros(count, dtype=bool),
        }
    )
    return trades, equity, daily
