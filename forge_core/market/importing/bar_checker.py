"""Check of bars read in chunks: valid values, time order, one timeframe, plausible prices."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, DataError
from forge_core.market.bars.model import MAX_NAN_SHARE, validate_bars
from forge_core.market.bars.resampling import most_common_step
from forge_core.market.importing.plausibility import check_prices, check_times, trusted_checks
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe

_COMMON = (
    "1m",
    "2m",
    "3m",
    "5m",
    "10m",
    "15m",
    "30m",
    "45m",
    "1h",
    "2h",
    "3h",
    "4h",
    "6h",
    "8h",
    "12h",
    "1d",
    "3d",
    "1w",
)
_MAX_SHORT_STEPS = 0.02  # share of steps shorter than the timeframe; sessions cut some bars of grains short
_FEW_SHORT_STEPS = 3  # in a short file: holidays move the opening of a market
_STEPS_SHOWN = 4
_MAX_DOUBTS = 5  # of one file


class BarChecker:
    """Checks the bars of one file, given in order in any number of chunks.

    ``timeframe``: expected spacing of the bars; None: taken from the first chunk. ``trust``: names of the price checks
    to skip (``plausibility.CHECKS``; True: all). ``doubts``: warnings. After ``finish``, ``rows`` is the number of
    rows, with ``incomplete`` ones (a missing value) and an ``unclosed`` one; both kinds are left out.
    """

    def __init__(
        self,
        instrument: Instrument,
        timeframe: Timeframe | None,
        *,
        source: str,
        trust: bool | Iterable[str] = False,
    ) -> None:
        self.timeframe = timeframe
        self.rows = self.incomplete = self.unclosed = 0
        self._instrument = instrument
        self._source = source
        self._trust = trusted_checks(trust)
        self.doubts: list[str] = []
        self._descending: bool | None = None
        self._last: pd.DataFrame | None = None  # the row nearest to the next piece
        self._first_incomplete = ""
        self._steps: Counter[int] = Counter()

    @property
    def subject(self) -> str:
        """Symbol and timeframe for error messages."""
        return f"{self._instrument.symbol} {self.timeframe or ''}".strip()

    def check(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return the valid rows of ``bars``, oldest first; raise DataError for invalid or implausible ones."""
        first_row = self.rows
        self.rows += len(bars)
        bars = self._complete(bars, first_row)
        if bars.empty:
            return bars
        if self._descending is None and len(bars) > 1:
            self._descending = bool(bars.index[0] > bars.index[-1] and bars.index.is_monotonic_decreasing)
        if self._descending:
            bars = bars[::-1]
        if self.timeframe is None:
            self.timeframe = self._common_timeframe(bars)
        symbol, label = self._instrument.symbol, self.timeframe
        validate_bars(bars, symbol=symbol, timeframe=label, instrument=self._instrument, first_row=first_row)
        joined = self._joined(bars, first_row)
        self._steps.update(_counted(joined))
        check_steps(self._steps, symbol, label)
        start = first_row - (len(joined) - len(bars))
        check_times(joined, subject=self.subject, timeframe=label, instrument=self._instrument, first_row=start)
        doubts = check_prices(joined, subject=self.subject, timeframe=label, first_row=start, trust=self._trust)
        self.doubts += doubts[: max(0, _MAX_DOUBTS - len(self.doubts))]
        self._last = bars.iloc[:1] if self._descending else bars.iloc[-1:]
        now = pd.Timestamp.now("UTC")
        running = bars.index[-1] <= now < bars.index[-1] + label.timedelta
        self.unclosed += running
        return bars.iloc[:-1] if running else bars

    def finish(self) -> Timeframe:
        """Return the timeframe; raise DataError for no rows, too many incomplete rows or another spacing."""
        if self.rows == 0:
            raise DataError(f"{self._source} has no rows")
        if self.incomplete > MAX_NAN_SHARE * self.rows:
            share = f"{self.incomplete / self.rows:.1%} of the rows have missing values"
            raise DataError(
                f"{self.subject}: {self._first_incomplete}: a value is missing (nan); {share}, at most "
                f"{MAX_NAN_SHARE:.0%} are left out"
            )
        if self.timeframe is None or self._last is None:
            raise DataError(f"{self._source} has no complete row")
        check_steps(self._steps, self._instrument.symbol, self.timeframe)
        return self.timeframe

    def _complete(self, bars: pd.DataFrame, first_row: int) -> pd.DataFrame:
        missing = bars.isna().any(axis=1).to_numpy()
        if not missing.any():
            return bars
        if not self.incomplete:
            row = int(missing.argmax())
            self._first_incomplete = f"row {first_row + row} ({bars.index[row]})"
        self.incomplete += int(missing.sum())
        return bars[~missing]

    def _joined(self, bars: pd.DataFrame, first_row: int) -> pd.DataFrame:
        """Return ``bars`` with the adjacent row of the previous chunk; raise DataError if the order is wrong."""
        if self._last is None:
            return bars
        both = [bars, self._last] if self._descending else [self._last, bars]
        if both[0].index[-1] >= both[1].index[0]:
            raise DataError(
                f"{self.subject}: row {first_row} ({bars.index[0]}) is out of order after the row before it "
                f"({self._last.index[0]}): sort the bars by time, without duplicates"
            )
        return pd.concat(both)

    def _common_timeframe(self, bars: pd.DataFrame) -> Timeframe:
        step = most_common_step(microseconds(bars.index))
        if step is None:
            raise ConfigError(
                f"{self._source}: the timeframe of a single bar is unknown: give it, such as --timeframe 15m"
            )
        if step <= 0:  # not sorted; the validation reports the row
            return Timeframe.parse(_COMMON[0])
        known = {Timeframe.parse(label).microseconds: label for label in _COMMON}
        if step not in known:
            raise ConfigError(
                f"{self._source}: the bars are mostly {pd.Timedelta(step, unit='us')} apart, which is not a "
                f"common timeframe ({', '.join(_COMMON)}): if the times are right, give it with --timeframe"
            )
        return Timeframe.parse(known[step])


def check_spacing(bars: pd.DataFrame, symbol: str, timeframe: str) -> None:
    """Raise DataError unless sorted bars are mostly ``timeframe`` apart and rarely less (a single bar passes)."""
    check_steps(Counter(_counted(bars)), symbol, Timeframe.parse(timeframe))


def check_steps(steps: Counter[int], symbol: str, timeframe: Timeframe) -> None:
    """Raise DataError unless ``steps`` (counts of microseconds between bars) fit ``timeframe``."""
    if not steps:
        return
    common = min(steps, key=lambda step: (-steps[step], step))
    if common != timeframe.microseconds:
        raise DataError(
            f"{symbol} {timeframe}: the bars are mostly {pd.Timedelta(common, unit='us')} apart ({_listed(steps)}), "
            f"not {timeframe}: give their timeframe"
        )
    short = sum(count for step, count in steps.items() if step < timeframe.microseconds)
    if short > max(_FEW_SHORT_STEPS, _MAX_SHORT_STEPS * steps.total()):
        raise DataError(
            f"{symbol} {timeframe}: {short} of {steps.total()} bars are less than that apart ({_listed(steps)}): "
            "bars of several timeframes are mixed in one file"
        )


def _counted(bars: pd.DataFrame) -> dict[int, int]:
    steps, counts = np.unique(np.diff(microseconds(bars.index)), return_counts=True)
    return dict(zip(steps.tolist(), counts.tolist(), strict=True))


def _listed(steps: Counter[int]) -> str:
    return ", ".join(f"{count} x {pd.Timedelta(step, unit='us')}" for step, count in steps.most_common(_STEPS_SHOWN))
