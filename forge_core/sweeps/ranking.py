"""Ranking of the results of a sweep by pooled returns, with monthly stability and neighbouring parameter sets.

A ratio over the few days of a month is mostly noise, and so is its mean over months. Ratios are therefore computed from
the pooled daily returns of all tests of a row, with the numbers of trades and days. Returns of several symbols or
intervals are pooled too: a contract with larger money moves has more weight, and several intervals of one symbol are
not independent. Use ``split`` to rank them separately.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import ConfigError, unknown
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import moments, ratio, tail
from forge_core.sweeps.loading import Filters, Results, load_results
from forge_core.sweeps.plan import SweepPlan

SPLITS = ("symbol", "interval")
_NEEDED = ("total_trades", "wins", "total_return", "max_drawdown", "net_profit", "gross_profit", "gross_loss")
_BETTER_LOW = {metric.name for metric in METRICS if metric.better == "minimize"} | {"month_return_std"}
_IDENTITY = ("strategy", "parameters", "options")
_RATIOS = ("sharpe", "sortino", "volatility", "var_95", "expected_shortfall_95", "skew", "kurtosis")
_FIGURES = (
    *("tests", "symbols", "intervals", "months", "total_trades", "days"),
    *("win_rate", "net_profit", "expectancy", "profit_factor"),
    *_RATIOS,
    *("positive_months", "month_return_mean", "month_return_median", "month_return_std"),
    *("month_return_worst", "month_return_best", "max_drawdown"),
)
_FAMILY = (
    *("parameter_sets", "sharpe_median", "positive_sets", "total_trades", "best_parameters"),
    *("best_sharpe", "best_total_trades", "best_days", "best_positive_months"),
    *("neighbour_sharpe", "neighbours_positive"),
)

Floats = NDArray[np.float64]


def rank(
    plan: SweepPlan, filters: Filters | None = None, *, split: Sequence[str] = (), sort: str = "sharpe"
) -> pd.DataFrame:
    """Return one row per strategy, parameters and options (and symbol or interval, with ``split``), sorted by ``sort``,
    best first.

    Columns: strategy, parameters and options (JSON); the counts tests, symbols, intervals, months, total_trades, days;
    pooled over all its tests: win_rate, net_profit, expectancy, profit_factor, sharpe, sortino, volatility, var_95,
    expected_shortfall_95, skew, kurtosis (formulas as in docs/metrics.md); by month (the return of a month is the mean
    of its tests): positive_months (share), month_return_mean, _median, _std, _worst, _best; max_drawdown (the
    worst of a single test); neighbours (parameter sets one step away on the grid), neighbour_sharpe (their mean) and
    neighbours_positive (share of them with a Sharpe ratio above zero). NaN where undefined. Raises ConfigError for
    an unknown column, symbol, interval or strategy.
    """
    filters = filters or Filters()
    for name in split:
        if name not in SPLITS:
            raise ConfigError(unknown("split", name, SPLITS))
    results = load_results(plan, filters, (*_NEEDED, "annualization"))
    table = _with_neighbours(_table(results, split), split)
    table = table[table["total_trades"] >= filters.min_trades]
    if sort not in table.columns or sort in _IDENTITY:
        raise ConfigError(unknown("column to sort by", sort, [c for c in table.columns if c not in _IDENTITY]))
    return table.sort_values(sort, ascending=sort in _BETTER_LOW, kind="stable").reset_index(drop=True)


def rank_strategies(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per strategy, options and split of a ranking over all its parameter sets, best first.

    Columns: strategy, options, symbol and interval where the ranking is split by them, parameter_sets, sharpe_median,
    positive_sets (share with a Sharpe ratio above zero), total_trades (all sets), best_parameters, and for these
    sharpe, total_trades, days, positive_months, neighbour_sharpe and neighbours_positive.
    """
    keys = ["strategy", "options", *(name for name in SPLITS if name in table.columns)]
    rows = []
    for values, group in table.groupby(keys, sort=False):
        sharpe = group["sharpe"]
        best = group.iloc[_best(sharpe)]
        rows.append(
            {
                **dict(zip(keys, values, strict=True)),
                "parameter_sets": len(group),
                "sharpe_median": sharpe.median(),
                "positive_sets": float((sharpe > 0).mean()),
                "total_trades": int(group["total_trades"].sum()),
                "best_parameters": best["parameters"],
                **{f"best_{name}": best[name] for name in ("sharpe", "total_trades", "days", "positive_months")},
                **{name: best[name] for name in ("neighbour_sharpe", "neighbours_positive")},
            }
        )
    families = pd.DataFrame(rows, columns=[*keys, *_FAMILY])
    return families.sort_values("sharpe_median", ascending=False, kind="stable").reset_index(drop=True)


def parameter_map(table: pd.DataFrame, strategy: str, column: str = "sharpe") -> pd.DataFrame | None:
    """Return ``column`` of one strategy over its two parameters with the most values, the others from its best row.

    ``index`` and ``columns`` are the values, named after the parameters; ``attrs["fixed"]`` holds the others. None
    if fewer than two parameters have several values. ``table`` is a ranking without ``split``.
    """
    rows = table[table["strategy"] == strategy]
    if rows.empty:
        raise ConfigError(unknown("strategy", strategy, set(table["strategy"])))
    parameters = pd.DataFrame([json.loads(text) for text in rows["parameters"]])
    counts = {str(name): len(set(parameters[name])) for name in parameters if _is_number(parameters[name])}
    axes = sorted((name for name in counts if counts[name] > 1), key=lambda name: -counts[name])[:2]
    if len(axes) < 2:
        return None
    values = rows[column].reset_index(drop=True)
    best = _best(values)
    fixed = {str(name): parameters[name].tolist()[best] for name in parameters if name not in axes}
    alike = (rows["options"] == rows["options"].iloc[best]).to_numpy()
    for name, value in fixed.items():
        alike = alike & (parameters[name] == value).to_numpy()
    shown = parameters[alike].assign(value=values[alike])
    grid = shown.set_index([axes[1], axes[0]])["value"].unstack().sort_index().sort_index(axis=1)  # noqa: PD010
    grid.attrs["fixed"] = fixed
    return grid


def _table(results: Results, split: Sequence[str]) -> pd.DataFrame:
    """Return one row per group, in the order of the plan."""
    keys = [results.variant]
    for name in split:
        labels = [getattr(task, name) for task in results.tasks]
        codes = np.array([sorted(set(labels)).index(label) for label in labels], np.int64)
        keys.append(codes[results.task])
    groups, group = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(groups) + 1))
    columns = {name: values[order] for name, values in results.columns.items()}
    rows = []
    for number, key in enumerate(groups):
        tests = order[bounds[number] : bounds[number + 1]]
        of_group = {name: values[bounds[number] : bounds[number + 1]] for name, values in columns.items()}
        variant = results.plan.spec.variants[key[0]]
        first = results.tasks[results.task[tests[0]]]
        rows.append(
            {
                "strategy": variant.strategy.name,
                "parameters": variant.parameters_json,
                "options": variant.options_json,
                **{name: getattr(first, name) for name in split},
                **_summary(results, tests, of_group),
            }
        )
    return pd.DataFrame(rows, columns=[*_IDENTITY, *split, *_FIGURES])


def _summary(results: Results, tests: NDArray[np.int64], columns: Mapping[str, Floats]) -> dict[str, Any]:
    """Return the figures of one group of tests."""
    tasks = [results.tasks[k] for k in np.unique(results.task[tests])]
    daily = _pooled(results, tests)
    days = np.diff(results.offsets)[tests]
    years = (days / columns["annualization"]).sum()  # of all tests together, at their own number of periods per year
    trades, wins = columns["total_trades"].sum(), columns["wins"].sum()
    profit, loss = columns["gross_profit"].sum(), columns["gross_loss"].sum()
    month = results.month[tests]
    by_month = np.bincount(month, columns["total_return"]) / np.maximum(np.bincount(month), 1)
    returns = by_month[np.unique(month)]
    return {
        "tests": tests.size,
        "symbols": len({task.symbol for task in tasks}),
        "intervals": len({task.interval for task in tasks}),
        "months": returns.size,
        "total_trades": int(trades),
        "days": int(daily.size),
        "win_rate": ratio(wins, trades),
        "net_profit": float(columns["net_profit"].sum()),
        "expectancy": ratio(profit + loss, trades),
        "profit_factor": ratio(profit, -loss),
        **_pooled_ratios(daily, float(days.sum() / years)),
        "positive_months": float((returns > 0).mean()),
        "month_return_mean": float(returns.mean()),
        "month_return_median": float(np.median(returns)),
        "month_return_std": float(returns.std(ddof=1)) if returns.size > 1 else math.nan,
        "month_return_worst": float(returns.min()),
        "month_return_best": float(returns.max()),
        "max_drawdown": float(columns["max_drawdown"].max()),
    }


def _pooled_ratios(daily: Floats, annualization: float) -> dict[str, float]:
    if daily.size < 2:
        return dict.fromkeys(_RATIOS, math.nan)
    mean, deviation, downside, skew, kurtosis = moments(daily)
    year = math.sqrt(annualization)
    sharpe, sortino = ratio(mean, deviation) * year, ratio(mean, downside) * year
    values = (sharpe, sortino, deviation * year, *tail(daily), skew, kurtosis)
    return {name: float(value) for name, value in zip(_RATIOS, values, strict=True)}


def _pooled(results: Results, tests: NDArray[np.int64]) -> Floats:
    """Return the concatenated daily returns of ``tests``."""
    begins, lengths = results.offsets[tests], np.diff(results.offsets)[tests]
    ends = np.cumsum(lengths)
    where = np.arange(ends[-1] if ends.size else 0) + np.repeat(begins - (ends - lengths), lengths)
    return results.returns[where].astype(np.float64)


def _with_neighbours(table: pd.DataFrame, split: Sequence[str]) -> pd.DataFrame:
    """Add the figures of the parameter sets one step away: a peak with poor neighbours is probably luck."""
    found = pd.DataFrame(
        {"neighbours": 0, "neighbour_sharpe": math.nan, "neighbours_positive": math.nan}, index=table.index
    )
    for _, group in table.groupby(["strategy", "options", *split], sort=False):
        parameters = [json.loads(text) for text in group["parameters"]]
        names = list(parameters[0])
        steps = {
            name: {value: step for step, value in enumerate(sorted({p[name] for p in parameters}))}
            for name in names
            if all(isinstance(p[name], int | float) for p in parameters)
        }
        places = {
            tuple(steps[name][p[name]] if name in steps else p[name] for name in names): value
            for p, value in zip(parameters, group["sharpe"], strict=True)
        }
        for row, place in zip(group.index, places, strict=True):
            moves = itertools.product((k for k, name in enumerate(names) if name in steps), (-1, 1))
            near = [(*place[:k], place[k] + step, *place[k + 1 :]) for k, step in moves]
            sharpes = np.array([places[spot] for spot in near if spot in places], np.float64)
            known = sharpes[~np.isnan(sharpes)]
            found.loc[row, "neighbours"] = sharpes.size
            if known.size:
                found.loc[row, ["neighbour_sharpe", "neighbours_positive"]] = [known.mean(), (known > 0).mean()]
    return pd.concat([table, found], axis=1)


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _best(values: pd.Series) -> int:
    """Return the position of the highest value, 0 if all are undefined."""
    return int(np.argmax(values.fillna(-math.inf).to_numpy()))
