"""Plotly figure of a backtest: price with trades, equity, drawdown; downsampled, for years of minute bars."""

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from forge_core.errors import DataError
from forge_core.feeds.feed import Floats
from forge_core.plotting.downsample import thin

if TYPE_CHECKING:
    from forge_core.engine.report.result import BacktestResult

CANDLES = 700  # most bars that are drawn as candles

_GREEN, _RED, _BLUE, _ORANGE, _GREY = "#1a936f", "#c8553d", "#2b59c3", "#e08e1b", "#5c6773"


def result_figure(
    result: "BacktestResult",
    *,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    points: int = 2_000,
) -> go.Figure:
    """Return the figure of ``BacktestResult.plot``; raises DataError for a window without bars."""
    window = _window(result, start, end)
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[0.5, 0.3, 0.2])
    _draw_price(figure, result, window, points)
    time = pd.DatetimeIndex(result.equity.index[window]).tz_localize(None)
    _draw_line(figure, 2, time, result.equity.to_numpy()[window], points, "equity", _BLUE)
    _draw_line(
        figure,
        3,
        time,
        -100.0 * result.drawdown.to_numpy()[window],
        points,
        "drawdown",
        _RED,
        fill="tozeroy",
        unit=" %",
    )
    figure.update_layout(
        template="plotly_white",
        height=820,
        margin={"l": 70, "r": 20, "t": 60, "b": 40},
        title={"text": html.escape(result.headline), "x": 0.01, "font": {"size": 15}},
        modebar={"remove": ["sendChartToCloud", "lasso2d", "select2d"]},  # no uploads
        legend={
            "orientation": "h",
            "y": 1.0,
            "yanchor": "bottom",
            "x": 1.0,
            "xanchor": "right",
            "itemsizing": "constant",
        },
        hovermode="closest",
    )
    figure.update_xaxes(rangeslider_visible=False, showgrid=True)
    symbol = html.escape(result.feed.instrument.symbol)
    for row, title in enumerate((f"{symbol} {result.feed.timeframe}", "equity", "drawdown, %"), start=1):
        figure.update_yaxes(title_text=title, row=row, col=1)
    return figure


def _window(result: "BacktestResult", start: str | pd.Timestamp | None, end: str | pd.Timestamp | None) -> slice:
    index = result.equity.index
    first = 0 if start is None else int(index.searchsorted(_timestamp(start), side="right"))
    last = len(index) if end is None else int(index.searchsorted(_timestamp(end), side="right"))
    if first >= last:
        raise DataError(f"no bars between {start} and {end}; expected a window within {index[0]} to {index[-1]}")
    return slice(first, last)


def _timestamp(value: str | pd.Timestamp) -> pd.Timestamp:
    stamp = pd.Timestamp(value)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _microseconds(stamp: pd.Timestamp) -> int:
    return int(stamp.tz_localize(None).to_datetime64().astype("datetime64[us]").astype(np.int64))


def _draw_price(figure: go.Figure, result: "BacktestResult", window: slice, points: int) -> None:
    """Draw the price and every trade in row 1."""
    feed = result.feed
    bars = slice(feed.start + window.start, feed.start + window.stop)
    opens = pd.DatetimeIndex(feed.time[bars].view("datetime64[us]"))
    if len(opens) <= CANDLES:
        figure.add_trace(
            go.Candlestick(
                x=opens,
                open=feed.open[bars],
                high=feed.high[bars],
                low=feed.low[bars],
                close=feed.close[bars],
                name="price",
                increasing_line_color="#8fb9aa",
                decreasing_line_color="#d9a79d",
                showlegend=False,
            ),
            row=1,
            col=1,
        )
    else:
        closes = opens + pd.Timedelta(feed.bar_microseconds, unit="us")
        _draw_line(figure, 1, closes, feed.close[bars], points, "close", _GREY)

    first = pd.Timestamp(feed.time[bars][0], unit="us", tz="UTC")
    last = pd.Timestamp(result.equity.index[window.stop - 1])
    trades = result.trades[(result.trades["exit_time"] >= first) & (result.trades["entry_time"] <= last)]
    _draw_trades(figure, trades, first, last)
    figure.update_xaxes(range=[first.tz_localize(None), last.tz_localize(None)])


def _draw_trades(figure: go.Figure, trades: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> None:
    """Draw entries, exits and a line between them, within ``first`` to ``last``."""
    size = 10 if len(trades) <= 60 else 7 if len(trades) <= 300 else 5
    won = trades["net_pnl"] > 0
    for name, some, color in (("won", trades[won], _GREEN), ("lost", trades[~won], _RED)):
        _draw_holdings(figure, name, some, color, first, last)
    for name, kind, color in (("exit, won", won, _GREEN), ("exit, lost", ~won, _RED)):
        some = trades[kind & (trades["exit_time"] <= last)]
        words = [
            f"{reason}: net {net:,.2f} ({percent:+.2f} %)"
            for reason, net, percent in zip(some["exit_reason"], some["net_pnl"], some["return_pct"], strict=True)
        ]
        _draw_markers(
            figure, name, some["exit_time"], some["exit_price"], words, symbol="x", size=size - 1, color=color
        )
    for name, side, marker, color in (
        ("long entry", 1, "triangle-up", _BLUE),
        ("short entry", -1, "triangle-down", _ORANGE),
    ):
        some = trades[(trades["side"] == side) & (trades["entry_time"] >= first)]
        words = [f"{quantity:,.6g}" for quantity in some["quantity"]]
        _draw_markers(
            figure, name, some["entry_time"], some["entry_price"], words, symbol=marker, size=size, color=color
        )


def _draw_holdings(
    figure: go.Figure, name: str, trades: pd.DataFrame, color: str, first: pd.Timestamp, last: pd.Timestamp
) -> None:
    """Draw a line from entry to exit of each trade, clipped to the window, as one trace."""
    entry, exit_ = (trades[column].astype("int64").to_numpy() for column in ("entry_time", "exit_time"))
    begin, end = np.maximum(entry, _microseconds(first)), np.minimum(exit_, _microseconds(last))
    slope = (trades["exit_price"] - trades["entry_price"]).to_numpy() / np.maximum(exit_ - entry, 1)
    price = trades["entry_price"].to_numpy()
    none = np.full(len(trades), np.nan)
    time = np.stack([begin, end, end], axis=1).ravel().view("datetime64[us]")
    figure.add_trace(
        go.Scatter(
            x=time,
            y=np.stack([price + slope * (begin - entry), price + slope * (end - entry), none], axis=1).ravel(),
            mode="lines",
            line={"color": color, "width": 1.2},
            opacity=0.7,
            name=name,
            hoverinfo="skip",
            showlegend=False,
        ),
        row=1,
        col=1,
    )


def _draw_markers(
    figure: go.Figure,
    name: str,
    time: pd.Series,
    price: pd.Series,
    words: list[str],
    *,
    symbol: str,
    size: int,
    color: str,
) -> None:
    figure.add_trace(
        go.Scatter(
            x=time.dt.tz_localize(None),
            y=price,
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": size, "color": color},
            showlegend=bool(len(time)),
            customdata=words,
            hovertemplate="%{x}<br>%{y:,.6~g}<br>%{customdata}<extra>" + name + "</extra>",
        ),
        row=1,
        col=1,
    )


def _draw_line(
    figure: go.Figure,
    row: int,
    time: pd.DatetimeIndex,
    values: Floats,
    points: int,
    name: str,
    color: str,
    *,
    fill: str | None = None,
    unit: str = "",
) -> None:
    kept = thin(values, points)
    figure.add_trace(
        go.Scatter(
            x=time[kept],
            y=values[kept],
            mode="lines",
            name=name,
            line={"color": color, "width": 1.2},
            fill=fill,
            showlegend=False,
            hovertemplate="%{x}<br>%{y:,.2f}" + unit + "<extra>" + name + "</extra>",
        ),
        row=row,
        col=1,
    )
