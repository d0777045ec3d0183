"""Months: cut by trade date, each with all that came before as lead-in, and nothing of what came after."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.simulate import simulate
from forge_core.feeds.build import feed_from_bars
from forge_core.market.reference.instruments import Session, get_instrument
from forge_core.market.reference.sessions import trade_days
from forge_core.plays.classic import classic_strategies
from forge_core.sweeps.months import cut_months, data_hashes, month_feed
from tests.market.bar_tables import walk
from tests.sweeps.made import rolled, session_bars

CHICAGO = get_instrument("GC").session


def test_a_bar_belongs_to_the_month_of_its_trade_date():
    """The evening of January 31 in Chicago trades for February 1."""
    bars = session_bars("GC", 4, "2024-01-28", 8, 0, 2_000.0)
    months = cut_months(bars, CHICAGO)
    assert months.labels == ("2024-01", "2024-02")
    assert bars.index[months.starts[1]] == pd.Timestamp("2024-01-31 23:00", tz="UTC")
    assert months.ends.tolist() == [months.starts[1], len(bars)]


def test_months_cover_the_bars_and_agree_with_the_calendar():
    bars = walk(2_000, "4h", start="2023-11-05")
    months = cut_months(bars, Session())
    assert months.starts[0] == 0
    assert months.ends[-1] == len(bars)
    assert months.starts[1:].tolist() == months.ends[:-1].tolist()
    dates = pd.DatetimeIndex(trade_days(bars.index, Session()).astype("datetime64[D]"))
    for label, start, end in zip(months.labels, months.starts, months.ends, strict=True):
        assert set(dates[start:end].strftime("%Y-%m")) == {label}
    assert len(cut_months(bars.iloc[:0], Session())) == 0


def test_a_hash_knows_the_bars_up_to_its_month_and_no_others():
    bars = walk(400, "1d")
    ends = np.array([100, 250, 400])
    hashes = data_hashes(bars, ends)
    assert data_hashes(bars.iloc[:260], ends[:2]) == hashes[:2]
    assert data_hashes(bars, np.array([250])) == hashes[1:2]
    for name in bars.columns:
        changed = bars.copy()
        changed.loc[changed.index[120], name] += 1e-9
        assert [a == b for a, b in zip(data_hashes(changed, ends), hashes, strict=True)] == [True, False, False]
    later = bars.set_index(bars.index + pd.Timedelta("1us"))
    assert data_hashes(later, ends)[0] != hashes[0]
    rates = np.zeros(400)
    assert data_hashes(bars, ends, rates)[0] != hashes[0]


@pytest.mark.parametrize("adjust", ["forward", "none"])
def test_a_month_of_a_series_is_what_a_feed_of_its_bars_alone_gives(adjust):
    """Columns computed once over the whole series, cut off, are those computed without the bars to come."""
    bars = session_bars("GC", 4, "2024-01-01", 120, 5, 2_000.0)
    switches = pd.DatetimeIndex([bars.index[200], bars.index[420]])
    bars = rolled(bars, switches, 25.0)
    gc = get_instrument("GC")
    whole = feed_from_bars(bars, instrument=gc, timeframe="4h", roll_dates=switches, adjust=adjust)
    months = cut_months(bars, gc.session)
    checked = 0
    for start, end in zip(months.starts, months.ends, strict=True):
        alone = feed_from_bars(
            bars.iloc[:end], instrument=gc, timeframe="4h", start=int(start), roll_dates=switches, adjust=adjust
        )
        for strategy in classic_strategies().values():
            play = strategy().play("4h")
            ours, theirs = (simulate(play, f, record=True) for f in (month_feed(whole, int(start), int(end)), alone))
            np.testing.assert_array_equal(ours.metrics, theirs.metrics)
            np.testing.assert_array_equal(ours.equity, theirs.equity)
            checked += len(ours.trades["side"])
    assert checked > 30


def test_a_warm_up_that_never_passes_within_the_month_stays_outside_it():
    feed = feed_from_bars(walk(60, "1h"), instrument=get_instrument("SP500"), timeframe="1h")
    slow = classic_strategies()["ema"](long_period=200).play("1h")
    assert simulate(slow, month_feed(feed, 10, 40)).metrics[0] == 0
    funded = replace(feed, funding=np.arange(60.0), rolls=np.zeros(60, np.bool_))
    month = month_feed(funded, 10, 40)
    assert (len(month), month.funding.size, month.rolls.size, month.start) == (40, 40, 40, 10)
