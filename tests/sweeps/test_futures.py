"""Futures: cents a bushel are dollars in the account, a roll's gap is nobody's, and oil below zero is traded."""

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.engine.simulate import simulate
from forge_core.engine.windows import simulate_windows
from forge_core.features.reference import price_field
from forge_core.feeds.build import feed_from_bars
from forge_core.files import write_text
from forge_core.market.futures.roll_dates import roll_text
from forge_core.market.importing.importer import read_bars_file
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.store.bar_store import BarStore
from forge_core.plays.classic.ema import Ema
from forge_core.plays.classic.rsi import Rsi
from forge_core.plays.classic.strategy import Options, when
from forge_core.plays.model import Distance, Play, Risk, Size
from forge_core.sweeps.month_feeds import AdjustedMonths
from forge_core.sweeps.months import Months, cut_months
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.report import export
from forge_core.sweeps.steps import run_sweep
from tests.engine.reference_engine import reference_backtest
from tests.market.bar_tables import REAL, needs_real_bars
from tests.sweeps.made import PRICES, all_rows, quiet, rolled, session_bars, sweep

# The document's example, 15 minutes a bar: a signal at the close of 11:15 is bought at the open of 11:30, one at
# the close of 13:00 sold at the open of 13:15. Between these the closes move so that an RSI of two bars says so.
EXAMPLE = [
    ("11:00", 1055.25, 1055.25),
    ("11:15", 1058.25, 1058.25),
    ("11:30", 1058.50, 1058.75),
    ("11:45", 1058.75, 1058.50),
    ("12:00", 1058.50, 1058.75),
    ("12:15", 1058.75, 1058.50),
    ("12:30", 1058.50, 1058.25),
    ("12:45", 1058.25, 1057.00),
    ("13:00", 1057.25, 1057.25),
    ("13:15", 1057.00, 1056.75),
    ("13:30", 1056.75, 1057.00),
]


def example_bars() -> pd.DataFrame:
    index = pd.DatetimeIndex([f"2025-02-04 {clock}" for clock, _, _ in EXAMPLE], tz="UTC", name="timestamp")
    opened, close = (np.array([row[k] for row in EXAMPLE]) for k in (1, 2))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    bars = {"open": opened, "high": high, "low": low, "close": close, "volume": np.full(len(EXAMPLE), 100.0)}
    return pd.DataFrame(bars, index=index.as_unit("us"))


def test_the_documents_soybean_example():
    """Bought at 1058.50 and sold at 1057.00 cents a bushel: -1.5 cents on 5,000 bushels are -75 dollars."""
    zs = get_instrument("ZS")
    assert zs.multiplier == 50  # 5,000 bushels at 0.01 dollar: money for 1.0 of a price in cents
    bars = example_bars()
    signals = {"11:15": ("long", 1), "13:00": ("short", 1)}
    bars["volume"] = [{"long": 1.0, "short": 2.0}[signals[c][0]] if c in signals else 0.0 for c, _, _ in EXAMPLE]
    play = {
        "name": "example",
        "timeframe": "15m",
        "entry": {"long": {"all": ["volume > 0", "volume < 2"]}, "short": {"all": ["volume >= 2"]}},
        "risk": {"size": {"contracts": 1}},
    }
    unlimited = FillRules(volume_share=None)  # the volume tells the signals
    flat = {"instrument": zs, "roll_dates": pd.DatetimeIndex([], tz="UTC"), "fills": unlimited}
    result = backtest(play, bars, costs=Costs.zero(), **flat)
    bought, sold = result.trades.iloc[0], result.trades.iloc[1]
    assert (f"{bought['entry_time']:%H:%M}", bought["entry_price"], bought["side"]) == ("11:30", 1058.50, 1)
    assert (f"{bought['exit_time']:%H:%M}", bought["exit_price"], bought["exit_reason"]) == (
        "13:15",
        1057.0,
        "reversal",
    )
    assert (sold["entry_time"], sold["entry_price"], sold["side"]) == (bought["exit_time"], 1057.0, -1)
    assert bought["net_pnl"] == pytest.approx(-75.0)
    money = result.trade_metrics().iloc[0]
    assert money["points"] == pytest.approx(-1.5)
    assert money["dollars"] == pytest.approx(-75.0)
    assert money["percent_of_contract"] == pytest.approx(100 * -75.0 / (1058.50 * 50))
    assert money["percent_of_margin"] == pytest.approx(100 * -75.0 / zs.initial_margin)
    with_costs = backtest(play, bars, **flat)
    first = with_costs.trades.iloc[0]
    assert first["commission"] == 2 * 2.5
    assert first["net_pnl"] == pytest.approx(-75.0 - 2 * 12.5 - 2 * 2.5)  # a tick of slippage and 2.50 dollars a side


def test_features_of_a_rolling_future_agree_with_the_reference_engine():
    bars = session_bars("GC", 4, "2024-01-01", 150, 8, 2_000.0)
    switches = pd.DatetimeIndex(bars.index[[150, 290, 400]])
    bars = rolled(bars, switches, -33.0)
    gc, checked = get_instrument("GC"), 0
    for strategy in (Ema(short_period=3, long_period=8), Rsi(period=5, lower=35.0, upper=65.0)):
        for rollover in (True, False):
            for adjust in ("forward", "none"):
                play = strategy.play("4h", Options(rollover=rollover, trailing_stop=0.01))
                rolling = {"rollover": rollover}
                result = backtest(play, bars, instrument=gc, roll_dates=switches, adjust=adjust, **rolling)
                settings = {"costs": result.costs, "cash": result.cash, "policy": "pessimistic", **rolling}
                expected = reference_backtest(play, result.feed, **settings)
                assert len(result.trades) == len(expected.trades) > 10
                assert result.equity.iloc[-1] == pytest.approx(expected.equity[-1])
                checked += int(result.trades["switch"].sum())
    assert checked >= 8


def real_switches(symbol: str) -> pd.DataFrame:
    table = pd.read_csv(REAL / "roll_dates.csv").query("symbol == @symbol and bars == '1h'")
    return table.assign(time=pd.to_datetime(table["first_bar_utc"], utc=True))


def buy_and_hold(timeframe: str) -> Play:
    always = when(price_field("volume", timeframe), ">=", 0.0)
    return Play("hold", timeframe, always, risk=Risk(size=Size("contracts", 1.0), max_bars=100_000))


@needs_real_bars
@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
@pytest.mark.parametrize("roll_mode", ["prev_open", "prev_close"])
def test_a_position_over_real_switches_earns_the_moves_and_not_the_gaps(symbol, roll_mode):
    """Buy and hold over every switch: what it makes is the sum of the contracts' own moves."""
    rolls, instrument = real_switches(symbol), get_instrument(symbol)
    bars = read_bars_file(REAL / f"{symbol}_1h.parquet")
    settings = {"instrument": instrument, "costs": Costs.zero(), "cash": 1e6, "roll_mode": roll_mode}
    switches = pd.DatetimeIndex(rolls["time"]).as_unit("us")
    result = backtest(buy_and_hold("1h"), bars, roll_dates=switches, **settings)
    first, last = bars["open"].iloc[1], bars["close"].iloc[-1]
    at = bars.index.get_indexer(switches)
    assert (at > 0).all()
    left = bars["open"].iloc[at - 1] if roll_mode == "prev_open" else bars["close"].iloc[at - 1]
    gaps = (bars["open"].iloc[at].to_numpy() - left.to_numpy()).sum()
    assert result.metrics["net_profit"] == pytest.approx((last - first - gaps) * instrument.multiplier)
    if roll_mode == "prev_close":
        assert gaps == pytest.approx(rolls["gap"].sum(), abs=1e-6)
    assert int(result.trades["switch"].sum()) == len(rolls) + 1
    assert (result.trades["exit_reason"] == "roll").sum() == len(rolls)
    assert abs(gaps) * instrument.multiplier > 300  # what would be wrong without the switches
    ended = backtest(buy_and_hold("1h"), bars, roll_dates=switches, rollover=False, **settings).trades
    closed = ended[ended["exit_reason"] == "roll"]
    expected = bars.index[at - 1] + pd.Timedelta(hours=1 if roll_mode == "prev_close" else 0)
    assert list(closed["exit_time"]) == list(expected)
    assert (closed["exit_price"].to_numpy() == left.to_numpy()).all()


@needs_real_bars
def test_oil_below_zero_is_traded_and_survives(home):
    """On 2020-04-20 the May contract closed at -37.63, and what rolls at that close is left there."""
    bars = read_bars_file(REAL / "CL_1d.parquet")
    crash = bars.index.get_loc(pd.Timestamp("2020-04-19 22:00", tz="UTC"))
    assert (bars["low"].iloc[crash], bars["close"].iloc[crash]) == (-40.32, -37.63)
    switches = pd.DatetimeIndex([bars.index[crash + 1]])
    before = session_bars("CL", 24, "2019-04-01", 270, 3, 55.0)
    with BarStore(home.store) as store:
        for part in (before[before.index < bars.index[0]], bars):
            store.upsert("CL", "1d", part, source="test")
    write_text(home.roll_dates, roll_text({"CL": switches}, {}, "test"))
    spec = sweep(
        symbols=["CL"],
        intervals=["1d"],
        months=["2020-04", "2020-05"],
        strategies={
            "rsi": {"period": [2, 3], "lower": 40, "upper": 60},
            "ema": {"short_period": 2, "long_period": [3, 5]},
            "bollinger": {"period": 5, "deviations": 1.0},
        },
        options={"trailing_stop": [None, 0.5], "sides": ["both", "long"]},
        cash=200_000,
        roll_mode="prev_close",
        verbose=True,
    )
    report = run_sweep(spec, home, workers=1, log=quiet())
    assert (report["failed"], report["run"]) == (0, 2 * len(spec.variants))
    for row in all_rows(home).to_pylist():
        assert np.isfinite([row[name] for name in ("net_profit", "max_drawdown", "final_equity", "turnover")]).all()
        assert np.isfinite(row["daily_returns"]).all()
    export(SweepPlan.make(spec, home, quiet()), "trades", home.root / "trades.parquet")
    trades = pd.read_parquet(home.root / "trades.parquet")
    below = trades[trades["exit_price"] < 0]
    assert len(below) >= 4
    assert set(below["exit_price"] + below["side"] * 0.01) == {-37.63}  # less a tick of slippage
    points = below["side"] * (below["exit_price"] - below["entry_price"])
    assert below["gross_pnl"].to_numpy() == pytest.approx((points * 1_000).to_numpy())
    assert below["gross_pnl"].abs().max() > 50_000
    again = trades[trades["entry_time"] == switches[0]]
    assert (again["entry_price"] > 20).all()  # the June contract opened at 21.32


@pytest.mark.parametrize(("symbol", "level", "gap"), [("GC", 2_000.0, 1.03), ("CL", 70.0, 1.0)])
def test_a_months_result_does_not_depend_on_bars_before_its_lead_in(home, symbol, level, gap):
    """To the last bit, with rolls in the history, the lead-in and the month; the same as a dataset of the month."""
    bars = session_bars(symbol, 1, "2023-01-01", 400, 6, level)
    roll_dates = pd.DatetimeIndex(bars.index[range(300, len(bars), 650)])
    for date in roll_dates:
        later = bars.index >= date
        bars.loc[later, PRICES] = (bars.loc[later, PRICES] * gap + (0.37 if gap == 1.0 else 0.0)).round(2)
    months = cut_months(bars, get_instrument(symbol).session)
    settings = {"instrument": get_instrument(symbol), "interval": "1h", "roll_dates": roll_dates}
    k = months.labels.index("2023-12")
    start, end = int(months.starts[k]), int(months.ends[k])
    chosen = Months(months.labels[k : k + 1], months.starts[k : k + 1], months.ends[k : k + 1])
    plays = [
        Ema(short_period=3, long_period=40).play("1h"),
        Rsi(period=5, lower=30.0, upper=70.0, smoothing="wilder").play("1h", Options(trailing_stop=0.004)),
        Play("of_the_day", "1h", when(price_field("close", "1h"), ">", price_field("close", "4h")),
             risk=Risk(size=Size("contracts", 1.0), stop=Distance("atr", 1.5), max_bars=40)),
    ]  # fmt: skip
    whole = AdjustedMonths(bars, months, **settings)
    together = [AdjustedMonths(bars, chosen, **settings)]
    for dropped in (1_700, start - 4_200, start - 4_000):  # 1,000 bars of 4h are 4,000 of 1h
        later = Months(chosen.labels, chosen.starts - dropped, chosen.ends - dropped)
        together.append(AdjustedMonths(bars.iloc[dropped:], later, **settings))
    for play in plays:
        every = np.arange(len(months.labels))
        first = simulate_windows(
            play, whole.feed, whole.starts, whole.ends, cash=1e6, first_signals=whole.first_signals(play, every)
        )
        alone = feed_from_bars(
            bars.iloc[start - 4_000 : end], instrument=get_instrument(symbol), timeframe="1h", start=4_000,
            roll_dates=roll_dates, higher=None,
        )  # fmt: skip
        assert first.metrics[k, 0] > 5
        for feeds in together:
            one = np.zeros(1, np.int64)
            again = simulate_windows(
                play, feeds.feed, feeds.starts, feeds.ends, cash=1e6, first_signals=feeds.first_signals(play, one)
            )
            np.testing.assert_array_equal(again.metrics[0], first.metrics[k])
            np.testing.assert_array_equal(again.returns, first.returns[first.offsets[k] : first.offsets[k + 1]])
            np.testing.assert_array_equal(simulate(play, feeds.month(0), cash=1e6).metrics, first.metrics[k])
        assert simulate(play, alone, cash=1e6).metrics[0] == pytest.approx(first.metrics[k, 0], abs=3)


def test_prices_of_the_example_are_whole_ticks():
    assert ((example_bars()[PRICES] / get_instrument("ZS").tick) % 1 == 0).all(axis=None)
