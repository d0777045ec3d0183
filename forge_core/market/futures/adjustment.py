"""Adjustment of a continuous future for the gaps between contracts, with one level for all timeframes.

Each contract has one level: a factor where prices are positive, a difference in price points where they may fall below
zero. Levels are counted from an anchor, the time at which trading starts: the contract of that time keeps its traded
prices to the last bit, later contracts are brought to its level forwards, those of the lead-in backwards. So

- no value depends on a later bar: rolls up to the anchor are past when trading starts, and a roll after it changes the
  bars from the roll on;
- all timeframes of a symbol agree, because a bar's level depends on its open time alone;
- bars before the lead-in have no effect.

A ratio leaves every return within a contract and every sign as it was; a difference leaves every move in points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import DataError
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe

Adjustment = Literal["forward", "none"]
Method = Literal["ratio", "difference"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
_ON_THE_GRID = 1e-6  # of a tick: how far a price may be from a whole number of ticks


@dataclass(frozen=True, eq=False)
class RollAdjustment:
    """The level of each contract of one symbol.

    ``times``: the rolls (microseconds UTC, ascending). ``levels``: one number per contract, that is, one more than
    rolls: factors (``ratio``) or points (``difference``), 1.0 or 0.0 for the contract of the anchor.
    """

    method: Method
    times: Integers
    levels: Floats
    tick: float  # differences of whole ticks stay whole ticks

    @classmethod
    def measure(
        cls,
        bars: Mapping[str, pd.DataFrame],
        roll_dates: pd.DatetimeIndex,
        *,
        anchor: pd.Timestamp,
        instrument: Instrument,
    ) -> Self:
        """Measure the gap of each roll in ``bars`` (by timeframe) and count the levels from ``anchor``.

        A gap is the first open on the new contract against the last close on the old one, in the finest timeframe that
        shows both. Several rolls within one hole of the bars count as one. A roll that no timeframe shows has no gap.
        Raises DataError for a ratio of prices that are not above zero.
        """
        method = adjustment_method(instrument)
        times = np.unique(microseconds(roll_dates))
        gaps = np.full(times.size, 1.0 if method == "ratio" else 0.0)
        unmeasured = np.ones(times.size, np.bool_)
        for label in sorted(bars, key=Timeframe.parse):
            frame = bars[label]
            first = np.searchsorted(microseconds(frame.index), times, side="left")
            inside = (first > 0) & (first < len(frame))
            for position in np.unique(first[inside & unmeasured]):
                here = np.flatnonzero((first == position) & unmeasured)
                before, after = float(frame["close"].iloc[position - 1]), float(frame["open"].iloc[position])
                gaps[here[-1]] = _gap(before, after, method, f"{instrument.symbol} {label}", frame.index[position])
                unmeasured[here] = False
        shown = ~unmeasured
        return cls.from_gaps(method, times[shown], gaps[shown], anchor=anchor, tick=instrument.tick)

    @classmethod
    def from_gaps(cls, method: Method, times: Integers, gaps: Floats, *, anchor: pd.Timestamp, tick: float) -> Self:
        """Count the levels from ``anchor``; ``gaps`` are old price over new (``ratio``) or new less old."""
        levels = np.full(times.size + 1, 1.0 if method == "ratio" else 0.0)
        held = int(np.searchsorted(times, _stamp(anchor), side="right"))
        for k in range(held + 1, levels.size):
            levels[k] = levels[k - 1] * gaps[k - 1] if method == "ratio" else levels[k - 1] + gaps[k - 1]
        for k in range(held - 1, -1, -1):
            levels[k] = levels[k + 1] / gaps[k] if method == "ratio" else levels[k + 1] - gaps[k]
        return cls(method, times, levels, tick)

    def document(self) -> dict[str, Any]:
        """Return the adjustment as plain data."""
        return {
            "method": self.method,
            "times": [pd.Timestamp(stamp, unit="us", tz="UTC").isoformat() for stamp in self.times.tolist()],
            "levels": self.levels.tolist(),
            "tick": self.tick,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the adjustment of a ``document``."""
        times = microseconds(pd.DatetimeIndex(document["times"], tz="UTC").as_unit("us"))
        return cls(document["method"], times, np.array(document["levels"], np.float64), document["tick"])

    def adjusted(
        self, bars: pd.DataFrame, timeframe: Timeframe, finer: tuple[pd.DataFrame, Timeframe] | None = None
    ) -> pd.DataFrame:
        """Return ``bars`` at the level of the anchor's contract; volume stays.

        A bar belongs to the contract of its open time. A bar that contains a roll (a week, a day that opens before the
        new contract's session) has prices of two contracts: it is resampled from adjusted ``finer`` bars if these show
        both contracts.
        """
        level = self._levels(microseconds(bars.index))
        prices = {name: self._moved(bars[name].to_numpy(np.float64), level) for name in PRICES}
        if finer is not None:
            self._join_mixed(prices, microseconds(bars.index), timeframe, *finer)
        return bars.assign(**prices)

    def price_scale(self, times: Integers) -> Floats | None:
        """Return adjusted over traded price for bars that open at ``times``; None where that is 1 for all."""
        if self.method == "difference":
            return None
        scale = self._levels(times)
        return None if (scale == 1.0).all() else scale

    def _levels(self, times: Integers) -> Floats:
        return self.levels[np.searchsorted(self.times, times, side="right")]

    def _moved(self, prices: Floats, level: Floats) -> Floats:
        """Return ``prices`` at the anchor's level; differences of whole ticks stay on the grid, so ties remain ties."""
        if self.method == "ratio":
            return prices * level
        per_point = 1.0 / self.tick
        if abs(per_point - round(per_point)) < _ON_THE_GRID:
            per_point = float(round(per_point))  # 0.01 is no binary fraction, 100 is a whole number
        ticks, steps = np.rint(prices * per_point), np.rint(level * per_point)
        whole = (np.abs(prices * per_point - ticks) < _ON_THE_GRID) & (np.abs(level * per_point - steps) < _ON_THE_GRID)
        return np.where(level == 0.0, prices, np.where(whole, (ticks - steps) / per_point, prices - level))

    def _join_mixed(
        self, prices: dict[str, Floats], times: Integers, timeframe: Timeframe, finer: pd.DataFrame, step: Timeframe
    ) -> None:
        """Replace the prices of bars that contain a roll by those of their ``finer`` bars."""
        last = np.searchsorted(times, self.times, side="left") - 1  # the last bar that opens before each roll
        fine = microseconds(finer.index)
        for k, roll in zip(last.tolist(), self.times.tolist(), strict=True):
            if k < 0:
                continue
            end = times[k] + timeframe.microseconds
            if k + 1 < times.size:
                end = min(end, times[k + 1])
            low, middle, high = np.searchsorted(fine, [times[k], roll, end - step.microseconds + 1])
            if not low < middle < high:
                continue
            level = self._levels(fine[low:high])
            part = {name: self._moved(finer[name].to_numpy(np.float64)[low:high], level) for name in PRICES}
            prices["open"][k], prices["close"][k] = part["open"][0], part["close"][-1]
            prices["high"][k], prices["low"][k] = part["high"].max(), part["low"].min()


def adjustment_method(instrument: Instrument) -> Method:
    """Return the adjustment method: by differences only for instruments whose prices may fall below zero."""
    return "ratio" if instrument.positive_prices else "difference"


def _gap(before: float, after: float, method: Method, subject: str, time: pd.Timestamp) -> float:
    if method == "difference":
        return after - before
    if not (before > 0.0 and after > 0.0):
        raise DataError(
            f"{subject}: the contract rolls at {time} from {before!r} to {after!r}, and a ratio needs prices above "
            "zero; declare the instrument with `positive_prices: false`, and gaps are taken as differences"
        )
    return before / after


def _stamp(moment: pd.Timestamp) -> int:
    return (moment - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(1, unit="us")
