"""Accumulators of a backtest, from which every summary metric is computed.

The kernel fills one float64 vector with these entries; ``metrics.summary`` reads it. Entries are indexes, constants
for numba.
"""

(
    TRADES,  # closed trades, roll legs included
    WINS,  # trades with net P&L > 0
    LOSSES,  # trades with net P&L < 0
    GROSS_PROFIT,  # sum of net P&L of the winners, money
    GROSS_LOSS,  # sum of net P&L of the losers, money, <= 0
    RETURN_SUM,  # sum over trades of net P&L / entry notional, which is percent of contract / 100
    MARGIN_SUM,  # sum over trades of net P&L / (initial margin x quantity); NaN where the instrument has no margin
    POINTS_SUM,  # sum over trades of side x (exit - entry), price points
    BARS_HELD,  # sum over trades of bars held
    EXPOSED,  # bars at whose close a position was held
    BARS,  # bars traded: start .. last
    TURNOVER,  # sum over fills of traded notional, money
    COMMISSION,  # sum of commissions, money
    FINANCING,  # sum of borrow and funding paid (negative: received), money
    AMBIGUOUS,  # bars that opened between stop and target and reached both
    INITIAL,  # equity before the first bar, money
    FINAL,  # equity after the last bar, money
    MAX_DRAWDOWN,  # largest fall of marked equity from its running peak, fraction of the peak
    LONGEST_DRAWDOWN,  # longest time from a peak of marked equity to the last close below it, days
    RUINED,  # 1 if equity reached zero or below
    REJECTED,  # entry orders that opened no position
    VOLUME_CAPPED,  # entry orders reduced to a share of the bar's volume
) = range(22)

ACCUMULATORS_SIZE = 22
