"""BacktestResult: its tables, files and pictures, from hand-made trades on generated bars."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.engine.kernel.exit_reasons import END_OF_DATA, EXIT, EXIT_REASONS, REVERSAL, STOP
from forge_core.engine.report.figure import CANDLES
from forge_core.engine.report.result import BacktestResult
from forge_core.errors import DataError
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument
from forge_core.metrics import summary
from forge_core.metrics.accumulators import ACCUMULATORS
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.returns import from_daily_returns, longest_drawdown, max_drawdown
from forge_core.metrics.trade import TRADE
from forge_core.plays.model import Distance, Risk
from forge_core.plays.parser import load_play, parse_play
from forge_core.simd.memory import address_of

HOUR = 3_600_000_000
BEGIN = 1_704_067_200_000_000  # 2024-01-01
LEAD_IN = 48
CASH = 10_000.0
PLAY = parse_play(
    """
name: crossing
timeframe: 1h
features:
  fast: {indicator: ema, timeperiod: 12}
  slow: {indicator: ema, timeperiod: 48}
entry:
  long: {all: ["fast crosses_above slow"]}
  short: {all: ["fast crosses_below slow"]}
"""
)
COIN = Instrument(symbol="SIMCOIN", kind="spot", tick=0.01, lot=0.001)
GOLD = Instrument(symbol="SIMGOLD", kind="future", tick=0.1, multiplier=100.0, initial_margin=5_000.0)
COLUMNS = [
    *("entry_time", "entry_price", "exit_time", "exit_price", "side", "quantity", "exit_reason", "bars_held"),
    *("gross_pnl", "commission", "financing", "net_pnl", "return_pct", "mae", "mfe", "switch"),
]


def _feed(bars: int, instrument: Instrument = COIN) -> Feed:
    generator = np.random.default_rng(11)
    close = 100.0 * np.exp(np.cumsum(0.003 * generator.standard_normal(bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    time = BEGIN + HOUR * np.arange(bars)
    wick = 0.2 * generator.random(bars)
    high, low = np.maximum(open_, close) + wick, np.minimum(open_, close) - wick
    volume, day = np.ones(bars), time // (24 * HOUR)
    return Feed(instrument, "1h", HOUR, time, open_, high, low, close, volume, day, LEAD_IN, columns=None)


def _trades(feed: Feed, entries, exits, sides, reasons, quantity=1.0) -> np.ndarray:
    entries, exits, sides = (np.asarray(x, np.int64) for x in (entries, exits, sides))
    quantities = np.full(entries.size, quantity)
    gross = sides * quantities * feed.instrument.multiplier * (feed.open[exits] - feed.open[entries])
    commission = 0.001 * quantities * (feed.open[exits] + feed.open[entries])
    value = quantities * feed.instrument.multiplier * feed.open[entries]
    columns = {
        "entry_time": feed.time[entries],
        "exit_time": feed.time[exits],
        "entry_price": feed.open[entries],
        "exit_price": feed.open[exits],
        "side": sides.astype(np.int8),
        "quantity": quantities,
        "exit_reason": np.asarray(reasons, np.int8),
        "bars_held": exits - entries,
        "gross_pnl": gross,
        "commission": commission,
        "financing": np.zeros(entries.size),
        "net_pnl": gross - commission,
        "return_pct": 100 * (gross - commission) / value,
        "mae": np.full(entries.size, -1.0),
        "mfe": np.full(entries.size, 1.0),
        "switch": np.zeros(entries.size, bool),
    }
    trades = np.empty(entries.size, TRADE)
    for name, values in columns.items():
        trades[name] = values
    return trades


def _equity(feed: Feed, trades: np.ndarray) -> np.ndarray:
    """Realized P&L alone, at the close of the bar before each exit: enough for a picture."""
    steps = np.zeros(len(feed))
    np.add.at(steps, (trades["exit_time"] - BEGIN) // HOUR, trades["net_pnl"])
    return CASH + np.cumsum(steps)[feed.start :]


def _result(feed: Feed, trades: np.ndarray, **changes) -> BacktestResult:
    equity = _equity(feed, trades)
    ends = pd.Series(equity).groupby(feed.day[feed.start :]).last().to_numpy()
    daily = np.empty(ends.size)
    summary.daily_returns(ends, CASH, daily)
    accumulators = np.zeros(1, ACCUMULATORS)
    net = trades["net_pnl"]
    sums = {"trades": net.size, "wins": (net > 0).sum(), "losses": (net < 0).sum(), "bars": equity.size}
    sums |= {"gross_profit": net[net > 0].sum(), "gross_loss": net[net < 0].sum(), "margin_sum": np.nan}
    sums |= {"initial": CASH, "final": equity[-1], "max_drawdown": max_drawdown(np.concatenate([[CASH], equity]))}
    for name, value in sums.items():
        accumulators[name] = value
    vector = np.empty(len(METRICS))
    summary.summarize(address_of(accumulators), daily, feed.years, 365.0, vector)
    given = {"play": PLAY, "feed": feed, "costs": Costs(commission_bps=10), "cash": CASH, "vector": vector}
    return BacktestResult.from_arrays(**(given | {"daily": daily, "trades": trades, "equity": equity} | changes))


def _many(feed: Feed, every: int) -> np.ndarray:
    entries = np.arange(feed.start, len(feed) - every, every)
    sides = np.where(np.arange(entries.size) % 2, -1, 1)
    return _trades(feed, entries, entries + every - 1, sides, np.full(entries.size, EXIT), quantity=0.1)


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    feed = _feed(600)
    return _result(feed, _trades(feed, [60, 150, 300], [150, 220, 500], [1, -1, 1], [REVERSAL, STOP, END_OF_DATA]))


@pytest.fixture(scope="module")
def without_trades() -> BacktestResult:
    feed = _feed(600)
    return _result(feed, _trades(feed, [], [], [], []))


def test_trades_are_the_contract_s_columns(result):
    trades = result.trades
    assert list(trades.columns) == COLUMNS
    assert trades["exit_reason"].tolist() == ["reversal", "stop", "end_of_data"]
    assert trades["exit_reason"].dtype == "str"
    assert trades["entry_time"].dtype == trades["exit_time"].dtype == "datetime64[us, UTC]"
    assert trades["entry_time"][0] == pd.Timestamp("2024-01-03 12:00", tz="UTC")
    assert trades["side"].tolist() == [1, -1, 1]
    assert trades["switch"].dtype == bool


def test_without_trades_the_columns_are_the_same(result, without_trades):
    assert without_trades.trades.empty
    assert without_trades.trades.dtypes.to_dict() == result.trades.dtypes.to_dict()


def test_equity_is_indexed_by_the_time_of_the_close(result):
    assert result.equity.size == 600 - LEAD_IN
    assert result.equity.index[0] == pd.Timestamp("2024-01-03 01:00", tz="UTC")
    assert result.equity.index[-1] == pd.Timestamp("2024-01-26", tz="UTC")
    assert result.equity.iloc[0] == CASH
    assert result.equity.iloc[-1] == pytest.approx(CASH + result.trades["net_pnl"].sum())


def test_drawdown_counts_from_the_starting_cash(result):
    assert result.drawdown.max() == pytest.approx(result.metrics["max_drawdown"])
    assert result.drawdown.index.equals(result.equity.index)
    feed = _feed(100)
    losing = _result(feed, _trades(feed, [50], [60], [1], [EXIT]), equity=np.full(52, 0.9 * CASH))
    assert losing.drawdown.tolist() == pytest.approx([0.1] * 52)


def test_daily_returns_are_indexed_by_trade_date(result):
    assert result.daily_returns.index[0] == pd.Timestamp("2024-01-03")
    assert result.daily_returns.size == result.metrics["days"] == 23
    assert (1 + result.daily_returns).prod() == pytest.approx(result.equity.iloc[-1] / CASH)


def test_metrics_are_values_or_none_with_a_reason(result, without_trades):
    assert result.metrics["total_trades"] == 3
    assert set(result.metrics) == {metric.name for metric in METRICS}
    assert without_trades.metrics["win_rate"] is None
    assert without_trades.metrics.undefined["win_rate"] == "no trades"
    assert without_trades.metrics.texts()["win_rate"] == "- (no trades)"
    with pytest.raises(KeyError, match="did you mean 'sharpe'"):
        result.metrics["sharp"]
    assert "sharp" not in result.metrics
    assert result.metrics.get("sharp") is None


def test_what_each_trade_made():
    feed = _feed(200, GOLD)
    found = _result(feed, _trades(feed, [60], [90], [-1], [EXIT], quantity=2.0)).trade_metrics()
    points = feed.open[60] - feed.open[90]
    assert found["points"][0] == pytest.approx(points)
    assert found["dollars"][0] == pytest.approx(200 * points)


def test_parquet_round_trip(result, tmp_path):
    folder = result.to_parquet(tmp_path / "run" / "one")
    assert sorted(path.name for path in folder.iterdir()) == [
        *("daily_returns.parquet", "equity.parquet", "metrics.json", "play.yaml", "trades.parquet"),
    ]
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "trades.parquet"), result.trades)
    equity = pd.read_parquet(folder / "equity.parquet").set_index("timestamp")["equity"]
    pd.testing.assert_series_equal(equity, result.equity, check_freq=False)
    daily = pd.read_parquet(folder / "daily_returns.parquet").set_index("date")["return"]
    pd.testing.assert_series_equal(daily, result.daily_returns, check_freq=False)
    assert load_play(folder / "play.yaml") == PLAY
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["metrics"] == dict(result.metrics)
    assert stored["costs"]["commission_bps"] == 10
    assert result.to_parquet(folder) == folder  # again, over the old files


def test_neither_nan_nor_infinity_reaches_a_file(without_trades, tmp_path):
    feed = _feed(200)
    trades = _trades(feed, [60, 80], [70, 90], [1, 1], [EXIT, EXIT])
    trades["return_pct"] = np.array([np.inf, np.nan])  # entered at a price of zero
    folder = _result(feed, trades).to_parquet(tmp_path / "zero")
    assert pq.read_table(folder / "trades.parquet")["return_pct"].to_pylist() == [None, None]
    stored = (without_trades.to_parquet(tmp_path / "none") / "metrics.json").read_text()
    assert "NaN" not in stored
    assert "Infinity" not in stored
    assert json.loads(stored)["metrics"]["sharpe"] is None


def test_an_interrupted_write_is_not_taken_for_a_result(result, tmp_path, monkeypatch):
    folder = result.to_parquet(tmp_path)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("forge_core.engine.report.result.write_text", full)
    with pytest.raises(OSError, match="no space"):
        result.to_parquet(folder)
    assert not (folder / "metrics.json").exists()


def test_the_summary_reads_like_a_table(result, without_trades):
    text = result.summary()
    assert text.startswith("crossing on SIMCOIN 1h, 2024-01-03 00:00 to 2024-01-25 23:00 UTC, 552 bars, cash 10,000.00")
    assert re.search(r"^total_trades +3$", text, re.MULTILINE)
    assert re.search(r"^win_rate +- \(no trades\)$", without_trades.summary(), re.MULTILINE)
    assert "total_trades 3" in repr(result)
    assert "<th style='text-align:left'>sharpe</th>" in result._repr_html_()


def test_shapes_that_do_not_fit_the_feed_are_refused(result):
    feed = _feed(600)
    trades = _trades(feed, [60], [70], [1], [EXIT])
    with pytest.raises(ValueError, match=r"equity has shape \(600,\)"):
        _result(feed, trades, equity=np.ones(600))
    with pytest.raises(ValueError, match="23 trade dates"):
        _result(feed, trades, daily=np.ones(3))


def test_reasons_and_codes_agree():
    assert EXIT_REASONS[STOP] == "stop"
    assert EXIT_REASONS[END_OF_DATA] == "end_of_data"
    assert len(set(EXIT_REASONS)) == 11


def _trace(figure, name: str):
    return next(trace for trace in figure.data if trace.name == name)


def test_a_plot_of_few_bars_is_candles(result):
    figure = result.plot()
    assert _trace(figure, "price").type == "candlestick"
    assert len(_trace(figure, "equity").x) == result.equity.size
    assert len(_trace(figure, "long entry").x) == 2
    assert len(_trace(figure, "short entry").x) == 1
    assert sum(len(_trace(figure, name).x) for name in ("exit, won", "exit, lost")) == 3
    low, high = result.trades["entry_price"].min(), result.trades["entry_price"].max()
    lines = np.concatenate([_trace(figure, name).y for name in ("won", "lost")])
    assert np.nanmin(lines) >= min(low, result.trades["exit_price"].min()) - 1e-9
    assert np.nanmax(lines) <= max(high, result.trades["exit_price"].max()) + 1e-9


def test_a_plot_without_trades(without_trades):
    assert len(_trace(without_trades.plot(), "exit, won").x) == 0


def test_a_window_of_the_plot(result):
    figure = result.plot(start="2024-01-10", end="2024-01-12")
    assert len(_trace(figure, "equity").x) == 48
    assert len(_trace(figure, "short entry").x) == 0  # entered on the 7th, held until the 10th
    assert len(_trace(figure, "won").x) + len(_trace(figure, "lost").x) == 3
    times = [pd.Timestamp(x) for name in ("won", "lost") for x in _trace(figure, name).x]
    assert min(times) >= pd.Timestamp("2024-01-10")
    assert max(times) <= pd.Timestamp("2024-01-12")
    with pytest.raises(DataError, match=r"no bars between 2030.* to 2024-01-26"):
        result.plot(start="2030-01-01")


def test_a_plot_of_many_bars_and_trades_stays_light_and_keeps_the_extremes():
    feed = _feed(60_000)
    result = _result(feed, _many(feed, 40))
    figure = result.plot()
    equity = _trace(figure, "equity")
    assert len(equity.x) <= 2_100
    assert max(equity.y) == result.equity.max()
    assert min(equity.y) == result.equity.min()
    assert min(_trace(figure, "drawdown").y) == pytest.approx(-100 * result.metrics["max_drawdown"])
    assert _trace(figure, "close").type == "scatter"
    assert len(_trace(figure, "close").x) > CANDLES
    shown = sum(len(_trace(figure, name).x) for name in ("exit, won", "exit, lost"))
    assert shown == len(result.trades) > 1_000  # a trade that is not drawn could be any


def test_the_page_asks_no_server_for_anything(result, tmp_path):
    page = result.to_html(tmp_path / "result.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", page)
    assert "<td>sharpe</td>" in page
    assert "<title>crossing: SIMCOIN 1h" in page


def test_the_engine_s_sums_agree_with_its_own_tables():
    """Every metric that trades, equity or daily returns tell by themselves, computed from those tables again."""
    made = _feed(9_000)
    prices = {"open": made.open, "high": made.high, "low": made.low, "close": made.close, "volume": made.volume}
    bars = pd.DataFrame(prices, pd.DatetimeIndex(made.time.view("datetime64[us]"), tz="UTC", name="timestamp"))
    play = replace(PLAY, risk=Risk(stop=Distance("percent", 0.015), take_profit=Distance("percent", 0.03)))
    result = backtest(play, bars, instrument=COIN, costs=Costs(commission_bps=5, slippage_bps=1), cash=CASH)
    trades, metrics = result.trades, result.metrics
    assert len(trades) > 50
    assert set(trades["exit_reason"]) >= {"stop", "take_profit", "reversal"}
    net, marked = trades["net_pnl"], pd.concat([pd.Series([CASH], index=[bars.index[0]]), result.equity])
    again = from_daily_returns(result.daily_returns, 365, result.feed.years) | {
        "total_trades": len(trades),
        "win_rate": (net > 0).mean(),
        "profit_factor": -net[net > 0].sum() / net[net < 0].sum(),
        "expectancy": net.mean(),
        "average_return": trades["return_pct"].mean() / 100,
        "total_return_contract": result.trade_metrics()["percent_of_contract"].sum() / 100,
        "points": result.trade_metrics()["points"].sum(),
        "average_bars_held": trades["bars_held"].mean(),
        "commission": trades["commission"].sum(),
        "net_profit": net.sum(),
        "max_drawdown": max_drawdown(marked),
        "longest_drawdown": longest_drawdown(marked),
        "calmar": metrics["cagr"] / max_drawdown(marked),
    }
    for name, value in again.items():
        assert metrics[name] == pytest.approx(value, rel=1e-9), name
