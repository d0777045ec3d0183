"""The record of one closed trade: the columns of every table of trades.

The kernel writes these records; results, mass tests and exports derive their columns from the same layout. Times are
microseconds since 1970-01-01 UTC, prices and money are in quote currency, ``return_pct``, ``mae`` and ``mfe`` percent.
"""

from forge_core.simd.compiled import compiled
from forge_core.simd.memory import RecordLayout, records_at

TRADE = RecordLayout(
    entry_time=int,
    entry_price=float,
    exit_time=int,
    exit_price=float,
    side=int,  # 1 long, -1 short
    quantity=float,
    exit_reason=int,  # code, a position in ``engine.kernel.exit_reasons.EXIT_REASONS``
    bars_held=int,
    gross_pnl=float,
    commission=float,
    financing=float,
    net_pnl=float,
    return_pct=float,
    mae=float,
    mfe=float,
    switch=int,  # 1: an end of the trade is a roll
).dtype
TIMES = ("entry_time", "exit_time")
FLAGS = ("switch",)


@compiled
def trades_at(number, rows):  # type: ignore[no-untyped-def]
    """Return the ``rows`` trades at an address."""
    return records_at(number, rows, TRADE)
