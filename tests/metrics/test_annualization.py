"""Ratios are annualized by the periods there are, whatever the length of the bars."""

import math

import empyrical
import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import backtest
from forge_core.engine.fill_rules import FillRules
from forge_core.engine.simulate import simulate
from forge_core.engine.windows import simulate_windows
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.metrics.catalog import METRIC_INDEX
from forge_core.metrics.summary import periods_a_year
from forge_core.plays.parser import parse_play
from tests.market.bar_tables import walk, walk_at

CRYPTO = Instrument(symbol="SIMCOIN", kind="spot", tick=0.01)
FREE = {"commission_bps": 0, "slippage_bps": 0}
RATIOS = ("sharpe", "sortino", "volatility")


def held(feed: Feed):
    """Hold from the first bars to the end, without costs."""
    play = {"name": "held", "timeframe": feed.timeframe, "features": {}, "entry": {"long": "close > 0"}}
    return parse_play(play | {"exit": {"long": "close < 0"}})


def feed_of(daily: pd.DataFrame, timeframe: str, instrument: Instrument) -> Feed:
    coarse = Timeframe.parse(timeframe)
    bars = daily if timeframe == "1d" else resample_bars(daily, coarse, session=instrument.session)
    return feed_from_bars(bars, instrument=instrument, timeframe=timeframe)


@pytest.mark.parametrize("timeframe", ["2d", "3d", "1w"])
@pytest.mark.parametrize("symbol", ["SIMCOIN", "SP500"])
def test_a_holding_has_the_ratios_of_its_own_periods(timeframe: str, symbol: str) -> None:
    instrument = CRYPTO if symbol == "SIMCOIN" else get_instrument(symbol)
    index = pd.bdate_range("2010-01-01", periods=2500, tz="UTC", unit="us")
    daily = walk(3000, "1d") if symbol == "SIMCOIN" else walk_at(index + pd.Timedelta(hours=14, minutes=30))
    prices = ["open", "high", "low", "close"]
    daily[prices] = daily[prices].mul(np.exp(0.0006 * np.arange(len(daily))), axis=0)
    feed = feed_of(daily, timeframe, instrument)
    result = backtest(held(feed), feed, fills=FillRules(volume_share=None))
    returns = result.daily_returns.to_numpy()
    periods = returns.size / feed.years
    assert result.metrics["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns, annualization=periods), rel=1e-9)
    assert result.metrics["sortino"] == pytest.approx(empyrical.sortino_ratio(returns, annualization=periods), rel=1e-9)
    volatility = empyrical.annual_volatility(returns, annualization=periods)
    assert result.metrics["volatility"] == pytest.approx(volatility, rel=1e-9)
    same = backtest(held(day := feed_of(daily, "1d", instrument)), day, fills=FillRules(volume_share=None)).metrics
    for name in RATIOS:  # the same market, seen in other bars
        assert result.metrics[name] == pytest.approx(same[name], rel=0.25)


def test_weekly_bars_of_a_whole_number_of_weeks_have_52_periods_a_year() -> None:
    assert periods_a_year(520, 520 * 7 / 365.25, 7 * 86_400_000_000, 252.0) == pytest.approx(365.25 / 7)
    assert periods_a_year(520, 2.0, 86_400_000_000, 252.0) == 252.0
    assert periods_a_year(520, 0.5, 900_000_000, 365.0) == 365.0


def test_months_of_weekly_bars_are_annualized_alike() -> None:
    feed = feed_of(walk(3000, "1d"), "1w", CRYPTO)
    starts = np.array([40, 44, 49])
    ends = np.array([44, 49, 400])
    windows = simulate_windows(held(feed), feed, starts, ends)
    for k in range(3):
        returns = windows.returns[windows.offsets[k] : windows.offsets[k + 1]]
        expected = returns.mean() / returns.std(ddof=1) * math.sqrt(365.25 / 7)
        assert windows.metrics[k, METRIC_INDEX["sharpe"]] == pytest.approx(expected, rel=1e-9)


def test_daily_and_intraday_bars_keep_the_instruments_trade_dates_a_year() -> None:
    for timeframe, rows in (("1d", 400), ("4h", 2400)):
        feed = feed_from_bars(walk(rows, timeframe), instrument=CRYPTO, timeframe=timeframe)
        found = simulate(held(feed), feed)
        returns = found.daily_returns
        expected = returns.mean() / returns.std(ddof=1) * math.sqrt(365)
        assert found.metrics[METRIC_INDEX["sharpe"]] == pytest.approx(expected, rel=1e-9)
