"""Layout of the arrays that the kernel fills: trade records and the open position.

Entries are indexes, so that numba sees constants.
"""

# columns of a trade's float64 record
(ENTRY_PRICE, EXIT_PRICE, QUANTITY, GROSS, COMMISSION, FINANCING, NET, RETURN, MAE, MFE) = range(10)
TRADE_FLOATS = 10

# columns of a trade's int64 record
(ENTRY_TIME, EXIT_TIME, SIDE, REASON, BARS_HELD, SWITCH) = range(6)
TRADE_INTEGERS = 6

# entries of an open position that the kernel reads rarely, kept out of its registers
(P_COMMISSION, P_FINANCING, P_WORST, P_BEST) = range(4)
POSITION_FLOATS = 4
