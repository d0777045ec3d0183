"""The result of a backtest: trades, equity and metrics, as tables, files and figures."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.exit_reasons import EXIT_REASONS
from forge_core.engine.kernel.params import Policy
from forge_core.feeds.feed import Feed, Floats
from forge_core.files import write_json, write_table, write_text
from forge_core.metrics.returns import drawdown
from forge_core.metrics.trade import FLAGS, TIMES, TRADE
from forge_core.metrics.trades import per_trade
from forge_core.metrics.values import MetricValues
from forge_core.plays.model import Play
from forge_core.plays.parser import play_to_yaml

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class BacktestResult:
    """Result of one Play on one feed.

    Attributes
    ----------
    play, feed, costs, cash
        Inputs of the backtest; ``cash`` is the starting equity in quote currency.
    trades : DataFrame
        One row per closed trade, in order of exit; the columns of ``docs/fill_contract.md``. Times are UTC,
        ``return_pct``, ``mae`` and ``mfe`` percent, prices and money in quote currency.
    equity : Series
        Marked at each close, indexed by the bars' CLOSE time (open time + timeframe), UTC; money.
    daily_returns : Series
        One simple return per trade date of the instrument's session, fractions; the index is the date.
    metrics : MetricValues
        Every metric of ``docs/metrics.md`` by name; None where undefined, with the reason in ``metrics.undefined``.
    policy, fills
        The fill policy and the fill rules of the backtest.
    source
        The dataset's name, empty for bars in memory.
    """

    play: Play
    feed: Feed
    costs: Costs
    cash: float
    trades: pd.DataFrame
    equity: pd.Series
    daily_returns: pd.Series
    metrics: MetricValues
    policy: Policy = "pessimistic"
    fills: FillRules = STRICT
    source: str = ""

    @classmethod
    def from_arrays(
        cls,
        *,
        play: Play,
        feed: Feed,
        costs: Costs,
        cash: float,
        vector: Floats,
        daily: Floats,
        trades: NDArray[np.void],
        equity: Floats,
        policy: Policy = "pessimistic",
        fills: FillRules = STRICT,
        source: str = "",
    ) -> Self:
        """Build a result from the kernel's arrays.

        ``vector``: metrics, shape (len(METRICS),). ``daily``: shape (feed.days,). ``equity``: at the closes of bars
        ``feed.start`` to the last, shape (len(feed) - feed.start,). ``trades``: records of ``metrics.trade.TRADE``.
        Raises ValueError if a shape does not fit the feed.
        """
        bars, days = len(feed) - feed.start, np.unique(feed.day[feed.start :])
        if equity.shape != (bars,):
            raise ValueError(f"equity has shape {equity.shape}; bars {feed.start} to the last are {bars}")
        if daily.shape != days.shape:
            raise ValueError(f"daily returns have shape {daily.shape}; the feed has {days.size} trade dates")
        closes = pd.DatetimeIndex(_utc(feed.time[feed.start :] + feed.bar_microseconds), name="timestamp")
        dates = pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[us]"), name="date")
        return cls(
            play=play,
            feed=feed,
            costs=costs,
            cash=float(cash),
            trades=trades_table(trades),
            equity=pd.Series(equity, index=closes, name="equity"),
            daily_returns=pd.Series(daily, index=dates, name="return"),
            metrics=MetricValues(vector),
            policy=policy,
            fills=fills,
            source=source,
        )

    @property
    def drawdown(self) -> pd.Series:
        """Drawdown at each close: the fall from the running peak (starting cash included) as a fraction of the peak."""
        falls = drawdown(np.concatenate([[self.cash], self.equity.to_numpy()]))[1:]
        return pd.Series(falls, index=self.equity.index, name="drawdown")

    def trade_metrics(self) -> pd.DataFrame:
        """Return each trade's points, dollars, percent of contract, percent of margin and commission."""
        return per_trade(self.trades, self.feed.instrument)

    def summary(self) -> str:
        """Return the headline and every metric as text, one per line."""
        texts = self.metrics.texts()
        width = max(len(name) for name in texts)
        return "\n".join([self.headline, "", *(f"{name:<{width}}  {text}" for name, text in texts.items())])

    @property
    def headline(self) -> str:
        """Return one line with Play, symbol, timeframe, period, bars and cash."""
        first, last = pd.to_datetime([self.feed.time[self.feed.start], self.feed.time[-1]], unit="us")
        return (
            f"{self.play.name} on {self.feed.instrument.symbol} {self.feed.timeframe}, {first:%Y-%m-%d %H:%M} to "
            f"{last:%Y-%m-%d %H:%M} UTC, {self.equity.size:,} bars, cash {self.cash:,.2f}"
        )

    def to_parquet(self, folder: str | Path) -> Path:
        """Write trades, equity and daily returns (Parquet), metrics (JSON) and the Play (YAML) to ``folder``.

        Each file is written atomically, ``metrics.json`` last: a folder that has it is complete. Undefined values are
        null. Returns the folder.
        """
        folder = Path(folder)
        done = folder / "metrics.json"
        done.unlink(missing_ok=True)
        write_table(folder / "trades.parquet", _arrow(self.trades))
        write_table(folder / "equity.parquet", _arrow(self.equity.reset_index()))
        write_table(folder / "daily_returns.parquet", _arrow(self.daily_returns.reset_index()))
        write_text(folder / "play.yaml", play_to_yaml(self.play))
        write_json(
            done,
            {
                "symbol": self.feed.instrument.symbol,
                "timeframe": self.feed.timeframe,
                "cash": self.cash,
                "costs": self.costs.model_dump(),
                "metrics": dict(self.metrics),
                "undefined": self.metrics.undefined,
            },
        )
        return folder

    def plot(
        self, *, start: str | pd.Timestamp | None = None, end: str | pd.Timestamp | None = None, points: int = 2_000
    ) -> "go.Figure":
        """Return a plotly figure of price with entries and exits, equity, and drawdown.

        ``start`` and ``end`` (UTC) select a window. Lines are downsampled to about ``points`` points, extremes
        kept; a window of few bars is drawn as candles. Raises DataError for a window without bars.
        """
        from forge_core.engine.report.figure import result_figure  # plotly is slow to import

        return result_figure(self, start=start, end=end, points=points)

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one HTML page that needs no network; return ``path``. See docs/reports.md."""
        from forge_core.engine.simulate import ENGINE_VERSION
        from forge_core.reports.play import play_page

        path = Path(path)
        write_text(path, play_page(self, versions={"engine": ENGINE_VERSION}))
        return path

    def __repr__(self) -> str:
        texts = self.metrics.texts()
        shown = ", ".join(
            f"{name} {texts[name]}" for name in ("total_trades", "total_return", "max_drawdown", "sharpe")
        )
        return f"<BacktestResult {self.headline}: {shown}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td style='text-align:right'>{html.escape(text)}</td></tr>"
            for name, text in self.metrics.texts().items()
        )
        return f"<table><caption>{html.escape(self.headline)}</caption>{rows}</table>"


def _utc(microseconds: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.asarray(microseconds, np.int64).view("datetime64[us]")).tz_localize("UTC")


def trades_table(trades: NDArray[np.void]) -> pd.DataFrame:
    """Return the trades as a table: times in UTC, reasons by name, NaN for what is undefined."""

    def column(name: str) -> Any:
        values = trades[name]
        if name in TIMES:
            return _utc(values)
        if name in FLAGS:
            return values.astype(np.bool_)
        if name == "exit_reason":
            return pd.array(np.array(EXIT_REASONS)[values], dtype="str")
        if values.dtype == np.float64:  # a percentage of an entry price of zero is undefined
            return np.where(np.isfinite(values), values, np.nan)
        return values.copy()

    return pd.DataFrame({name: column(name) for name in TRADE.names or ()})


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)
