"""What prices give away: mixed series, swapped columns, damaged digits; and what real and made-up markets may do."""

import re

import numpy as np
import pandas as pd
import pytest

from forge_core.errors import ConfigError, DataError
from forge_core.market.importing.bar_checker import BarChecker
from forge_core.market.importing.importer import read_bars_file
from forge_core.market.importing.plausibility import CHECKS, check_prices, check_times, trusted_checks
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from tests.market.bar_tables import REAL, needs_real_bars, walk
from tests.market.format_files import market

BARS = market(2_000)
PRICES = ["open", "high", "low", "close"]


def check(bars, timeframe="15m", trust=()):
    return check_prices(bars, subject="X", timeframe=Timeframe.parse(timeframe), trust=trusted_checks(trust))


def mixed(share, factor=1.02):
    """Bars of which a share, at random, is of the same series adjusted otherwise."""
    bars = BARS.copy()
    bars.loc[np.random.default_rng(0).random(len(bars)) < share, PRICES] *= factor
    return bars.round(2)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
def test_two_adjustments_of_one_series_mixed_at_random_are_seen(share):
    with pytest.raises(DataError, match=r"two series (\(or two adjustments of one\) )?are mixed in one file"):
        check(mixed(share))


def test_two_adjustments_bar_by_bar_are_seen():
    bars = BARS.copy()
    bars.iloc[::2, :4] *= 1.02
    with pytest.raises(DataError, match="nearer to the close of two bars before"):
        check(bars.round(2))


def test_one_change_of_the_adjustment_is_a_roll_and_may_be():
    bars = BARS.copy()
    bars.iloc[1_000:, :4] *= 1.02
    check(bars.round(2))


def test_open_and_close_swapped_are_seen():
    with pytest.raises(DataError, match="open and close are swapped"):
        check(BARS.rename(columns={"open": "close", "close": "open"}))


@pytest.mark.parametrize(("factor", "seen"), [(1.4, False), (1.6, True), (0.6, True)])
def test_a_jump_from_one_bar_to_the_next(factor, seen):
    bars = BARS.copy()
    bars.iloc[700:, :4] = (bars.iloc[700:, :4] * factor).round(2)
    if seen:
        with pytest.raises(DataError, match=r"row 700 \(.*\): opens at .* after a close of .*--trust"):
            check(bars)
    else:
        check(bars)


def test_over_a_long_pause_the_price_may_be_any():
    bars = BARS.copy()
    bars.iloc[700:, :4] = (bars.iloc[700:, :4] * 5).round(2)
    bars.index = bars.index.where(np.arange(len(bars)) < 700, bars.index + pd.Timedelta(days=5))
    check(bars)


def test_a_wick_of_three_times_the_price_is_seen():
    bars = BARS.copy()
    bars.iloc[33, 2] = 12_000.0
    with pytest.raises(DataError, match=r"row 33 .*from 12000 to .*--trust"):
        check(bars)


@pytest.mark.parametrize("column", range(5))
def test_a_value_with_more_decimals_than_all_others_is_seen(column):
    bars = BARS.copy()
    bars.iloc[99, column] *= 1 + 1e-7
    if column < 4:
        bars["high"], bars["low"] = bars[PRICES].max(axis=1), bars[PRICES].min(axis=1)
    (doubt,) = check(bars)
    assert re.search(r"row 99 .*at most (2|5) decimals: compare it with another copy", doubt)


@pytest.mark.parametrize(
    "bars",
    [
        walk(5_000),
        pd.concat([walk(300)] * 1).assign(volume=0.0),
        walk(500).clip(lower=100.0, upper=100.0),
        market(500, seed=2) / 7,
        pd.DataFrame(
            np.random.default_rng(1).uniform(100, 110, (500, 1)).repeat(5, axis=1) * [1.0, 1.2, 0.8, 1.0, 1.0],
            index=walk(500).index,
            columns=[*PRICES, "volume"],
        ),
    ],
    ids=["walk", "no volume", "constant", "long fractions", "noise"],
)
def test_made_up_markets_that_are_none_are_let_through(bars):
    check(bars)


@pytest.mark.parametrize(
    ("move", "symbol", "message"),
    [
        (lambda t: t + pd.Timedelta(minutes=1), "BTCUSDT", "is not aligned to 15m"),
        (
            lambda t: t + pd.Timedelta(milliseconds=899_999),
            "ES",
            r"is not aligned to 1m \(bars are stamped with their open time",
        ),
        (lambda t: t + pd.Timedelta(days=365 * 80), "ES", "is in the future"),
        (lambda t: t - pd.Timedelta(days=365 * 130), "ES", "is before 1900"),
    ],
)
def test_times_that_no_bar_opens_at(move, symbol, message):
    moved = BARS.set_axis(pd.DatetimeIndex(move(BARS.index)))
    with pytest.raises(DataError, match=rf"X: row 5: the time .* {message}"):
        check_times(
            moved, subject="X", timeframe=Timeframe.parse("15m"), instrument=get_instrument(symbol), first_row=5
        )


def test_a_simulated_series_may_run_on_into_the_future():
    start = str((pd.Timestamp.now("UTC").floor("1D") - pd.Timedelta(days=5)).tz_localize(None))
    bars = market(2_000, start=start)
    check_times(bars, subject="X", timeframe=Timeframe.parse("15m"), instrument=get_instrument("BTCUSDT"))


@needs_real_bars
def test_real_bars_are_plausible():
    for path in sorted(REAL.glob("*_*.parquet")):
        symbol, _, label = path.stem.partition("_")
        if label.startswith("funding"):
            continue
        bars = read_bars_file(path)
        check(bars, label)
        instrument = get_instrument(symbol.removesuffix("BADJ"))
        check_times(bars, subject=symbol, timeframe=Timeframe.parse(label), instrument=instrument)


def test_each_check_is_dropped_by_its_own_name():
    jump, wick = BARS.copy(), BARS.copy()
    jump.iloc[700:, :4] *= 2.0
    wick.iloc[33, 1] *= 5.0
    swapped = BARS.rename(columns={"open": "close", "close": "open"})
    faulty = {"jumps": jump, "wicks": wick, "order": swapped, "mixed": mixed(0.05)}
    for name, bars in faulty.items():
        with pytest.raises(DataError, match=f"--trust {name}$"):
            check(bars, trust=set(CHECKS) - {name})
        check(bars, trust=[name])
        check(bars, trust="all")
        check(bars, trust=True)
    with pytest.raises(ConfigError, match=r"unknown check 'jump' \(did you mean 'jumps'"):
        trusted_checks(["jump"])


@needs_real_bars
def test_no_month_of_real_bars_is_refused():
    """Every month of every file, alone and as part of the whole file."""
    months = 0
    for path in sorted(REAL.glob("*.parquet")):
        symbol, _, label = path.stem.partition("_")
        if label.startswith("funding"):
            continue
        bars = read_bars_file(path)
        for _, part in [("", bars), *bars.groupby(bars.index.strftime("%Y-%m"))]:
            if len(part) > 1:
                instrument = get_instrument(symbol.removesuffix("BADJ"))
                checker = BarChecker(instrument, Timeframe.parse(label), source=path.name)
                checker.check(part)
                checker.finish()
                months += 1
    assert months > 1_000
