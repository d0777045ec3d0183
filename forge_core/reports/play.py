"""The report of one backtest."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import pandas as pd

from forge_core.feeds.feed import Feed
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import periods_a_year
from forge_core.metrics.values import MetricValues
from forge_core.plays.canonical import play_hash
from forge_core.plays.describe import describe_play
from forge_core.plays.model import Play
from forge_core.plays.parser import play_to_yaml
from forge_core.reports import charts, html
from forge_core.reports.figures import (
    drawdown_episodes,
    groupings,
    held_bars,
    monthly_returns,
    rolling_sharpe,
    slippage_paid,
)

LIBRARIES = ("forge-evolve", "numba", "numpy", "pandas", "ta-lib")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CARDS = (
    ("total_return", "total return"),
    ("cagr", "growth"),
    ("sharpe", "Sharpe ratio"),
    ("sortino", "Sortino ratio"),
    ("max_drawdown", "largest drawdown"),
    ("profit_factor", "profit factor"),
    ("total_trades", "trades"),
    ("win_rate", "won"),
    ("exposure", "exposure"),
)
_DAY = 86_400_000_000  # microseconds
_EPISODES = 10
_STRONGEST_MONTH = 0.9  # quantile of the months' returns that has the strongest color


class Result(Protocol):
    """What a report reads of a ``BacktestResult``."""

    @property
    def play(self) -> Play: ...
    @property
    def feed(self) -> Feed: ...
    @property
    def costs(self) -> Any: ...
    @property
    def cash(self) -> float: ...
    @property
    def trades(self) -> pd.DataFrame: ...
    @property
    def equity(self) -> pd.Series: ...
    @property
    def daily_returns(self) -> pd.Series: ...
    @property
    def metrics(self) -> MetricValues: ...
    @property
    def policy(self) -> str: ...
    @property
    def fills(self) -> Any: ...
    @property
    def source(self) -> str: ...
    @property
    def drawdown(self) -> pd.Series: ...
    @property
    def headline(self) -> str: ...


def play_page(result: Result, *, versions: Mapping[str, str] | None = None) -> str:
    """Return the report of one backtest as a page; ``versions`` are added to those of the libraries."""
    parts = [
        html.heading(result.play.name, 1),
        html.paragraph(result.headline),
        *summary_parts(result),
        html.heading("Rules"),
        *rules_parts(result.play),
        html.heading("Terms"),
        *terms_parts(result, versions or {}),
        *performance_parts(result),
        *trade_parts(result),
        html.heading("All metrics"),
        metrics_table(result.metrics),
        html.heading(f"All {len(result.trades):,} trades"),
        trade_list(result),
    ]
    return html.page(f"{result.play.name}: {result.feed.instrument.symbol} {result.feed.timeframe}", parts)


def rules_parts(play: Play) -> list[str]:
    """Return the rules in words and as YAML."""
    words = "".join(html.paragraph(line) for line in describe_play(play).splitlines())
    return [words, html.details("YAML", html.code(play_to_yaml(play)), opened=True)]


def summary_parts(result: Result) -> list[str]:
    """Return the headline figures, and buy and hold."""
    texts = result.metrics.texts()
    held = hold_curve(result)
    pairs = [(label, "-" if name in result.metrics.undefined else texts[name]) for name, label in _CARDS]
    pairs.insert(1, ("buy and hold", f"{held.iloc[-1] / result.cash - 1.0:+.2%}"))
    return [html.cards(pairs)]


def terms_parts(result: Result, versions: Mapping[str, str]) -> list[str]:
    """Return instrument, costs, fill policy, versions, and the command that reproduces the figures."""
    instrument, costs = result.feed.instrument, result.costs.model_dump()
    own = all(getattr(instrument, name) == value for name, value in costs.items())
    paid = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in costs.items() if value) or "none"
    fills = ", ".join(f"{name} {value}" for name, value in result.fills.model_dump().items())
    whose = "the instrument's own" if own else "given"
    installed = {name: version(name) for name in LIBRARIES}
    rows = [
        ("instrument", f"{instrument.symbol}, {instrument.kind}, tick {instrument.tick:g}, lot {instrument.lot:g}, "
                       f"multiplier {instrument.multiplier:g}"),
        ("data", result.source or "bars in memory"),
        ("costs", f"{paid} ({whose})"),
        ("fill policy", f"{result.policy}; {fills}"),
        ("cash", f"{result.cash:,.2f}"),
        ("Play hash", play_hash(result.play)),
        ("versions", ", ".join(f"{name} {number}" for name, number in {**installed, **versions}.items())),
    ]  # fmt: skip
    return [
        html.table(("term", "value"), rows).replace("<table", '<table class="terms"'),
        html.paragraph("Reproduce with the YAML above as play.yaml:"),
        html.code(reproduction(result, own)),
    ]


def reproduction(result: Result, own_costs: bool) -> str:
    """Return the command that repeats the backtest, or a call in Python where the command has no such option."""
    name = result.source.split(" ")[0]
    strict = result.fills == type(result.fills)()
    costs = {key: value for key, value in result.costs.model_dump().items() if value}
    if name and strict and own_costs and result.policy != "replay":
        command = f"forge play backtest play.yaml --dataset {name} --cash {result.cash:.10g} --policy {result.policy}"
        return command + " --html report.html"
    data = repr(name) if name else "bars"
    given = ", ".join(f"{key}={value!r}" for key, value in costs.items())
    call = f"forge_core.backtest('play.yaml', {data}, cash={result.cash:.10g}, policy={result.policy!r}"
    call += "" if own_costs else f", costs=forge_core.Costs({given})"
    if not strict:
        changed = ", ".join(f"{key}={value!r}" for key, value in result.fills.model_dump().items())
        call += f", fills=forge_core.FillRules({changed})"
    return call + (", finer=finer_bars)" if result.policy == "replay" else ")")


def performance_parts(result: Result) -> list[str]:
    """Return equity, drawdown, months, rolling Sharpe ratio, exposure and worst drawdowns."""
    held = hold_curve(result)
    a_year = annualization(result)
    days = result.daily_returns.size
    window = int(min(max(a_year / 2, 20), max(days // 4, 5)))
    opens = pd.DatetimeIndex(result.feed.time[result.feed.start :].view("datetime64[us]"), tz="UTC")
    inside = pd.Series(held_bars(result.trades, opens).astype(float), index=opens)
    share = 100 * inside.resample("MS").mean()
    return [
        html.heading("Performance"),
        charts.time_chart(
            "Equity",
            [charts.Line("buy and hold", held, charts.GREY), charts.Line(result.play.name, result.equity)],
            height=300,
        ),
        charts.time_chart(
            "Drawdown", [charts.Line("", -100 * result.drawdown, charts.RED, fill=True)], height=150, unit=" %"
        ),
        html.heading("Returns by month, %", 3),
        months_table(result.daily_returns),
        html.columns(
            charts.time_chart(
                f"Sharpe ratio over {window} trade dates",
                [charts.Line("", rolling_sharpe(result.daily_returns, window, a_year))],
                height=180,
            ),
            charts.time_chart(
                "Exposure by month", [charts.Line("", share, charts.GREEN, fill=True)], height=180, unit=" %"
            ),
        ),
        html.heading("Worst drawdowns", 3),
        episodes_table(result),
    ]


def hold_curve(result: Result) -> pd.Series:
    """Return the equity of buying at the first open, unlevered, without costs and without the gaps of rolls."""
    feed = result.feed
    close = feed.close[feed.start :].copy()
    if feed.rolls is not None:
        bars = np.flatnonzero(feed.rolls[feed.start + 1 :]) + feed.start + 1
        gaps = np.zeros(len(feed))
        gaps[bars] = feed.open[bars] - feed.close[bars - 1]
        close -= np.cumsum(gaps)[feed.start :]
    return pd.Series(result.cash * close / feed.open[feed.start], index=result.equity.index, name="buy and hold")


def annualization(result: Result) -> float:
    """Return the trade dates a year that the metrics use."""
    feed = result.feed
    stated = float(feed.instrument.annualization)
    return float(periods_a_year(result.daily_returns.size, feed.years, feed.bar_microseconds, stated))


def months_table(daily: pd.Series) -> str:
    """Return the table of months by years."""
    months = monthly_returns(daily)
    strongest = float(np.nanquantile(np.abs(months[list(range(1, 13))].to_numpy()), _STRONGEST_MONTH))
    rows = [(str(year), [*row]) for year, row in zip(months.index, months.to_numpy().tolist(), strict=True)]
    return html.heat_table(("year", *_MONTHS, "year"), rows, strongest)


def episodes_table(result: Result) -> str:
    """Return the table of the worst drawdowns."""
    rows = [
        (
            f"{episode['peak']:%Y-%m-%d}",
            f"{episode['trough']:%Y-%m-%d}",
            "not yet" if episode["recovered"] is None else f"{episode['recovered']:%Y-%m-%d}",
            f"{episode['depth']:.2%}",
            f"{episode['days']:,}",
        )
        for episode in drawdown_episodes(result.equity, result.cash, _EPISODES)
    ]
    return html.table(("peak", "trough", "recovered", "depth", "days"), rows)


def trade_parts(result: Result) -> list[str]:
    """Return the charts and tables of the trades: on the price, costs, MAE and MFE, and by kind."""
    trades = result.trades
    won = trades["net_pnl"] > 0
    feed = result.feed
    close = pd.Series(feed.close[feed.start :], index=result.equity.index)
    segments = (("won", charts.GREEN, trades[won]), ("lost", charts.RED, trades[~won]))
    parts = [
        html.heading("Trades"),
        charts.time_chart(
            f"{feed.instrument.symbol} and all trades, from entry to exit",
            [charts.Line("close", close, charts.GREY)],
            height=300,
            segments=segments,
        ),
    ]
    if trades.empty:
        return [*parts, html.paragraph("There was no trade.")]
    return [
        *parts,
        html.heading("Costs", 3),
        costs_table(result),
        html.columns(
            _excursions("Largest loss inside the trade (MAE)", trades, "mae", won),
            _excursions("Largest profit inside the trade (MFE)", trades, "mfe", won),
        ),
        charts.histogram("Return of a trade", trades["return_pct"], xlabel="%", ylabel="trades"),
        html.columns(
            *(
                html.heading(f"By {name}", 3) + groups_table(name, table)
                for name, table in groupings(trades, intraday=feed.bar_microseconds < _DAY).items()
            )
        ),
    ]


def _excursions(title: str, trades: pd.DataFrame, column: str, won: pd.Series) -> str:
    groups = [
        ("lost", charts.RED, trades[column][~won], trades["return_pct"][~won]),
        ("won", charts.GREEN, trades[column][won], trades["return_pct"][won]),
    ]
    return charts.scatter_chart(title, groups, xlabel=f"{column.upper()}, %", ylabel="return, %", radius=5)


def slippage_of(result: Result) -> np.ndarray:
    """Return the money that each trade paid in slippage."""
    instrument, costs = result.feed.instrument, result.costs
    return slippage_paid(
        result.trades,
        bps=costs.slippage_bps,
        per_unit=costs.slippage_ticks * instrument.tick,
        multiplier=instrument.multiplier,
        liquidated_at_price=instrument.maintenance_margin_rate > 0.0,
    )


def costs_table(result: Result) -> str:
    """Return gross profit before slippage, each cost, and what remains, in money and relative to the starting cash."""
    trades = result.trades
    slippage = float(slippage_of(result).sum())
    gross = float(trades["gross_pnl"].sum())
    rows = [
        ("profit before costs", gross + slippage),
        ("slippage", -slippage),
        ("commission", -float(trades["commission"].sum())),
        ("financing (borrow, funding)", -float(trades["financing"].sum())),
        ("net profit", float(trades["net_pnl"].sum())),
    ]
    return html.table(
        ("", "money", "of the cash", "a trade"),
        [(name, f"{v:+,.2f}", f"{v / result.cash:+.2%}", f"{v / len(trades):+,.2f}") for name, v in rows],
    )


def groups_table(name: str, groups: pd.DataFrame) -> str:
    """Return the figures of groups of trades."""
    rows = [
        (
            str(key),
            f"{row['trades']:,.0f}",
            f"{row['win_rate']:.0%}",
            f"{row['average_return']:+.2f} %",
            f"{row['average_bars']:,.1f}",
            f"{row['net_pnl']:+,.2f}",
        )
        for key, row in groups.to_dict("index").items()
    ]
    return html.table((name, "trades", "won", "mean return", "bars", "net profit"), rows, sortable=True)


def metrics_table(metrics: MetricValues) -> str:
    """Return every metric with its unit."""
    texts = metrics.texts()
    return html.table(("metric", "value", "unit"), [(m.name, texts[m.name], m.unit) for m in METRICS])


def trade_list(result: Result) -> str:
    """Return all trades in order of exit, sorted by a click on a heading."""
    form = "%Y-%m-%d" if result.feed.bar_microseconds >= _DAY else "%Y-%m-%d %H:%M"
    columns = (
        *("#", "entry", "side", "quantity", "price", "exit", "price", "reason", "bars", "slippage", "commission"),
        *("financing", "net profit", "return %", "MAE %", "MFE %"),
    )
    records = result.trades.to_dict("records")
    rows = (
        (
            str(number),
            format(trade["entry_time"], form),
            "long" if trade["side"] > 0 else "short",
            f"{trade['quantity']:,.6g}",
            f"{trade['entry_price']:,.10g}",
            format(trade["exit_time"], form),
            f"{trade['exit_price']:,.10g}",
            str(trade["exit_reason"]),
            f"{trade['bars_held']:,}",
            f"{slipped:,.2f}",
            f"{trade['commission']:,.2f}",
            f"{trade['financing']:,.2f}",
            f"{trade['net_pnl']:+,.2f}",
            f"{trade['return_pct']:+.2f}",
            f"{trade['mae']:.2f}",
            f"{trade['mfe']:.2f}",
        )
        for number, (trade, slipped) in enumerate(zip(records, slippage_of(result), strict=True), start=1)
    )
    return html.table(columns, rows, sortable=True, tall=True)
