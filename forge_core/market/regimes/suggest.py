"""Suggested regimes of a symbol, derived from its bars: bull, bear, sideways and volatile periods.

Bull and bear phases run between turning points of the log price: peaks and troughs whose prominence
(``scipy.signal.find_peaks``) is at least twice what the symbol's own volatility makes of a quarter of a year, and 20 %,
the usual rule for a bull or bear market (Lunde and Timmermann, 2004, date phases by such thresholds).

Sideways windows are those of whole months whose range is small compared with a random walk of the symbol's volatility
(expected range sigma * sqrt(8 n / pi) over n days; Feller, 1951) and that end about where they began: of those within
15 % of the smallest ratio, the longest. Volatile windows are those of the highest realized volatility, again the
longest of those near it.

Change points in the slope of the log price (PELT of the package ruptures) were tried on the same bars: they date bull
and bear phases alike, cut the longest sideways period of ETHUSDT in two, and would be one more dependency.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import find_peaks

from forge_core.errors import DataError
from forge_core.market.reference.catalog import Regime
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import trade_days

_LEAST_TURN = np.log(1.2)
_QUARTER = 0.25  # of a year
_MONTHS_RANGE, _MONTHS_VOLATILE = range(4, 13), range(6, 25)
_NET_OF_RANGE = 0.10  # of the net move to the range, in logs, at most
_NEAR = 0.15  # of the best ratio
_NEAR_VOLATILITY = 0.10
_LEAST_MONTHS = 3  # of a phase
_LEAST_DAYS = 120

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Figures of a period's daily closes for the catalog, as fractions; ``volatility`` is annualized.

    ``span`` is the highest over the lowest, minus 1.
    """

    total_return: float
    volatility: float
    drawdown: float
    span: float

    def __str__(self) -> str:
        parts = (
            f"{round(self.total_return, 2) + 0.0:+.0%}",
            f"volatility {self.volatility:.0%}",
            f"drawdown {self.drawdown:.0%}",
        )
        return ", ".join((*parts, f"range {self.span:.0%}")).replace("%", " %")


@dataclass(frozen=True)
class Suggestion:
    """A period [start, end) of whole months with its regime, the reason, and its figures."""

    regime: Regime
    start: pd.Timestamp
    end: pd.Timestamp
    reason: str
    figures: Figures


def daily_closes(bars: pd.DataFrame, instrument: Instrument) -> pd.Series:
    """Return the last close of each trade date of bars of any timeframe up to a day, by the date (UTC midnight)."""
    days = trade_days(bars.index, instrument.session)
    last = np.flatnonzero(np.append(np.diff(days) != 0, True))
    index = pd.DatetimeIndex(days[last].astype("datetime64[D]").astype("datetime64[us]"), tz="UTC", name="date")
    return pd.Series(bars["close"].to_numpy()[last], index=index, name="close")


def figures(closes: pd.Series, annualization: int) -> Figures:
    """Return the figures of daily closes."""
    values = closes.to_numpy(np.float64)
    peak = np.maximum.accumulate(values)
    return Figures(
        total_return=float(values[-1] / values[0] - 1),
        volatility=float(np.diff(np.log(values)).std(ddof=1) * np.sqrt(annualization)),
        drawdown=float((1 - values / peak).max()),
        span=float(values.max() / values.min() - 1),
    )


def suggest_regimes(closes: pd.Series, annualization: int) -> list[Suggestion]:
    """Return suggested periods, oldest first within each regime: bear, bull, range, volatile.

    ``closes`` are daily. Raises DataError for fewer than ``_LEAST_DAYS`` of them, or prices that are not above zero.
    """
    if len(closes) < _LEAST_DAYS:
        raise DataError(f"{len(closes)} days are too few to tell regimes from; at least {_LEAST_DAYS} are needed")
    if (closes <= 0).any():
        first = closes.index[int((closes <= 0).to_numpy().argmax())]
        raise DataError(
            f"the close of {first:%Y-%m-%d} is {closes[first]:g}; regimes are told by ratios of prices above zero"
        )
    logs = np.log(closes)
    sigma = float(logs.diff().std())
    phases = list(_phases(logs, sigma, annualization))
    windows = [*_flattest(logs, sigma), *_wildest(logs, sigma, annualization)]
    found = [(regime, start, end, reason) for regime, start, end, reason in (*phases, *windows)]
    return [
        Suggestion(regime, start, end, reason, figures(_between(closes, start, end), annualization))
        for kind in ("bear", "bull", "range", "volatile")
        for regime, start, end, reason in found
        if regime == kind
    ]


_Found = tuple[Regime, pd.Timestamp, pd.Timestamp, str]


def _phases(logs: pd.Series, sigma: float, annualization: int) -> Iterator[_Found]:
    values = logs.to_numpy(np.float64)
    turn = max(_LEAST_TURN, 2 * sigma * np.sqrt(_QUARTER * annualization))
    peaks, troughs = (find_peaks(sign * values, prominence=turn)[0] for sign in (1, -1))
    points = [0, *sorted([*peaks.tolist(), *troughs.tolist()]), len(values) - 1]
    for first, last in pairwise(points):
        move = values[last] - values[first]
        start, end = _nearest_month(logs.index[first]), _nearest_month(logs.index[last])
        if abs(move) < turn or _months(start, end) < _LEAST_MONTHS:
            continue
        regime: Regime = "bull" if move > 0 else "bear"
        yield (
            regime,
            start,
            end,
            f"{_point(logs, first)} to {_point(logs, last)}, {np.expm1(move):+.0%}".replace("%", " %"),
        )


def _flattest(logs: pd.Series, sigma: float) -> Iterator[_Found]:
    def ratio(window: Floats) -> float:
        span, net = np.ptp(window), abs(window[-1] - window[0])
        return float(span / (sigma * np.sqrt(8 * (window.size - 1) / np.pi))) if net <= _NET_OF_RANGE * span else np.inf

    best = _best(logs, _MONTHS_RANGE, ratio, 1 + _NEAR)
    if best is not None:
        start, end, value = best
        yield "range", start, end, f"its range is {value:.2f} of what a random walk of its volatility would have"


def _wildest(logs: pd.Series, sigma: float, annualization: int) -> Iterator[_Found]:
    best = _best(
        logs, _MONTHS_VOLATILE, lambda window: 1 / float(np.diff(window).std(ddof=1)), 1 / (1 - _NEAR_VOLATILITY)
    )
    if best is not None:
        start, end, value = best
        yield "volatile", start, end, f"its volatility is {1 / value / sigma:.1f} times that of the whole"


def _best(
    logs: pd.Series, lengths: range, score: Callable[[Floats], float], near: float
) -> tuple[pd.Timestamp, pd.Timestamp, float] | None:
    """Return the longest window of whole months whose score is at most ``near`` times the smallest, and its score."""
    first, last = logs.index[0], logs.index[-1] + pd.Timedelta(days=1)
    begins = pd.date_range(first.normalize() - pd.offsets.MonthBegin(1), last, freq="MS")
    begins = begins[begins >= first - pd.Timedelta(days=3)]  # a month may begin with a holiday
    found = []
    for length in lengths:
        for start in begins:
            end = start + pd.DateOffset(months=length)
            if end > last + pd.Timedelta(days=3):
                break
            window = _between(logs, start, end).to_numpy(np.float64)
            if window.size > 2 and np.isfinite(value := score(window)):
                found.append((length, -value, start, end))
    if not found:
        return None
    smallest = min(-value for _, value, _, _ in found)
    _, value, start, end = max(entry for entry in found if -entry[1] <= near * smallest)
    return start, end, -value


def _between(closes: pd.Series, start: pd.Timestamp, end: pd.Timestamp) -> pd.Series:
    return closes[(closes.index >= start) & (closes.index < end)]


def _nearest_month(moment: pd.Timestamp) -> pd.Timestamp:
    begin = moment.normalize().replace(day=1)
    return begin if moment.day <= 15 else begin + pd.DateOffset(months=1)


def _months(start: pd.Timestamp, end: pd.Timestamp) -> int:
    return (end.year - start.year) * 12 + end.month - start.month


def _point(logs: pd.Series, position: int) -> str:
    return f"{np.exp(logs.iloc[position]):,.6g} on {logs.index[position]:%Y-%m-%d}"
