"""Causes of gaps: an outage of the exchange, a closed market, or missing data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from forge_core.market.reference.exchange_calendar import trading_days
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import microseconds, trade_days
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore

Reason = Literal["outage", "closed", "hole", "unexplained"]

_CLOSED = 8  # days from the last bar before to the first after; exchanges closed for seven in September 2001


@dataclass(frozen=True)
class Gap:
    """Missing bars from ``start`` (the first missing one) to ``end`` (the next existing one), with the cause.

    ``outage``: other series cover the time and have no bars there either. ``closed``: holidays of the exchange's
    calendar, or whole sessions, or their ends or beginnings, of a market that closes. ``hole``: ``witness`` (a series
    or a calendar) shows that data are missing. ``unexplained``: unknown. ``finer``: timeframe of the symbol's finer
    bars in the gap.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    missing: int
    reason: Reason
    witness: str = ""
    finer: str = ""

    def __str__(self) -> str:
        seen = f", seen in {self.witness}" if self.reason == "hole" else ""
        return f"from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} ({self.missing}{seen})"


class ReferenceSeries(NamedTuple):
    """A series of the store that covers [first, last]: another timeframe of the symbol (``own``), or another symbol."""

    symbol: str
    timeframe: Timeframe
    first: pd.Timestamp
    last: pd.Timestamp
    own: bool

    @property
    def name(self) -> str:
        """Symbol and timeframe."""
        return f"{self.symbol} {self.timeframe}"


def explain_gaps(
    gaps: pd.DataFrame,
    bars: pd.DataFrame,
    timeframe: Timeframe,
    instrument: Instrument,
    witnesses: Sequence[ReferenceSeries],
    store: BarStore,
) -> list[Gap]:
    """Return the gaps that ``find_gaps`` found in ``bars``, each with its reason.

    Gaps of daily bars are explained by the calendar of the instrument's exchange, if it has one.
    """
    if instrument.calendar and timeframe.label == "1d":
        return _by_calendar(gaps, instrument)
    explained = []
    for start, end, missing in gaps.itertuples(index=False):
        closed = not instrument.trades_always and _closed(start, end, bars, instrument)
        reason, witness = _by_witness(start, end, int(missing), witnesses, store)
        if closed and (reason != "hole" or not timeframe.intraday):  # a holiday's few hours make no daily bar
            reason = "closed"
        finer = witness.timeframe.label if witness and witness.own and witness.timeframe < timeframe else ""
        seen_by = witness.name if witness else ""
        explained.append(Gap(start, end, int(missing), reason, seen_by, finer if reason == "hole" else ""))
    return explained


def _by_calendar(gaps: pd.DataFrame, instrument: Instrument) -> list[Gap]:
    """Return the gaps of daily bars: closed on holidays, else a hole with as many missing bars as sessions."""
    if gaps.empty:
        return []
    firsts, ends = (trade_days(pd.DatetimeIndex(gaps[name]), instrument.session) for name in ("start", "end"))
    sessions = trading_days(instrument, int(firsts[0]), int(ends[-1]))
    counts = np.searchsorted(sessions, ends) - np.searchsorted(sessions, firsts)
    witness = f"calendar {instrument.calendar}"
    return [
        Gap(start, end, int(count), "hole", witness) if count else Gap(start, end, int(missing), "closed")
        for (start, end, missing), count in zip(gaps.itertuples(index=False), counts, strict=True)
    ]


def _by_witness(
    start: pd.Timestamp, end: pd.Timestamp, missing: int, witnesses: Sequence[ReferenceSeries], store: BarStore
) -> tuple[Reason, ReferenceSeries | None]:
    """Return the reason by other series, which must cover the gap and have room for a whole bar in it.

    A series of another symbol, whose market may have stopped later, must have most of the bars to prove a hole.
    """
    silent = None
    for witness in sorted(witnesses, key=lambda w: (not w.own, w.timeframe)):
        last_open = end - witness.timeframe.timedelta
        if witness.first > start or witness.last < end or last_open < start:
            continue
        after = last_open + pd.Timedelta(1, unit="us")
        found = store.open_times(witness.symbol, witness.timeframe.label, start, after).size
        if found > (0 if witness.own else missing / 2):
            return "hole", witness
        silent = silent or witness
    return ("outage" if silent else "unexplained"), silent


def _closed(start: pd.Timestamp, end: pd.Timestamp, bars: pd.DataFrame, instrument: Instrument) -> bool:
    """Whether a gap is of whole trade dates, or of the beginning or the end of one, and not of many."""
    before_it = int(np.searchsorted(microseconds(bars.index), _us(start))) - 1
    moments = pd.DatetimeIndex([bars.index[before_it], start, end])
    before, first, after = trade_days(moments, instrument.session)
    within_one_date = before == first == after
    return not within_one_date and after - before <= _CLOSED


def _us(moment: pd.Timestamp) -> int:
    return int(moment.as_unit("us").asm8.astype(np.int64))
