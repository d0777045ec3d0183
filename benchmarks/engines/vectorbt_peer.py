"""vectorbt with its numba or Rust backend: numpy signals, ``Portfolio.from_signals``, metrics by its own methods."""

from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from benchmarks.engines import Trades
from benchmarks.engines.inputs import Columns, Inputs
from benchmarks.engines.signals import Mask, compute_signals
from benchmarks.job import CASH, Job

# pandas corrects skew and kurtosis for bias; vectorbt counts a year in returns and a drawdown in bars, Forge by the
# calendar, which differs where bars are missing
_DEFINED_DIFFERENTLY = ("skew", "kurtosis", "cagr", "calmar", "longest_drawdown")


class Vectorbt:
    """Shifts signals of bar i to bar i + 1 and fills at its open, as vectorbt's documentation advises."""

    def __init__(self, job: Job, backend: str) -> None:
        self._inputs = Inputs.of(job)
        self._close = pd.Series(self._inputs.close, index=self._inputs.index)
        self._fees = (job.commission_bps or 0.0) / 10_000
        self._measure = {"all": _metrics, "own": _own_report, "none": lambda _: {}}[job.metrics]
        vbt.settings["engine"] = backend

    def run(self) -> None:
        self._measure(self._portfolio(self._inputs.columns))

    def run_with_indicators(self) -> None:
        self._measure(self._portfolio(self._inputs.compute_columns()))

    def reset_indicators(self) -> None:
        """Do nothing: no indicators are stored."""

    def trades(self) -> Trades:
        records = self._portfolio(self._inputs.columns).trades.records
        closed = records[records["status"] == vbt.portfolio.enums.TradeStatus.Closed]
        times = self._inputs.index.asi8
        return {
            "entry_time": times[closed["entry_idx"].to_numpy()].tolist(),
            "exit_time": times[closed["exit_idx"].to_numpy()].tolist(),
            "side": np.where(closed["direction"] == vbt.portfolio.enums.TradeDirection.Long, 1, -1).tolist(),
            "entry_price": closed["entry_price"].tolist(),
            "exit_price": closed["exit_price"].tolist(),
        }

    def figures(self) -> dict[str, float]:
        metrics = _metrics(self._portfolio(self._inputs.columns))
        return {name: value for name, value in metrics.items() if name not in _DEFINED_DIFFERENTLY}

    def _portfolio(self, columns: Columns) -> Any:
        signals = compute_signals(self._inputs.play, columns, self._inputs.first_signal)
        return vbt.Portfolio.from_signals(
            self._close,
            entries=_next_bar(signals.enter_long),
            exits=_next_bar(signals.exit_long),
            short_entries=_next_bar(signals.enter_short),
            short_exits=_next_bar(signals.exit_short),
            price=self._inputs.open,
            size=self._inputs.play.risk.size.value,
            fees=self._fees,
            init_cash=CASH,
            upon_opposite_entry="Reverse",
            freq=self._inputs.play.timeframe.replace("m", "min"),
        )


def _next_bar(mask: Mask) -> Mask:
    shifted = np.empty_like(mask)
    shifted[0] = False
    shifted[1:] = mask[:-1]
    return shifted


def _metrics(portfolio: Any) -> dict[str, float]:
    """Compute the metrics that Forge computes, as far as vectorbt has them; ratios of daily returns, as in Forge.

    Daily returns are cheaper than vectorbt's default per-bar returns: 1,461 values per ratio instead of 139,361.
    """
    trades = portfolio.trades
    value = portfolio.value()
    daily = value.resample("1D").last().dropna()
    returns = daily.pct_change()
    returns.iloc[0] = daily.iloc[0] / CASH - 1.0
    account = returns.vbt.returns(freq="1D", year_freq="365D")
    return {
        "total_trades": trades.count(),
        "wins": trades.winning.count(),
        "losses": trades.losing.count(),
        "win_rate": trades.win_rate(),
        "total_return": portfolio.total_return(),
        "cagr": account.annualized(),
        "average_return": trades.returns.mean(),
        "expectancy": trades.expectancy(),
        "profit_factor": trades.profit_factor(),
        "max_drawdown": -portfolio.max_drawdown(),
        "longest_drawdown": portfolio.drawdowns.max_duration() / pd.Timedelta(days=1),
        "sharpe": account.sharpe_ratio(),
        "sortino": account.sortino_ratio(),
        "calmar": account.calmar_ratio(),
        "var_95": account.value_at_risk(),
        "expected_shortfall_95": account.cond_value_at_risk(),
        "volatility": account.annualized_volatility(),
        "skew": returns.skew(),
        "kurtosis": returns.kurtosis(),
        "exposure": portfolio.position_coverage(),
        "average_bars_held": trades.duration.mean(),
        "commission": portfolio.orders.fees.sum(),
        "net_profit": portfolio.total_profit(),
        "final_equity": portfolio.final_value(),
        "days": len(returns),
    }


def _own_report(portfolio: Any) -> pd.Series:
    report: pd.Series = portfolio.stats()
    return report
