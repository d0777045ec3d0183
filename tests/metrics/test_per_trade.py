"""What each trade made, by hand: two contracts of a future, a coin without margin."""

import pandas as pd
import pytest

from forge_core.market.reference.instruments import Instrument
from forge_core.metrics.trades import per_trade

TRADES = pd.DataFrame(
    {
        "side": [1, -1],
        "quantity": [2.0, 1.0],
        "entry_price": [2_000.0, 2_010.0],
        "exit_price": [2_005.0, 2_012.0],
        "net_pnl": [990.0, -205.0],
        "commission": [10.0, 5.0],
    }
)


def test_a_future():
    gold = Instrument(symbol="GC", kind="future", tick=0.1, multiplier=100.0, initial_margin=11_000.0)
    found = per_trade(TRADES, gold)
    assert found["points"].tolist() == [5.0, -2.0]
    assert found["dollars"].tolist() == [1_000.0, -200.0]
    assert found["percent_of_contract"].tolist() == pytest.approx([100 * 990 / 400_000, -100 * 205 / 201_000])
    assert found["percent_of_margin"].tolist() == pytest.approx([100 * 990 / 22_000, -100 * 205 / 11_000])
    assert found["commission"].tolist() == [10.0, 5.0]


def test_no_margin_no_percent_of_it():
    coin = Instrument(symbol="BTC", kind="spot", tick=0.01)
    assert per_trade(TRADES, coin)["percent_of_margin"].isna().all()


def test_a_contract_entered_at_zero_has_no_percentage():
    oil = Instrument(symbol="CL", kind="future", tick=0.01, multiplier=1_000.0, initial_margin=5_000.0)
    found = per_trade(TRADES.assign(entry_price=0.0), oil)
    assert found["percent_of_contract"].isna().all()
    assert found["percent_of_margin"].notna().all()
