"""Figures of a report, from the trades, equity and daily returns of a backtest."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WITHOUT_SLIPPAGE = ("take_profit",)


def monthly_returns(daily: pd.Series) -> pd.DataFrame:
    """Return the compound return of each month, a row a year and columns 1 to 12, and ``year``; NaN without days.

    ``daily``: simple returns by date.
    """
    dates = pd.DatetimeIndex(daily.index)
    growth = pd.Series(1.0 + daily.to_numpy(np.float64))
    months = growth.groupby([dates.year, dates.month]).prod() - 1.0
    table = months.unstack().reindex(columns=range(1, 13))  # noqa: PD010
    table.index.name, table.columns.name = "year", None
    table["year"] = growth.groupby(dates.year).prod() - 1.0
    return table


def rolling_sharpe(daily: pd.Series, window: int, a_year: float) -> pd.Series:
    """Return the annualized Sharpe ratio of the last ``window`` returns by date; NaN before, and without variance."""
    rolled = daily.rolling(window)
    deviation = rolled.std(ddof=1)
    return (rolled.mean() / deviation.where(deviation > 1e-12) * np.sqrt(a_year)).rename("sharpe")


def held_bars(trades: pd.DataFrame, opens: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Return for each bar whether a position was held at its close; ``opens`` are the bars' open times."""
    steps = np.zeros(len(opens) + 1, np.int64)
    first = np.minimum(opens.searchsorted(trades["entry_time"]), len(opens) - 1)
    last = np.minimum(opens.searchsorted(trades["exit_time"]), len(opens) - 1)
    np.add.at(steps, first, 1)
    np.add.at(steps, last, -1)
    return np.cumsum(steps)[:-1] > 0


def drawdown_episodes(equity: pd.Series, cash: float, count: int) -> list[dict[str, Any]]:
    """Return the ``count`` deepest falls from a peak: ``peak``, ``trough`` and ``recovered`` (None: not yet), ``depth``
    (share of the peak), ``days`` from peak to recovery or to the end."""
    values = np.concatenate([[cash], equity.to_numpy(np.float64)])
    times = pd.DatetimeIndex(equity.index)
    times = times.insert(0, times[0])
    peaks = np.maximum.accumulate(values)
    under = values < peaks
    edges = np.flatnonzero(np.diff(np.concatenate([[False], under, [False]]).astype(np.int8)))
    episodes = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        trough = begin + int(np.argmin(values[begin:end] / peaks[begin:end]))
        back = end < values.size
        last = times[end] if back else times[-1]
        episodes.append(
            {
                "peak": times[begin - 1],
                "trough": times[trough],
                "recovered": times[end] if back else None,
                "depth": float(1.0 - values[trough] / peaks[trough]),
                "days": (last - times[begin - 1]).days,
            }
        )
    return sorted(episodes, key=lambda episode: -episode["depth"])[:count]


def slippage_paid(
    trades: pd.DataFrame, *, bps: float, per_unit: float, multiplier: float, liquidated_at_price: bool
) -> Floats:
    """Return the money that each trade lost to slippage at entry and exit.

    ``bps`` of the price and ``per_unit`` of the price in quote currency, as docs/fill_contract.md applies them; a
    target pays none, and a liquidation none where it fills at its price.
    """
    free = [*_WITHOUT_SLIPPAGE, *(["liquidation"] if liquidated_at_price else [])]
    side = trades["side"].to_numpy(np.float64)
    entry = _slip(trades["entry_price"].to_numpy(np.float64), side, bps, per_unit)
    exit_ = _slip(trades["exit_price"].to_numpy(np.float64), -side, bps, per_unit)
    exit_ = np.where(trades["exit_reason"].isin(free), 0.0, exit_)
    return np.asarray((entry + exit_) * trades["quantity"].to_numpy(np.float64) * multiplier)


def _slip(fill: Floats, direction: Floats, bps: float, per_unit: float) -> Floats:
    """Return the distance between the fill and the price before slippage; ``direction`` is +1 for a buy."""
    price = (fill - direction * per_unit) / (1.0 + direction * np.sign(fill) * bps / 1e4)
    return np.abs(fill - price)


def trade_groups(trades: pd.DataFrame, keys: pd.Series, order: list[Any] | None = None) -> pd.DataFrame:
    """Return the figures of the trades of each key: trades, win_rate, average_return (%), average_bars, net_pnl."""
    if trades.empty:
        return pd.DataFrame(columns=["trades", "win_rate", "average_return", "average_bars", "net_pnl"])
    grouped = trades.assign(won=trades["net_pnl"] > 0).groupby(keys.to_numpy(), sort=True)
    table = grouped.agg(
        trades=("net_pnl", "size"),
        win_rate=("won", "mean"),
        average_return=("return_pct", "mean"),
        average_bars=("bars_held", "mean"),
        net_pnl=("net_pnl", "sum"),
    )
    return table if order is None else table.reindex([key for key in order if key in table.index])


def groupings(trades: pd.DataFrame, *, intraday: bool) -> dict[str, pd.DataFrame]:
    """Return ``trade_groups`` by exit reason, side, weekday and, of intraday bars, hour of the entry (UTC)."""
    side = trades["side"].map({1: "long", -1: "short"})
    weekday = trades["entry_time"].dt.day_of_week.map(dict(enumerate(WEEKDAYS)))
    found = {
        "exit reason": trade_groups(trades, trades["exit_reason"]),
        "side": trade_groups(trades, side),
        "weekday of entry": trade_groups(trades, weekday, list(WEEKDAYS)),
    }
    if intraday:
        hours = trades["entry_time"].dt.strftime("%H:00")
        found["hour of entry, UTC"] = trade_groups(trades, hours)
    return found
