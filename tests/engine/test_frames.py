"""DataFrames given to ``backtest``: what an import refuses is refused here too, with what would be right."""

import re

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.errors import ConfigError, DataError
from forge_core.feeds.build import feed_from_bars
from forge_core.market.bars.model import resample_bars
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from tests.market.bar_tables import walk

PLAY = {
    "name": "cross",
    "timeframe": "1h",
    "features": {"mean": {"indicator": "sma", "timeperiod": 5}},
    "entry": {"long": {"all": ["close > mean"]}, "short": {"all": ["close < mean"]}},
    "risk": {"stop": {"percent": 0.01}, "take_profit": {"percent": 0.01}},
}
HOURLY = walk(400, "1h")
COIN = Instrument(symbol="COIN", kind="spot", tick=0.01)
PERPETUAL = Instrument(
    symbol="COINPERP", kind="perpetual", tick=0.01, max_leverage=5.0, maintenance_margin_rate=0.01
)  # fmt: skip


def run(bars: pd.DataFrame, **settings):
    return backtest({**PLAY, "timeframe": settings.pop("timeframe", "1h")}, bars, costs=Costs.zero(), **settings)


def refused(message: str, bars: pd.DataFrame, **settings) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        run(bars, **settings)


def changed(row: int, column: str, value: float) -> pd.DataFrame:
    bars = HOURLY.copy()
    bars.iloc[row, bars.columns.get_loc(column)] = value
    return bars


def test_bars_of_another_spacing_are_refused():
    refused(r"mostly 15m apart, and 1h bars are expected.*`resample=True`", walk(400, "15m"))
    refused(r"mostly 4h apart, and 1h bars are expected; give 1h bars", walk(400, "4h"))
    refused(r"mostly 4h apart, and 1h bars are expected", walk(400, "4h"), resample=True)
    refused(r"mostly 45m apart, and 1h bars are expected; give 1h bars, or a Play", walk(400, "45m"))
    mixed = pd.concat([HOURLY.iloc[:200], walk(90, "15m", start=str(HOURLY.index[200].tz_localize(None)))])
    refused(r"less than that apart", mixed)
    refused(
        r"higher bars: the bars are mostly 2h apart, and 4h bars are expected", HOURLY, higher={"4h": walk(200, "2h")}
    )


def test_finer_bars_are_joined_when_asked_for():
    quarters = walk(1_600, "15m")
    hours = resample_bars(quarters, Timeframe.parse("1h"), session=COIN.session)
    joined = run(quarters, instrument=COIN, resample=True)
    assert len(joined.trades) > 20
    pd.testing.assert_frame_equal(joined.trades, run(hours, instrument=COIN).trades)
    pd.testing.assert_frame_equal(run(HOURLY, resample=True).trades, run(HOURLY).trades)


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (changed(7, "close", np.nan), r"row 7 \(2024-01-01 07:00.*close is missing \(nan\)"),
        (changed(7, "open", np.inf), r"row 7 .*open is inf, a finite number"),
        (changed(9, "high", 1.0), r"row 9 .*high 1\.0 is below"),
        (changed(9, "low", 1e6), r"row 9 .*is below low 1000000\.0"),
        (changed(9, "volume", -1.0), r"row 9 .*volume is -1\.0, below zero"),
        (pd.concat([HOURLY.iloc[20:], HOURLY.iloc[:20]]), r"row 380 .*the row before it is later"),
        (pd.concat([HOURLY.iloc[:20], HOURLY.iloc[19:]]), r"row 20 .*duplicate time"),
        (HOURLY.tz_localize(None), r"need a DatetimeIndex in UTC"),
        (HOURLY.reset_index(drop=True), r"need a DatetimeIndex in UTC"),
        (HOURLY.drop(columns="volume"), r"column 'volume' is missing.*fill it with zeros"),
        (HOURLY.assign(close=HOURLY["close"].map(lambda price: f"{price} USD")), r"column 'close' is .*numbers"),
        (HOURLY.iloc[:0], r"there are no bars"),
    ],
)
def test_what_an_import_refuses_is_refused(bars, message):
    refused(message, bars)


def test_prices_below_zero_are_refused_unless_the_instrument_may_have_them():
    below = HOURLY.copy()
    below[["open", "high", "low", "close"]] -= 100.0
    refused(r"prices of BARS are above zero", below)
    assert len(run(below, instrument="CL", roll_dates=pd.DatetimeIndex([]), cash=1e9).trades) > 20


def test_a_frame_may_have_other_columns_units_and_zones():
    other = HOURLY.assign(trades=1, symbol="X").tz_convert("America/New_York").astype({"volume": int})
    other.index = other.index.as_unit("ns").rename("when")
    pd.testing.assert_frame_equal(run(other).trades, run(HOURLY).trades)


def test_a_dated_future_without_roll_dates_is_refused():
    refused(r"GC is a dated future and its roll dates are missing", HOURLY, instrument="GC")
    refused(r"roll dates without a time zone", HOURLY, instrument="GC", roll_dates=pd.DatetimeIndex(["2024-01-05"]))
    assert len(run(HOURLY, instrument="GC", roll_dates=pd.DatetimeIndex([]), cash=1e7).trades) > 20


def rates(*dropped: int, every: str = "8h") -> "pd.Series[float]":
    times = pd.date_range("2024-01-01", "2024-01-18", freq=every, tz="UTC")
    return pd.Series(0.0001, index=times.delete(list(dropped)))


def test_funding_with_holes_is_refused():
    assert len(run(HOURLY, instrument=PERPETUAL, funding=rates()).trades) > 20
    assert len(run(HOURLY, instrument=PERPETUAL, funding=rates(7, every="4h")).trades) > 20
    refused(
        r"no rate between 2024-01-02 00:00 and 2024-01-02 16:00, where", HOURLY, instrument=PERPETUAL, funding=rates(4)
    )
    refused(r"and 1 more holes", HOURLY, instrument=PERPETUAL, funding=rates(4, 9))
    refused(r"no rate between .* and 2024-01-17 16:00", HOURLY, instrument=PERPETUAL, funding=rates()[:-6])
    refused(r"the rate is 0\.01, a|the rate is nan", HOURLY, instrument=PERPETUAL, funding=rates() * np.nan)
    refused(r"the rate is 1\.0;", HOURLY, instrument=PERPETUAL, funding=rates() * 1e4)
    feed = feed_from_bars(HOURLY, instrument=PERPETUAL, timeframe="1h")
    with pytest.raises(DataError, match="no rate between"):
        backtest(PLAY, feed, funding=rates(4))


def test_finer_bars_must_be_finer_and_of_the_same_prices():
    quarters = walk(1_600, "15m")
    hours = resample_bars(quarters, Timeframe.parse("1h"), session=get_instrument("BTCUSDT").session)
    assert run(hours, policy="replay", finer=quarters).metrics["total_trades"] > 20
    refused(r"finer bars are 1h bars, and those traded 1h", hours, policy="replay", finer=hours)
    refused(r"finer bars are 4h bars", hours, policy="replay", finer=walk(300, "4h"))
    other = re.escape("finer bars have other prices")
    refused(other, hours, policy="replay", finer=quarters * [1.01, 1.01, 1.01, 1.01, 1.0])
    refused(other, hours, policy="replay", finer=walk(1_600, "15m", seed=3))
    refused(r"cover none of the 1h bars", hours, policy="replay", finer=walk(500, "15m", start="2023-01-01"))
    nan = quarters.copy()
    nan.iloc[5, 0] = np.nan
    refused(r"finer bars 15m: row 5", hours, policy="replay", finer=nan)
