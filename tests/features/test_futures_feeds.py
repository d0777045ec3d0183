"""Datasets of dated futures: their feed rolls at the contract rolls it was built with, and features see no gaps."""

import numpy as np
import pandas as pd
import pytest

import forge_core.market.datasets.build as datasets
from forge_core.engine.backtest import backtest
from forge_core.errors import DataError
from forge_core.evolution.run.evaluations import buy_and_hold
from forge_core.features.registry import make_reference
from forge_core.feeds.build import feed_from_bars, open_feed
from forge_core.files import write_text
from forge_core.market.datasets.build import build_dataset
from forge_core.market.datasets.versions import DatasetVersion, follows
from forge_core.market.futures.roll_dates import RollDates, roll_text
from forge_core.market.reference.catalog import DatasetSpec
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.plays.classic.ema import Ema
from tests.sweeps.made import rolled, session_bars

GAP = 40.0
SWITCHES = pd.DatetimeIndex(["2023-03-14T22:00", "2023-06-14T22:00", "2023-09-13T22:00"], tz="UTC").as_unit("us")
SMOOTH = session_bars("GC", 4, "2023-01-02", 330, seed=5, level=1_900.0)


def tell_switches(home: Home, roll_dates: pd.DatetimeIndex = SWITCHES) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    write_text(home.roll_dates, roll_text({"GC": roll_dates}, {}, "of the test"))


def spec_of(**changes) -> DatasetSpec:
    fields = {"start": "2023-02-01", "end": "2023-11-25", "timeframes": ["4h", "1d"], "regime": "full_cycle"}
    return DatasetSpec(name="GC_HERE", symbol="GC", **(fields | changes))


def build(home: Home, **changes) -> DatasetVersion:
    with BarStore(home.store) as store:
        store.upsert("GC", "4h", rolled(SMOOTH, SWITCHES, GAP), source="made")
        return build_dataset(spec_of(**changes), store, home)


EMAS = [make_reference("ema", {"timeperiod": 9}, timeframe=label) for label in ("4h", "1d", "8h")]


def test_the_feed_rolls_and_features_see_no_gaps(home):
    tell_switches(home)
    version = build(home)
    assert version.manifest["rolls"]["adjust"] == "forward"
    assert list(version.roll_dates) == list(SWITCHES)
    feed = open_feed(version)
    bars = version.bars("4h")
    expected = feed_from_bars(
        bars, instrument=version.instrument, timeframe="4h", start=feed.start, roll_dates=SWITCHES,
        higher={"1d": version.bars("1d")},
    )  # fmt: skip
    np.testing.assert_array_equal(feed.rolls, expected.rolls)
    np.testing.assert_array_equal(feed.close, bars["close"])  # fills at the prices that were there
    assert feed.rolls.sum() == 3
    for reference in EMAS:
        np.testing.assert_array_equal(feed.columns.column(reference), expected.columns.column(reference))
    jumps = np.diff(feed.columns.column(EMAS[0])[50:])
    assert np.abs(jumps).max() < GAP / 9  # an average of nine would jump by a fifth of the gap


def test_a_backtest_on_the_dataset_is_that_on_its_bars(home):
    tell_switches(home)
    version = build(home)
    play = Ema(short_period=5, long_period=13).play("4h")
    ours = backtest(play, version)
    bars = version.bars("4h")
    series = feed_from_bars(
        bars, instrument=version.instrument, timeframe="4h", start=open_feed(version).start, roll_dates=SWITCHES
    )
    theirs = backtest(play, series)
    assert (ours.trades["exit_reason"] == "roll").sum() == 3
    pd.testing.assert_frame_equal(ours.trades, theirs.trades)
    assert ours.metrics == theirs.metrics


def test_features_may_see_prices_as_they_are(home):
    tell_switches(home)
    forward, none = build(home), build(home, adjust="none")
    assert forward.content_hash != none.content_hash
    feed = open_feed(none)
    assert feed.rolls.sum() == 3
    expected = feed_from_bars(none.bars("4h"), instrument=none.instrument, timeframe="4h", start=feed.start)
    np.testing.assert_array_equal(feed.columns.column(EMAS[0]), expected.columns.column(EMAS[0]))


def test_other_switches_make_another_version(home):
    tell_switches(home)
    first = build(home)
    tell_switches(home, SWITCHES[1:])
    second = build(home)
    assert first.content_hash != second.content_hash
    assert len(open_feed(first).rolls.nonzero()[0]) == 3  # what was built stays as it was
    assert follows(first.manifest, spec_of())
    assert not follows(first.manifest, spec_of(adjust="none"))
    assert not follows({key: value for key, value in first.manifest.items() if key != "rolls"}, spec_of())


def test_switches_that_nobody_told_are_asked_for(home, monkeypatch):
    monkeypatch.setattr(datasets, "load_roll_dates", lambda home: RollDates({"ZS": SWITCHES}))
    with pytest.raises(DataError, match=r"no roll dates of GC.*an empty list says that the series"):
        build(home)


def test_dates_of_another_series_are_doubted(home):
    tell_switches(home, pd.date_range("2023-02-20T23:00", periods=9, freq="31D", tz="UTC", unit="us"))
    assert "of the 9 contract rolls" in build(home).manifest["rolls"]["doubt"]
    tell_switches(home)
    assert build(home).manifest["rolls"]["doubt"] is None


def test_holding_gains_nothing_by_the_gaps(home):
    tell_switches(home)
    feed = open_feed(build(home))
    start = feed.start
    smooth = SMOOTH.loc[pd.to_datetime(feed.time, unit="us", utc=True)]
    moved = smooth["close"].iloc[-1] - smooth["open"].iloc[start]
    overnight = [smooth["open"].iloc[k] - smooth["close"].iloc[k - 1] for k in np.flatnonzero(feed.rolls)]
    assert buy_and_hold(feed) == pytest.approx((moved - sum(overnight)) / smooth["open"].iloc[start])
