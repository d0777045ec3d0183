"""Checks over several bars: repeated, reversed or stuck blocks, breaks in level, and mixed markets."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.market.bars.model import BAR_COLUMNS
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Stretch = tuple[int, int]  # first bar, and the bar after the last

WINDOW = 20  # minimum number of bars of a stretch
REVERSED = 2.5  # times as far from the close before as from the close after
LEVEL = 0.05  # step between bars that follow each other within a day; a million real bars reach 0.023
DAILY_LEVEL = 0.30  # of daily and longer bars; a million real bars reach 0.26
_BLOCK = 500  # bars whose decimals are counted
_FEW, _MANY = 0.02, 0.5  # share of values that need a decimal, before and after a change
_DECIMALS = 8
_ODD = np.uint64(0x9E3779B97F4A7C15)


def repeated_blocks(bars: pd.DataFrame) -> Iterator[tuple[Stretch, int]]:
    """Yield stretches with the values of an earlier stretch, and the first bar of that one.

    Compared are hashes of ``WINDOW`` rows at a time; idle and stuck rows do not count.
    """
    rows = len(bars) - WINDOW + 1
    if rows < 2:
        return
    hashed = pd.util.hash_pandas_object(bars[list(BAR_COLUMNS)], index=False).to_numpy(np.uint64)
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.concatenate(([np.uint64(1)], np.full(len(bars), _ODD))))
        sums = np.concatenate(([np.uint64(0)], np.cumsum(hashed * powers[: len(bars)])))
        # equal windows have equal sums once both are shifted to the same power
        window = (sums[WINDOW:] - sums[:-WINDOW]) * powers[rows - 1 :: -1][:rows]
    moving = hashed[1:] != hashed[:-1]
    moved = np.concatenate(([0], np.cumsum(moving)))
    lively = moved[WINDOW - 1 :][:rows] - moved[:rows] > WINDOW // 2
    order = np.argsort(window, kind="stable")
    same = window[order][1:] == window[order][:-1]
    source = np.full(rows, -1)
    source[order[1:][same]] = order[:-1][same]
    flags = (source >= 0) & lively
    for first, end in stretches(flags):
        yield (first, end + WINDOW - 1), int(source[first])


def reversed_blocks(bars: pd.DataFrame) -> Iterator[Stretch]:
    """Yield stretches whose bars open at the close of the next one, that is, run from new to old."""
    opens, closes = bars["open"].to_numpy(), bars["close"].to_numpy()
    if opens.size <= WINDOW:
        return
    before, after = np.abs(opens[1:] - closes[:-1]), np.abs(opens[:-1] - closes[1:])
    cap = 10 * np.median(after) + np.finfo(np.float64).tiny
    sums = [np.convolve(np.minimum(steps, cap), np.ones(WINDOW), "valid") for steps in (before, after)]
    flags = (sums[0] > REVERSED * sums[1]) & (sums[0] > WINDOW * 0.25 * np.median(after))
    for first, end in stretches(flags):
        yield first, min(end + WINDOW, opens.size)


def stuck_blocks(bars: pd.DataFrame) -> Iterator[Stretch]:
    """Yield stretches of ``WINDOW`` and more bars with volume whose four prices stay the same."""
    prices = bars[list(BAR_COLUMNS[:4])].to_numpy()
    same = (prices[1:] == prices[:-1]).all(axis=1) & (bars["volume"].to_numpy()[1:] > 0)
    for first, end in stretches(same):
        if end - first >= WINDOW:
            yield first, end + 1


def level_breaks(bars: pd.DataFrame, timeframe: Timeframe) -> NDArray[np.int64]:
    """Return the bars that open further from the close of the bar before than in real markets."""
    opens, closes = bars["open"].to_numpy(), bars["close"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.abs(np.log(opens[1:] / closes[:-1]))
    together = np.diff(microseconds(bars.index)) <= timeframe.microseconds
    limit = LEVEL if timeframe.intraday else DAILY_LEVEL
    return np.flatnonzero(together & (step > limit)) + 1


def decimal_breaks(bars: pd.DataFrame) -> list[tuple[int, str]]:
    """Return where the decimals of prices or volumes change permanently: another market, tick or lot.

    Each is the first bar of the block of ``_BLOCK`` bars in which they change, and a text.
    """
    found = []
    for name, columns in (("prices", BAR_COLUMNS[:4]), ("volumes", BAR_COLUMNS[4:])):
        values = bars[list(columns)].to_numpy()
        blocks = len(values) // _BLOCK
        if blocks < 2:
            continue
        used = [_decimals(values[k * _BLOCK : (k + 1) * _BLOCK]) for k in range(blocks)]
        for k in range(1, blocks):
            if used[k] != used[k - 1] and len(set(used[k:])) == 1 and len(set(used[max(0, k - 3) : k])) == 1:
                found.append((k * _BLOCK, f"{name} have {used[k - 1]} decimals before and {used[k]} from there on"))
    return found


def rows_of_another(bars: pd.DataFrame, other: pd.DataFrame) -> Iterator[Stretch]:
    """Yield stretches with the values of another symbol at the same times."""
    aligned = other.reindex(bars.index)[list(BAR_COLUMNS)].to_numpy()
    mine = bars[list(BAR_COLUMNS)].to_numpy()
    same = (mine == aligned).all(axis=1) & (mine[:, 4] > 0)
    for first, end in stretches(same):
        if end - first >= WINDOW:
            yield first, end


def stretches(flags: Flags) -> Iterator[Stretch]:
    """Yield the first position of each run of True, and the one after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _decimals(values: Floats) -> int:
    """Return the number of decimals that more than a few of the values need."""
    for decimals in range(_DECIMALS):
        scale = 10.0**decimals
        longer = np.abs(values * scale - np.rint(values * scale)) > 1e-6 * np.maximum(1.0, np.abs(values) * 1e-6)
        if longer.mean() <= _FEW:
            return decimals
    return _DECIMALS
