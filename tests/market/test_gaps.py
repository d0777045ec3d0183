"""Gaps: every absent bar of a market that never closes, no night or weekend of one that does."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from forge_core.market.bars.model import find_gaps
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe
from tests.market.bar_tables import walk, walk_at

CRYPTO = Session()
CME = Session(timezone="America/Chicago", opens="17:00")


def gaps(bars, label, session=CRYPTO):
    found = find_gaps(bars, Timeframe.parse(label), session)
    return [(str(gap.start)[5:16], str(gap.end)[5:16], gap.missing) for gap in found.itertuples()]


def test_holes_are_listed_from_the_first_missing_bar_to_the_next_there_is():
    bars = walk(4 * 24 * 40, "15m")
    holed = bars.drop(bars.index[[100, 101, 102, 2_000]])
    assert gaps(holed, "15m") == [("01-02 01:00", "01-02 01:45", 3), ("01-21 20:00", "01-21 20:15", 1)]


@given(holes=st.sets(st.integers(1, 1_998), max_size=200))
def test_every_absent_bar_of_a_round_the_clock_market_is_counted(holes):
    bars = walk(2_000, "1h")
    found = find_gaps(bars.drop(bars.index[sorted(holes)]), Timeframe.parse("1h"), CRYPTO)
    assert found["missing"].sum() == len(holes)
    listed = [pd.date_range(g.start, periods=g.missing, freq="1h") for g in found.itertuples()]
    assert sorted(t for times in listed for t in times) == [bars.index[i] for i in sorted(holes)]


def test_short_data_are_judged_by_the_time_of_day():
    bars = walk(4 * 24 * 3, "15m")
    assert gaps(bars.drop(bars.index[[50]]), "15m") == [("01-01 12:30", "01-01 12:45", 1)]


def test_nights_weekends_and_pauses_are_no_gaps_and_a_holiday_is():
    index = pd.date_range("2024-01-07 23:00", "2024-06-01", freq="1h", tz="UTC", unit="us")
    chicago = index.tz_convert("America/Chicago")
    hour, weekday = chicago.hour, chicago.day_of_week
    open_ = (hour != 16) & (weekday != 5) & ~((weekday == 4) & (hour >= 16)) & ~((weekday == 6) & (hour < 17))
    bars = walk_at(index[open_])
    assert gaps(bars, "1h", CME) == []
    holiday = (chicago[open_] >= "2024-03-28 17:00") & (chicago[open_] < "2024-03-29 17:00")
    assert gaps(bars[~holiday], "1h", CME) == [("03-28 22:00", "03-31 22:00", 23)]


def test_daily_and_weekly_bars():
    daily = walk_at(pd.bdate_range("2024-01-01", "2024-06-30", tz="UTC", unit="us"))
    assert gaps(daily, "1d") == []
    assert gaps(daily.drop(pd.Timestamp("2024-02-19", tz="UTC")), "1d") == [("02-19 00:00", "02-20 00:00", 1)]
    weekly = walk(20, "1w")
    assert gaps(weekly.drop(weekly.index[[3, 4]]), "1w") == [("01-22 00:00", "02-05 00:00", 2)]


def test_one_bar_has_no_gaps():
    assert gaps(walk(1), "15m") == []
