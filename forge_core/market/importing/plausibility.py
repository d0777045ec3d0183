"""Plausibility checks of prices: whether bars can be those of one market.

A bar opens near the close of the bar before it, within wider bounds over nights and weekends. Files that mix two
symbols or two adjustments, or have swapped columns or damaged digits, violate this. The bounds are far from real bars:
among a million bars of crypto and futures of 1 minute to 1 day, the largest step between neighbours is 2.3 % for crypto
and 26 % for a future (oil, overnight), and the median step is at most a quarter of the median move over two bars.
"""

import time
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import ConfigError, DataError, unknown
from forge_core.market.bars.model import BAR_COLUMNS
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import DAY, microseconds
from forge_core.market.reference.timeframes import Timeframe

_FEW = 50  # bars, of which medians are taken
_STEP_AT_ONCE = 1.5  # from a close to the next open, factor, of bars within a day that follow each other
_STEP = 3.0  # of daily and longer bars, and over pauses of the market
_PAUSE = 4 * DAY  # a longer one may change the price by any factor
_WICK = 3.0  # of high over open and close, or of these over low
_RATIO = 2.5  # of the median step to the median move over two bars
_BACK_AND_FORTH = 0.002  # share of far steps that the next one undoes
_SMALL_STEP, _FAR = 0.25, 3.0  # of the median range: what a quarter of the steps stays within, and when one is far
_DECIMALS = 8  # that quoted prices and volumes have at most
_FEW_ODD = 3  # values with more decimals than the others
_ENOUGH_VALUES = 200  # to tell how many decimals there are
_SAMPLED = 4_000
_EARLIEST = -70 * 365.25 * DAY  # 1900, in microseconds since 1970

Floats = NDArray[np.float64]


def check_times(
    bars: pd.DataFrame, *, subject: str, timeframe: Timeframe, instrument: Instrument, first_row: int = 0
) -> None:
    """Raise DataError for a bar before 1900, a jump into the future, or a bar that is not aligned to its timeframe.

    Bars open on whole minutes; those of markets that never close, up to a day long, at multiples of their timeframe. A
    simulated series may reach into the future bar by bar; a damaged or misread time jumps there.
    """
    times = microseconds(bars.index)
    step = 60_000_000
    if instrument.trades_always and timeframe.microseconds <= DAY:
        step = timeframe.microseconds
    faults = {
        "is before 1900": times < _EARLIEST,
        "is in the future": (times > time.time() * 1e6)
        & (np.diff(times, prepend=-np.inf) > _PAUSE + timeframe.microseconds),
        f"is not aligned to {timeframe if step > 60_000_000 else '1m'} (bars are stamped with their open time)": times
        % step
        != 0,
    }
    for fault, wrong in faults.items():
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{subject}: row {first_row + row}: the time {bars.index[row]} {fault}")


CHECKS = {
    "jumps": "the price changes by half or more from bar to bar",
    "wicks": "a high or low is three times the other prices",
    "order": "bars do not open near the close of the bar before",
    "mixed": "the price jumps away and back repeatedly",
    "market": "the file is of a spot market and the symbol is a perpetual, or vice versa",
    "symbol": "the file is of another symbol than --symbol",
    "agreement": "most stored bars of the same times have other values",
}
"""The checks that ``--trust`` can skip, by name, with what each refuses."""


def trusted_checks(trust: bool | Iterable[str]) -> frozenset[str]:
    """Return the names of checks to skip, all of them for True or ``all``; raise ConfigError for an unknown name."""
    if isinstance(trust, bool):
        return frozenset(CHECKS) if trust else frozenset()
    names = {trust} if isinstance(trust, str) else set(trust)
    for name in sorted(names - {"all"}):
        if name not in CHECKS:
            raise ConfigError(unknown("check", name, [*CHECKS, "all"]))
    return frozenset(CHECKS) if "all" in names else frozenset(names)


def check_prices(
    bars: pd.DataFrame,
    *,
    subject: str,
    timeframe: Timeframe,
    first_row: int = 0,
    trust: frozenset[str] = frozenset(),
) -> list[str]:
    """Raise DataError if ``bars`` (sorted, valid) cannot be those of one market; see the module.

    The checks in ``trust`` are skipped. Returns doubts, which real bars may cause too.
    """
    times = microseconds(bars.index)
    opens, highs, lows, closes = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
    body_top, body_bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    with np.errstate(divide="ignore", invalid="ignore"):  # prices at or below zero have no factor
        step = np.abs(np.log(opens[1:] / closes[:-1]))
        wick = np.maximum(np.log(highs / body_top), np.log(body_bottom / lows))
    gap = np.diff(times)
    together = gap <= timeframe.microseconds
    limit = np.where(together & timeframe.intraday, np.log(_STEP_AT_ONCE), np.log(_STEP))
    jump = np.flatnonzero((step > limit) & (gap <= _PAUSE + timeframe.microseconds))
    hint = "two symbols in one file, a share split, or damage; if it is real, import with --trust"
    if jump.size and "jumps" not in trust:
        row = int(jump[0]) + 1
        raise DataError(
            f"{subject}: row {first_row + row} ({bars.index[row]}): opens at {opens[row]:g} after a close of "
            f"{closes[row - 1]:g}{_more(jump.size)}: {hint} jumps"
        )
    long_wick = np.flatnonzero(wick > np.log(_WICK))
    if long_wick.size and "wicks" not in trust:
        row = int(long_wick[0])
        raise DataError(
            f"{subject}: row {first_row + row} ({bars.index[row]}): from {lows[row]:g} to {highs[row]:g}, with an open "
            f"of {opens[row]:g} and a close of {closes[row]:g}{_more(long_wick.size)}: {hint} wicks"
        )
    if "order" not in trust:
        _check_order(opens, closes, subject)
    if "mixed" not in trust:
        _check_back_and_forth(opens, closes, highs - lows, together, subject, bars.index, first_row)
    return _odd_decimals(bars, subject, first_row)


def _check_order(opens: Floats, closes: Floats, subject: str) -> None:
    """Raise DataError if opens are much nearer to another close than to that of the bar before."""
    if opens.size < _FEW:
        return
    step = float(np.median(np.abs(opens[1:] - closes[:-1])))
    earlier = float(np.median(np.abs(opens[2:] - closes[:-2])))
    swapped = float(np.median(np.abs(closes[1:] - opens[:-1])))
    real = "if it is real, import with --trust order"
    if step > _RATIO * swapped:
        raise DataError(
            f"{subject}: bars do not open near the close of the bar before (median step {step:g}, {swapped:g} from "
            f"open to the next close): open and close are swapped, or the times are not those of the prices; {real}"
        )
    if step > _RATIO * earlier:
        raise DataError(
            f"{subject}: bars open nearer to the close of two bars before (median step {earlier:g}) than to the last "
            f"one ({step:g}): two series are mixed in one file; {real}"
        )


def _check_back_and_forth(
    opens: Floats,
    closes: Floats,
    ranges: Floats,
    together: NDArray[np.bool_],
    subject: str,
    index: pd.Index,
    first_row: int,
) -> None:
    """Raise DataError if large steps are reversed by the next one too often to be a market."""
    if opens.size < _FEW:
        return
    step, usual = np.where(together, opens[1:] - closes[:-1], 0.0), np.median(ranges)
    if np.quantile(np.abs(step), 0.25) > _SMALL_STEP * usual:
        return  # all bars step here; in a random mix of two series half of the bars follow a bar of their own series
    far = np.abs(step) > _FAR * usual
    undone = far[:-1] & far[1:] & (np.abs(step[:-1] + step[1:]) < 0.3 * np.abs(step[:-1]))
    if undone.sum() > max(2, _BACK_AND_FORTH * opens.size):
        row = int(undone.argmax()) + 1
        raise DataError(
            f"{subject}: row {first_row + row} ({index[row]}): the price jumps away and back from bar to bar, "
            f"{int(undone.sum())} times: two series (or two adjustments of one) are mixed in one file; if it is "
            "real, import with --trust mixed"
        )


def _odd_decimals(bars: pd.DataFrame, subject: str, first_row: int) -> list[str]:
    """Return a doubt if one to three values have more decimals than all others: their bits may be damaged.

    Prices are quoted in ticks, so they are the floats nearest to decimals, and nine of ten need the last decimal.
    Volumes are sums with rounding errors. This is a doubt, not an error, because real months have such values.
    """
    doubts = []
    for names, slack in ((BAR_COLUMNS[:4], 0.0), (BAR_COLUMNS[4:], 64.0)):
        values = np.abs(np.column_stack([bars[name].to_numpy() for name in names]))
        if values.size < _ENOUGH_VALUES:
            continue
        sample = values[:: max(1, len(values) * 4 // _SAMPLED)]
        decimals = 0
        while decimals < _DECIMALS and _longer(sample, decimals, slack).sum() > _FEW_ODD:
            decimals += 1
        odd = _longer(values, decimals, slack)
        while decimals < _DECIMALS and odd.sum() > _FEW_ODD:
            decimals += 1
            odd = _longer(values, decimals, slack)
        if 0 < odd.sum() <= _FEW_ODD:
            row, column = (int(positions[0]) for positions in np.nonzero(odd))
            value = f"{names[column]} is {float(values[row, column])!r}"
            others = f"all but {odd.sum()} of {odd.size} such values have at most {decimals} decimals"
            doubts.append(
                f"{subject}: row {first_row + row} ({bars.index[row]}): {value}, while {others}: compare it with "
                "another copy of the file"
            )
    return doubts


def _longer(values: Floats, decimals: int, slack: float) -> NDArray[np.bool_]:
    """Return which values do not have the given number of decimals, within ``slack`` times the precision of a float."""
    scale = np.where(values < 2.0**53 / 10**decimals, 10.0**decimals, 1.0)
    return np.abs(values - np.rint(values * scale) / scale) > slack * np.finfo(np.float64).eps * values


def _more(count: int) -> str:
    return f" ({count} such rows)" if count > 1 else ""
