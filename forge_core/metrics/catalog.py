"""Catalogue of summary metrics: name, definition, and use as an objective.

The order of ``METRICS`` is the order of every metrics vector (``metrics.summary.summarize`` fills it).
"""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from forge_core.errors import ConfigError, unknown


@dataclass(frozen=True)
class Metric:
    """One summary metric.

    ``better`` is the direction of optimization, None if neither is better. The value of an objective is ``worst`` if
    the metric is undefined or the evaluation failed, ``cap`` if it is undefined because there was no loss (no losing
    trade, no losing day), and is clipped to both. ``needs`` is the input required: at least one trade, at least two
    daily returns, or neither. ``undefined`` is the condition under which it is undefined in spite of that input.

    ``desirability`` of an objective is 0 at ``reference`` and 1 at ``ideal``. It is linear between the two if ``scale``
    is None. Otherwise it approaches 1 asymptotically (maximize: the ideal is infinity), and is one half at a distance
    of ``scale`` from the finite bound.
    """

    name: str
    unit: str
    better: Literal["maximize", "minimize"] | None
    _: KW_ONLY
    worst: float
    cap: float | None = None
    reference: float | None = None  # for the hypervolume; None: worst, or 0 if maximized and worst is below -1
    ideal: float = 0.0  # for the hypervolume, if scale is None
    scale: float | None = None
    needs: Literal["trades", "days"] | None = None
    description: str
    undefined: str = ""
    source: str = ""

    @property
    def reference_value(self) -> float:
        """Reference value of the hypervolume; 0 rather than an extreme ``worst`` such as a Sharpe ratio of -20."""
        if self.reference is not None:
            return self.reference
        return 0.0 if self.better == "maximize" and self.worst < -1.0 else self.worst

    @property
    def integer(self) -> bool:
        """Whether the metric is a count."""
        return self.unit == "count"


SHORT_PERIOD = "the period is shorter than 360 days and is not annualized"
_NO_VARIANCE = "all daily returns are equal"
_NO_MARGIN = "the instrument has no initial margin"

METRICS: tuple[Metric, ...] = (
    Metric(
        "total_trades", "count", None, worst=0.0, description="Closed trades; each leg of a rolled position is one."
    ),
    Metric("wins", "count", None, worst=0.0, description="Trades with a net P&L above zero."),
    Metric("losses", "count", None, worst=0.0, description="Trades with a net P&L below zero."),
    Metric(
        "win_rate", "fraction", "maximize", worst=0.0, ideal=1.0, needs="trades", description="wins / total_trades."
    ),
    Metric(
        "total_return",
        "fraction",
        "maximize",
        worst=-1.0,
        scale=1.0,
        cap=1e6,
        description="final_equity / starting cash - 1.",
    ),
    Metric(
        "cagr",
        "fraction a year",
        "maximize",
        worst=-1.0,
        scale=1.0,
        cap=1e6,
        description=(
            "Compound annual growth rate, (1 + total_return)^(1 / years) - 1, in calendar years of 365.25 days "
            "from the open of the first bar to the close of the last; -1 after ruin. Not annualized under 360 days "
            "(a trading year without the holidays at its ends)."
        ),
        undefined=SHORT_PERIOD,
        source="CFA Institute, Global Investment Performance Standards for Firms, 2020: no annualizing under a year",
    ),
    Metric(
        "average_return",
        "fraction",
        "maximize",
        worst=-1.0,
        reference=0.0,
        scale=0.01,
        needs="trades",
        description="Mean over trades of net P&L / notional at entry.",
    ),
    Metric(
        "expectancy",
        "money",
        "maximize",
        worst=-1e9,
        scale=100.0,
        needs="trades",
        description="Mean net P&L of a trade.",
    ),
    Metric(
        "profit_factor",
        "ratio",
        "maximize",
        worst=0.0,
        scale=1.0,
        cap=100.0,
        needs="trades",
        description="Net P&L of the wins / -(net P&L of the losses).",
        undefined="no losing trade",
        source="Pardo, The Evaluation and Optimization of Trading Strategies, 2008",
    ),
    Metric(
        "max_drawdown",
        "fraction",
        "minimize",
        worst=1.0,
        description=(
            "Largest fall of the equity marked at each close from its running peak, as a fraction of that peak; "
            "above 1 when equity falls below zero. A fall inside a bar counts only as far as it closed the position; "
            "the trades' mae includes the rest."
        ),
        source="Magdon-Ismail and Atiya, Maximum Drawdown, Risk 17(10), 2004",
    ),
    Metric(
        "longest_drawdown",
        "days",
        "minimize",
        worst=36_525.0,
        scale=365.0,
        description="Longest time from a peak of marked equity to the last close below it, in calendar days.",
    ),
    Metric(
        "sharpe",
        "ratio a year",
        "maximize",
        worst=-20.0,
        scale=1.0,
        cap=20.0,
        needs="days",
        description=(
            "mean(r) / std(r, ddof=1) * sqrt(annualization) of the daily returns r; the risk-free rate is zero."
        ),
        undefined=_NO_VARIANCE,
        source="Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21(1), 1994",
    ),
    Metric(
        "sortino",
        "ratio a year",
        "maximize",
        worst=-20.0,
        scale=1.0,
        cap=100.0,
        needs="days",
        description=(
            "mean(r) / sqrt(mean(min(r, 0)^2)) * sqrt(annualization) of the daily returns r; the target is zero."
        ),
        undefined="no losing day",
        source=(
            "Sortino and Price, Performance Measurement in a Downside Risk Framework, Journal of Investing 3(3), 1994"
        ),
    ),
    Metric(
        "calmar",
        "ratio a year",
        "maximize",
        worst=-100.0,
        scale=1.0,
        cap=100.0,
        description="cagr / max_drawdown, over the whole period; undefined where cagr is.",
        undefined="no drawdown",
        source="Young, Calmar Ratio: A Smoother Tool, Futures 20, 1991",
    ),
    Metric(
        "var_95",
        "fraction",
        "maximize",
        worst=-1.0,
        needs="days",
        description=(
            "Historical value at risk: the 5th percentile of the daily returns, interpolated linearly; a loss is "
            "negative."
        ),
        source="Jorion, Value at Risk, 3rd ed., 2006",
    ),
    Metric(
        "expected_shortfall_95",
        "fraction",
        "maximize",
        worst=-1.0,
        needs="days",
        description=(
            "Mean of the daily returns at or below the 5th percentile: the floor(0.05 (n - 1)) + 1 lowest of n. "
            "Of returns equal to the percentile no more than that number count; otherwise days of zero return would "
            "dilute the losses of a strategy that is mostly out of the market."
        ),
        source=("Acerbi and Tasche, On the Coherence of Expected Shortfall, Journal of Banking and Finance 26, 2002"),
    ),
    Metric(
        "volatility",
        "fraction a year",
        "minimize",
        worst=100.0,
        scale=0.5,
        needs="days",
        description="std(r, ddof=1) * sqrt(annualization) of the daily returns r.",
    ),
    Metric(
        "skew",
        "ratio",
        "maximize",
        worst=-1e3,
        scale=1.0,
        needs="days",
        description="Third standardized moment of the daily returns, m3 / m2^1.5, biased (divided by n).",
        undefined=_NO_VARIANCE,
        source="Joanes and Gill, Comparing Measures of Sample Skewness and Kurtosis, The Statistician 47, 1998",
    ),
    Metric(
        "kurtosis",
        "ratio",
        "minimize",
        worst=1e6,
        scale=10.0,
        needs="days",
        description=(
            "Fourth standardized moment of the daily returns, m4 / m2^2, biased, not excess kurtosis (3 for a normal"
            " distribution), as in the deflated Sharpe ratio."
        ),
        undefined=_NO_VARIANCE,
        source=("Bailey and Lopez de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014"),
    ),
    Metric(
        "exposure", "fraction", "minimize", worst=1.0, description="Bars at whose close a position was held / bars."
    ),
    Metric(
        "average_bars_held",
        "bars",
        None,
        worst=0.0,
        needs="trades",
        description="Mean number of bars a trade was held.",
    ),
    Metric(
        "turnover",
        "times a year",
        "minimize",
        worst=1e9,
        scale=50.0,
        description="Notional of all fills / starting cash / years.",
        undefined="the period has no length",
    ),
    Metric(
        "ambiguity_rate",
        "fraction",
        "minimize",
        worst=1.0,
        needs="trades",
        description=(
            "Ambiguous bars / total_trades. Such a bar ends a trade, so this is the share of trades whose exit is "
            "determined by the same-bar policy, not by the data."
        ),
    ),
    Metric(
        "total_return_contract",
        "fraction",
        "maximize",
        worst=-1e6,
        scale=1.0,
        description=(
            "Sum over trades of net P&L / (value at entry of the contracts traded): a sum of returns, not compounded."
        ),
    ),
    Metric(
        "average_return_contract",
        "fraction",
        "maximize",
        worst=-1.0,
        reference=0.0,
        scale=0.01,
        needs="trades",
        description=(
            "total_return_contract / total_trades (percent of contract in futures trading; equal to average_return)."
        ),
    ),
    Metric(
        "total_return_margin",
        "fraction",
        "maximize",
        worst=-1e6,
        scale=1.0,
        description=(
            "Sum over trades of net P&L / (initial margin of the contracts traded): a sum of returns, not compounded."
        ),
        undefined=_NO_MARGIN,
    ),
    Metric(
        "average_return_margin",
        "fraction",
        "maximize",
        worst=-1e3,
        scale=0.1,
        needs="trades",
        description="total_return_margin / total_trades.",
        undefined=_NO_MARGIN,
    ),
    Metric(
        "points",
        "price points",
        "maximize",
        worst=-1e9,
        scale=1000.0,
        description="Sum over trades of side * (exit price - entry price).",
    ),
    Metric(
        "commission",
        "money",
        "minimize",
        worst=1e12,
        scale=10_000.0,
        description="Commissions and liquidation fees paid.",
    ),
    Metric(
        "financing",
        "money",
        "minimize",
        worst=1e12,
        scale=10_000.0,
        description="Borrow and funding paid; negative if more was received.",
    ),
    Metric(
        "net_profit",
        "money",
        "maximize",
        worst=-1e12,
        scale=100_000.0,
        description="final_equity - starting cash: the sum of the net P&L of all trades.",
    ),
    Metric("final_equity", "money", "maximize", worst=-1e12, scale=100_000.0, description="Equity after the last bar."),
    Metric(
        "days",
        "count",
        None,
        worst=0.0,
        description="Number of daily returns, one per trade date, from which the risk metrics are computed.",
    ),
    Metric(
        "rejected_orders",
        "count",
        None,
        worst=0.0,
        description=(
            "Entry orders that opened no position: insufficient margin or cash, less than one lot, no volume in the "
            "bar, a level without a distance, or a roll without rollover."
        ),
    ),
    Metric(
        "volume_capped",
        "count",
        None,
        worst=0.0,
        description="Entry orders reduced to the maximum share of the bar's volume (10 % by default).",
    ),
)

METRIC_INDEX: dict[str, int] = {metric.name: index for index, metric in enumerate(METRICS)}


def get_metric(name: str) -> Metric:
    """Return the metric named ``name``, or raise ConfigError with the nearest name."""
    if name not in METRIC_INDEX:
        raise ConfigError(unknown("metric", name, METRIC_INDEX))
    return METRICS[METRIC_INDEX[name]]
