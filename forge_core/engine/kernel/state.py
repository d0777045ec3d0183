"""State of a running backtest: position, queued order and account, one record; and the addresses of its outputs."""

from forge_core.simd.compiled import compiled
from forge_core.simd.memory import RecordLayout, records_at

NO_ORDER, CLOSE_ORDER = 0, 2  # +1 and -1 enter long and short

STATE = RecordLayout(
    # the position
    side=int,  # 0: flat
    quantity=float,
    entry=float,  # price
    exposure=float,  # side x quantity x multiplier
    entry_bar=int,
    entry_time=int,
    held_from=int,  # bar of the first entry, before any rolls
    switch=int,  # 1: opened at a roll
    commission=float,  # paid at the entry
    financing=float,  # paid so far
    worst=float,  # excursions in price; kept with an equity curve only
    best=float,
    # its levels
    stop=float,
    target=float,
    reach=float,  # price at which the target fills
    extreme=float,  # best price so far, which the trailing stop follows
    trail=float,  # distance of the trailing stop, a share of the extreme for percent
    trailing=float,  # price of the trailing stop
    liquidation=float,
    bankruptcy=float,
    # orders
    order=int,  # for the next open
    order_reason=int,
    pending=int,  # side to open again after a roll
    carried=int,  # 1: ``pending`` is an entry order deferred by a roll
    left_at=float,  # price at which the old contract was left
    last_exit=int,  # bar
    # the account
    balance=float,
    peak=float,  # of marked equity
    peak_bar=int,
    max_drawdown=float,
    longest=int,  # drawdown, microseconds
    day=int,  # trade date of the bar before
    exposed=int,
    ambiguous=int,
    rejected=int,
    capped=int,
    ruined=int,
).dtype

# Addresses; ``equity_curve`` is that of bar 0, or 0 for none. The trades beyond ``rows`` are not recorded.
OUTPUT = RecordLayout(accumulators=int, day_equity=int, equity_curve=int, trades=int, rows=int)
_OUTPUT = OUTPUT.dtype


@compiled
def state_at(number):
    """Return the state at an address."""
    return records_at(number, 1, STATE)[0]


@compiled
def output_at(number):
    """Return the addresses of the outputs at an address."""
    return records_at(number, 1, _OUTPUT)[0]
