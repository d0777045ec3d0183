"""Accumulators of a backtest, from which every summary metric is computed.

The kernel fills one record with these fields; ``metrics.summary`` reads it.
"""

from forge_core.simd.compiled import compiled
from forge_core.simd.memory import RecordLayout, records_at

ACCUMULATORS = RecordLayout(
    trades=int,  # closed trades, roll legs included
    wins=int,  # trades with net P&L > 0
    losses=int,  # trades with net P&L < 0
    gross_profit=float,  # sum of net P&L of the winners, money
    gross_loss=float,  # sum of net P&L of the losers, money, <= 0
    return_sum=float,  # sum over trades of net P&L / entry notional, which is percent of contract / 100
    margin_sum=float,  # sum over trades of net P&L / (initial margin x quantity); NaN without a margin
    points_sum=float,  # sum over trades of side x (exit - entry), price points
    bars_held=int,  # sum over trades of bars held
    exposed=int,  # bars at whose close a position was held
    bars=int,  # bars traded: start .. last
    turnover=float,  # sum over fills of traded notional, money
    commission=float,  # sum of commissions, money
    financing=float,  # sum of borrow and funding paid (negative: received), money
    ambiguous=int,  # bars that opened between stop and target and reached both
    initial=float,  # equity before the first bar, money
    final=float,  # equity after the last bar, money
    max_drawdown=float,  # largest fall of marked equity from its running peak, fraction of the peak
    longest_drawdown=float,  # longest time from a peak of marked equity to the last close below it, days
    ruined=int,  # 1 if equity reached zero or below
    rejected=int,  # entry orders that opened no position
    volume_capped=int,  # entry orders reduced to a share of the bar's volume
).dtype


@compiled
def accumulators_at(number):  # type: ignore[no-untyped-def]
    """Return the accumulators at an address."""
    return records_at(number, 1, ACCUMULATORS)[0]
