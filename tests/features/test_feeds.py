"""Feeds: the bars as the engine sees them, and columns that never look ahead."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forge_core.errors import DataError, PlayError
from forge_core.features.bank.bank import Bank
from forge_core.features.reference import PRICE_FIELDS, price_field
from forge_core.features.registry import make_reference
from forge_core.feeds.build import feed_from_bars, open_feed
from forge_core.market.bars.model import normalize_bars, trade_days
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home
from tests.features.versions import (
    INSTRUMENT,
    LEAD_IN,
    expected_column,
    project,
    resampled,
    simulated_bars,
    version,
)

__all__ = ["version"]  # a fixture

REAL_BARS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "BTCUSDT_15m.parquet"

REFERENCES = [
    make_reference("ema", {"timeperiod": 10}, timeframe="15m"),
    make_reference("rsi", {"timeperiod": 7}, timeframe="1h"),
    make_reference("bbands", {"timeperiod": 12}, output="lowerband", timeframe="4h"),
    make_reference("macd", {}, output="macdsignal", timeframe="1h"),
    make_reference("atr", {}, timeframe="2h"),  # the dataset has no 2h bars
    make_reference("obv", {}, timeframe="1h"),
    make_reference("zones", {}, output="resistance", timeframe="15m"),
    make_reference("swings", {}, output="last_low", timeframe="1h"),
    make_reference("ema", {"timeperiod": 10}, timeframe="15m").streak(),
    make_reference("rsi", {"timeperiod": 7}, timeframe="4h").streak(),
    price_field("close", "1d"),
]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture(scope="module")
def bars():
    return simulated_bars()


# ---------------------------------------------------------------- a dataset's feed


@pytest.mark.parametrize("timeframe", [None, "15m", "1h"])
def test_a_feed_has_the_bars_of_its_dataset(timeframe, version, home):
    for _ in range(2):  # written, then mapped
        feed = open_feed(version, timeframe=timeframe, home=home)
        frame = version.bars(timeframe or "15m")
        assert (feed.instrument, feed.timeframe) == (version.instrument, timeframe or "15m")
        assert feed.bar_microseconds == Timeframe.parse(feed.timeframe).microseconds
        for name in PRICE_FIELDS:
            array = getattr(feed, name)
            np.testing.assert_array_equal(array, frame[name].to_numpy())
            assert array.dtype == np.float64
        np.testing.assert_array_equal(feed.time, frame.index.as_unit("us").asi8)
        np.testing.assert_array_equal(feed.day, trade_days(frame.index, version.instrument.session))
        for array in (feed.time, feed.day):
            assert array.dtype == np.int64
        for array in (feed.time, feed.day, *(getattr(feed, name) for name in PRICE_FIELDS)):
            assert array.flags.c_contiguous
            assert not array.flags.writeable
        assert frame.index[feed.start - 1] < version.start <= frame.index[feed.start]
    assert open_feed(version, home=home).start == LEAD_IN


def test_trade_dates_follow_the_session_as_declared_now(version, home, tmp_path):
    before = open_feed(version, home=home).day
    with project(tmp_path / "moved", opens="18:00"):
        after = open_feed(version, home=home).day
        np.testing.assert_array_equal(after, trade_days(version.bars("15m").index, version.instrument.session))
    assert (after != before).any()


def test_a_dataset_without_a_bar_in_its_period_is_refused(version, home):
    late = replace(version, manifest={**version.manifest, "start": "2030-01-01T00:00:00+00:00"})
    with pytest.raises(DataError, match=r"SIM has no 15m bar at or after its start 2030-01-01"):
        open_feed(late, home=home)


# ---------------------------------------------------------------- a feed from bars


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_bank_and_memory_give_the_same_column(reference, version, home):
    stored = Bank(version, "15m", home)
    bars = version.bars("15m")
    higher = {label: version.bars(label) for label in ("1h", "4h")}
    memory = feed_from_bars(bars, instrument=version.instrument, timeframe="15m", higher=higher).columns
    np.testing.assert_array_equal(memory.column(reference), stored.column(reference))
    assert memory.warmup(reference) == stored.warmup(reference)
    assert not memory.column(reference).flags.writeable


def test_coarser_bars_are_resampled_unless_given(bars):
    reference = make_reference("sma", {"timeperiod": 3}, timeframe="1h")
    own = resampled(bars, "1h")["1h"]
    ours = feed_from_bars(bars, instrument=INSTRUMENT, timeframe="15m").columns
    np.testing.assert_array_equal(ours.column(reference), expected_column(reference, own, bars, "15m"))
    given = own * 2
    theirs = feed_from_bars(bars, instrument=INSTRUMENT, timeframe="15m", higher={"1h": given}).columns
    np.testing.assert_array_equal(theirs.column(reference), expected_column(reference, given, bars, "15m"))


def test_one_length_under_two_names_is_one_timeframe(bars):
    columns = feed_from_bars(bars, instrument=INSTRUMENT, timeframe="60m", start=0).columns
    np.testing.assert_array_equal(columns.column(price_field("close", "1h")), bars["close"])


def test_the_frame_may_change_afterwards(bars):
    frame = bars.copy()
    feed = feed_from_bars(frame, instrument=INSTRUMENT, timeframe="15m", start=10)
    frame.iloc[:] = 1.0
    for name in PRICE_FIELDS:
        np.testing.assert_array_equal(getattr(feed, name), bars[name])
    assert (feed.start, len(feed)) == (10, len(bars))
    np.testing.assert_array_equal(feed.day, trade_days(bars.index, INSTRUMENT.session))
    np.testing.assert_array_equal(feed.columns.column(price_field("close", "15m")), bars["close"])


def test_no_bar_of_the_coarser_timeframe_has_closed(bars):
    feed = feed_from_bars(bars[:50], instrument=INSTRUMENT, timeframe="15m")
    for reference in (make_reference("rsi", {}, timeframe="1w"), make_reference("zones", {}, timeframe="1w")):
        assert np.isnan(feed.columns.column(reference)).all()
        assert feed.columns.warmup(reference) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bars: {"bars": bars.drop(columns="volume")}, "have no column 'volume'"),
        (lambda bars: {"bars": bars.tz_localize(None)}, "DatetimeIndex in UTC"),
        (lambda bars: {"bars": bars.reset_index()}, "DatetimeIndex in UTC"),
        (lambda bars: {"bars": bars[::-1]}, "are not strictly ascending"),
        (lambda bars: {"bars": bars[:0]}, "start is 0; it must be the position of one of the 0 bars"),
        (lambda bars: {"start": len(bars)}, r"start is \d+; it must be the position"),
        (lambda bars: {"start": -1}, "start is -1"),
        (lambda bars: {"higher": {"15m": bars}}, "15m are not coarser than the execution timeframe 15m"),
        (lambda bars: {"higher": {"1h": bars[::-1]}}, "1h bars are not strictly ascending"),
    ],
)
def test_an_invalid_bars_frame_is_an_error(change, message, bars):
    arguments = {"bars": bars, **change(bars)}
    with pytest.raises(DataError, match=message):
        feed_from_bars(arguments.pop("bars"), instrument=INSTRUMENT, timeframe="15m", **arguments)


def test_a_finer_feature_is_refused(bars):
    columns = feed_from_bars(bars, instrument=INSTRUMENT, timeframe="15m").columns
    for ask in (columns.column, columns.warmup):
        with pytest.raises(PlayError, match="finer than the execution timeframe"):
            ask(price_field("close", "5m"))


# ---------------------------------------------------------------- no look-ahead


def noise_after(frame, length, moment, seed):
    """``frame`` with every bar that has not closed at ``moment`` replaced by noise."""
    rng = np.random.default_rng(seed)
    frame = frame.copy()
    unknown = frame.index + length > moment
    frame.loc[unknown] = rng.uniform(1, 1_000, (unknown.sum(), len(frame.columns)))
    return frame


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
@pytest.mark.parametrize("position", [397, 403, 998, 1_001, 1_500])  # about the two gaps, and away from them
def test_no_column_depends_on_bars_that_have_not_closed(reference, position, bars):
    step = Timeframe.parse("15m").timedelta
    now = bars.index[position] + step
    higher = resampled(bars, "1h", "4h")
    lengths = {label: Timeframe.parse(label).timedelta for label in higher}
    whole = feed_from_bars(bars, instrument=INSTRUMENT, timeframe="15m", higher=higher).columns.column(reference)
    cut = feed_from_bars(
        bars[: position + 1],
        instrument=INSTRUMENT,
        timeframe="15m",
        higher={label: frame[frame.index + lengths[label] <= now] for label, frame in higher.items()},
    )
    np.testing.assert_array_equal(cut.columns.column(reference), whole[: position + 1])
    for seed in range(3):
        noised = feed_from_bars(
            noise_after(bars, step, now, seed),
            instrument=INSTRUMENT,
            timeframe="15m",
            higher={label: noise_after(frame, lengths[label], now, seed) for label, frame in higher.items()},
        )
        np.testing.assert_array_equal(noised.columns.column(reference)[: position + 1], whole[: position + 1])


@pytest.mark.skipif(not REAL_BARS.exists(), reason="real bars are not part of the repository")
@pytest.mark.parametrize("label", ["1h", "4h", "1d"])
def test_the_hole_in_the_real_bars_shifts_nothing(label):
    """825 bars are missing from 2021-07-17 21:00: before and after it, each bar sees the hour that closed last."""
    bars = normalize_bars(pd.read_parquet(REAL_BARS), source="BTCUSDT_15m")["2021-07-01":"2021-08-15"]
    hole = pd.Timestamp("2021-07-17 21:00", tz="UTC")
    length, step = Timeframe.parse(label).timedelta, pd.Timedelta("15min")
    assert hole - step in bars.index
    assert bars.index[bars.index.get_loc(hole - step) + 1] == hole + 825 * step
    column = feed_from_bars(bars, instrument=INSTRUMENT, timeframe="15m").columns.column(price_field("close", label))
    seen = pd.Series(column, bars.index)
    last_close = bars["close"].groupby(bars.index.floor(length)).last()  # of each bucket of the UTC clock
    for opened in bars.index[bars.index >= hole - pd.Timedelta("3D")]:
        bucket = (opened + step).floor(length) - length
        known = last_close[:bucket]
        assert seen[opened] == known.iloc[-1], opened
