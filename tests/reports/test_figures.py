"""Figures of a report: worked by hand, or the same as the engine's metrics."""

import numpy as np
import pandas as pd
import pytest

import forge_core
from forge_core.engine.costs import Costs
from forge_core.metrics.returns import drawdown, sharpe
from forge_core.reports.figures import (
    drawdown_episodes,
    groupings,
    held_bars,
    monthly_returns,
    rolling_sharpe,
    slippage_paid,
)
from forge_core.reports.play import hold_curve, slippage_of
from tests.reports.bars import walk

PLAY = """
name: levels
timeframe: 1h
features:
  fast: {indicator: ema, timeperiod: 8}
  slow: {indicator: ema, timeperiod: 21}
entry: {long: fast crosses_above slow, short: fast crosses_below slow}
risk: {stop: {atr: 2}, take_profit: {atr: 2}, max_bars: 12}
"""


@pytest.fixture(scope="module")
def result():
    return forge_core.backtest(PLAY, walk())


def test_months_compound_to_years_and_years_to_the_total_return(result):
    table = monthly_returns(result.daily_returns)
    months = table[list(range(1, 13))]
    np.testing.assert_allclose((1.0 + months).prod(axis=1), 1.0 + table["year"])
    assert np.prod(1.0 + table["year"]) - 1.0 == pytest.approx(result.metrics["total_return"])


def test_a_month_is_the_product_of_its_days():
    days = pd.Series([0.1, -0.5, 0.2], index=pd.to_datetime(["2024-01-30", "2024-01-31", "2024-03-01"]))
    table = monthly_returns(days)
    assert table.loc[2024, 1] == pytest.approx(1.1 * 0.5 - 1.0)
    assert np.isnan(table.loc[2024, 2])
    assert table.loc[2024, "year"] == pytest.approx(1.1 * 0.5 * 1.2 - 1.0)


def test_the_rolling_ratio_is_the_metric_of_its_window(result):
    daily = result.daily_returns
    rolled = rolling_sharpe(daily, 10, 365.0)
    assert rolled.iloc[:9].isna().all()
    assert rolled.iloc[-1] == pytest.approx(sharpe(daily.iloc[-10:].to_numpy(), 365.0))


def test_held_bars_are_the_exposure(result):
    opens = pd.DatetimeIndex(result.feed.time[result.feed.start :].view("datetime64[us]"), tz="UTC")
    assert held_bars(result.trades, opens).mean() == pytest.approx(result.metrics["exposure"], abs=1e-9)


def test_drawdown_episodes_are_the_falls_of_the_equity(result):
    episodes = drawdown_episodes(result.equity, result.cash, 1_000)
    assert episodes[0]["depth"] == pytest.approx(result.metrics["max_drawdown"])
    falls = drawdown(np.concatenate([[result.cash], result.equity.to_numpy()]))
    assert sum((falls[1:] > 0) & (falls[:-1] == 0)) == len(episodes)
    index = pd.date_range("2024-01-01", periods=5, freq="D", tz="UTC")
    (deep, last) = drawdown_episodes(pd.Series([100.0, 50.0, 120.0, 110.0, 90.0], index=index), 80.0, 5)
    assert (deep["depth"], deep["peak"].day, deep["trough"].day, deep["recovered"].day, deep["days"]) == (
        0.5,
        1,
        2,
        3,
        2,
    )
    assert (last["depth"], last["recovered"], last["days"]) == (0.25, None, 2)


@pytest.mark.parametrize("costs", [Costs(slippage_bps=7), Costs(slippage_ticks=3, commission_bps=5)])
def test_slippage_is_what_the_fills_lost(costs):
    """Without slippage the same trades, of one contract each, earn more by exactly that money."""
    play = PLAY.replace("risk: {", "risk: {size: {contracts: 1}, ").replace(
        "stop: {atr: 2}, take_profit: {atr: 2}, ", ""
    )
    terms = {"instrument": forge_core.engine.backtest.GENERIC_INSTRUMENT.model_copy(update={"tick": 0.01, "lot": 1.0})}
    free = costs.model_copy(update={"slippage_bps": 0.0, "slippage_ticks": 0.0})
    paid = forge_core.backtest(play, walk(), costs=costs, **terms)
    clean = forge_core.backtest(play, walk(), costs=free, **terms)
    assert len(paid.trades) == len(clean.trades) > 5
    lost = clean.trades["gross_pnl"] - paid.trades["gross_pnl"]
    np.testing.assert_allclose(slippage_of(paid), lost, atol=1e-8)


def test_a_target_pays_slippage_at_its_entry_alone():
    trade = {"side": [1, 1], "entry_price": [101.0, 101.0], "exit_price": [99.0, 99.0], "quantity": [2.0, 2.0]}
    trades = pd.DataFrame({**trade, "exit_reason": ["take_profit", "stop"]})
    paid = slippage_paid(trades, bps=0.0, per_unit=1.0, multiplier=10.0, liquidated_at_price=False)
    assert paid.tolist() == [20.0, 40.0]


def test_groups_hold_every_trade_once(result):
    for table in groupings(result.trades, intraday=True).values():
        assert table["trades"].sum() == len(result.trades)
        assert table["net_pnl"].sum() == pytest.approx(result.trades["net_pnl"].sum())


def test_buy_and_hold_starts_at_the_first_open(result):
    feed = result.feed
    assert hold_curve(result).iloc[-1] == pytest.approx(result.cash * feed.close[-1] / feed.open[feed.start])
