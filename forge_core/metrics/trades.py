"""Per-trade results in points, money, percent of contract and percent of margin."""

import pandas as pd

from forge_core.market.reference.instruments import Instrument


def per_trade(trades: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Return the metrics of each trade.

    Parameters
    ----------
    trades : DataFrame
        As ``BacktestResult.trades``, the columns of ``metrics.trade.TRADE``.
    instrument : Instrument
        Gives the multiplier and the initial margin.

    Returns
    -------
    DataFrame, index as ``trades``
        ``points`` (side * (exit - entry), price points), ``dollars`` (points * multiplier * quantity, money of the
        quote currency before costs), ``percent_of_contract`` (100 * net P&L / value of the contracts at entry),
        ``percent_of_margin`` (100 * net P&L / initial margin of the contracts; NaN where the instrument has none)
        and ``commission`` (money).
    """
    points = trades["side"] * (trades["exit_price"] - trades["entry_price"])
    value = instrument.multiplier * trades["quantity"] * trades["entry_price"].abs()
    margin = instrument.initial_margin * trades["quantity"]
    return pd.DataFrame(
        {
            "points": points,
            "dollars": points * instrument.multiplier * trades["quantity"],
            "percent_of_contract": 100.0 * trades["net_pnl"] / value.where(value > 0),
            "percent_of_margin": 100.0 * trades["net_pnl"] / margin.where(margin > 0),
            "commission": trades["commission"],
        }
    )
