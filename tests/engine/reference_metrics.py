"""The metrics of a backtest in plain Python, from its trades and its equity at each close: formulas of docs/metrics.md.

The pass of the kernel that evolution uses records neither: it adds up as it goes, and skips over quiet bars.
"""

import math
from collections.abc import Sequence

import numpy as np

from forge_core.feeds.feed import Feed
from forge_core.metrics import returns

DAY = 86_400_000_000


def daily_returns(feed: Feed, equity: Sequence[float], cash: float) -> list[float]:
    """The return of each trade date from bar ``start`` on: equity at its last close over that of the date before."""
    ends = {int(day): equity[k] for k, day in enumerate(feed.day[feed.start :])}
    found, before = [], cash
    for value in ends.values():
        found.append(max(value / before - 1.0, -1.0) if before > 0 else 0.0)
        before = value
    return found


def drawdowns(feed: Feed, equity: Sequence[float], cash: float) -> tuple[float, float]:
    """The deepest fall from the running peak, a fraction of it, and the longest time below one, days."""
    time = feed.time[feed.start :].tolist()
    peak, peak_time, deepest, longest = cash, time[0], 0.0, 0
    for moment, value in zip(time, equity, strict=True):
        if value >= peak:
            peak, peak_time = value, moment
        else:
            deepest = max(deepest, (peak - value) / peak)
            longest = max(longest, moment - peak_time)
    return deepest, longest / DAY


def expected_metrics(
    feed: Feed,
    trades: Sequence[dict],
    equity: Sequence[float],
    *,
    cash: float,
    exposed: int,
    ambiguous: int,
    ruined: bool,
    rejected: int,
    capped: int,
) -> dict[str, float]:
    """Every metric by name, NaN where it is undefined."""
    instrument, net, number = feed.instrument, [trade["net_pnl"] for trade in trades], len(trades)
    value = [trade["quantity"] * instrument.multiplier * abs(trade["entry_price"]) for trade in trades]
    sold = [trade["quantity"] * instrument.multiplier * abs(trade["exit_price"]) for trade in trades]
    shares = [n / v if v > 0 else 0.0 for n, v in zip(net, value, strict=True)]
    margins = [n / (instrument.initial_margin * t["quantity"]) for n, t in zip(net, trades, strict=True) if has(feed)]
    final = equity[-1]
    growth = final / cash - 1
    years = float(feed.time[-1] + feed.bar_microseconds - feed.time[feed.start]) / (365.25 * DAY)
    deepest, longest = drawdowns(feed, equity, cash)
    yearly = -1.0 if ruined else returns.cagr(growth, years)
    daily = daily_returns(feed, equity, cash)
    gains, losses = math.fsum(n for n in net if n > 0), math.fsum(n for n in net if n < 0)

    def mean(total: float) -> float:
        return total / number if number else math.nan

    return {
        "total_trades": number,
        "wins": sum(n > 0 for n in net),
        "losses": sum(n < 0 for n in net),
        "win_rate": mean(sum(n > 0 for n in net)),
        "total_return": growth,
        "cagr": yearly,
        "average_return": mean(math.fsum(shares)),
        "expectancy": mean(math.fsum(net)),
        "profit_factor": gains / -losses if losses else math.nan,
        "max_drawdown": deepest,
        "longest_drawdown": longest,
        "sharpe": returns.sharpe(daily, instrument.annualization),
        "sortino": returns.sortino(daily, instrument.annualization),
        "calmar": yearly / deepest if deepest else math.nan,
        "var_95": returns.value_at_risk(daily),
        "expected_shortfall_95": returns.expected_shortfall(daily),
        "volatility": returns.volatility(daily, instrument.annualization),
        "skew": returns.skew(daily),
        "kurtosis": returns.kurtosis(daily),
        "exposure": exposed / len(equity),
        "average_bars_held": mean(sum(trade["bars_held"] for trade in trades)),
        "turnover": (math.fsum(value) + math.fsum(sold)) / cash / years,
        "ambiguity_rate": mean(ambiguous),
        "total_return_contract": math.fsum(shares),
        "average_return_contract": mean(math.fsum(shares)),
        "total_return_margin": math.fsum(margins) if has(feed) or not trades else math.nan,
        "average_return_margin": mean(math.fsum(margins)) if has(feed) else math.nan,
        "points": math.fsum(t["side"] * (t["exit_price"] - t["entry_price"]) for t in trades),
        "commission": math.fsum(trade["commission"] for trade in trades),
        "financing": math.fsum(trade["financing"] for trade in trades),
        "net_profit": final - cash,
        "final_equity": final,
        "days": np.unique(feed.day[feed.start :]).size,
        "rejected_orders": rejected,
        "volume_capped": capped,
    }


def has(feed: Feed) -> bool:
    """Whether the instrument states a margin."""
    return feed.instrument.initial_margin > 0
