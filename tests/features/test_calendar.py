"""Calendar features: wall clock and session at the bar's close, against zoneinfo and the exchange's published hours."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import GENERIC_INSTRUMENT
from forge_core.errors import ConfigError
from forge_core.features.registry import all_features, make_reference
from forge_core.feeds.build import feed_from_bars
from forge_core.market.reference.clock import LONGEST_SESSION, clock_column
from forge_core.market.reference.instruments import Session, load_instruments
from forge_core.market.reference.timeframes import Timeframe

NAMES = [definition.name for definition in all_features() if definition.kind == "calendar"]
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def moments(*times: str) -> np.ndarray:
    return pd.DatetimeIndex(times, tz="UTC").as_unit("us").asi8


def flat_bars(index: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0), index=index)


def columns(index, timeframe, session, calendar="", references=NAMES):
    """The calendar columns of a feed."""
    instrument = GENERIC_INSTRUMENT.model_copy(update={"session": session, "calendar": calendar})
    feed = feed_from_bars(flat_bars(index), instrument=instrument, timeframe=timeframe)
    return {name: feed.columns.column(make_reference(name, {}, timeframe=timeframe)) for name in references}


def by_zoneinfo(close: datetime, zone: str) -> dict[str, float]:
    """Local date and hour, midnight counted to the day that ends."""
    local = close.astimezone(ZoneInfo(zone))
    if (local.hour, local.minute, local.second) != (0, 0, 0):
        return {"hour": local.hour, "weekday": local.weekday(), "day_of_month": local.day, "month": local.month}
    day = local.replace(tzinfo=None) - timedelta(days=1)
    return {"hour": 24, "weekday": day.weekday(), "day_of_month": day.day, "month": day.month}


@pytest.mark.parametrize("timeframe", ["15m", "4h", "1d"])
@pytest.mark.parametrize("zone", ZONES)
def test_date_and_hour_are_those_of_the_close_on_the_wall(zone, timeframe):
    length = Timeframe.parse(timeframe).timedelta
    index = pd.date_range("2023-10-25", "2024-04-10", freq=length * 3, tz="UTC", unit="us", name="timestamp")
    got = columns(index, timeframe, Session(timezone=zone))
    for k, opened in enumerate(index):
        for name, value in by_zoneinfo((opened + length).to_pydatetime(), zone).items():
            assert got[name][k] == value, (opened, name)


def test_a_daily_bar_has_the_date_it_is_stamped_with():
    index = pd.DatetimeIndex(["2024-02-29", "2024-03-01"], tz="UTC", name="timestamp").as_unit("us")
    got = columns(index, "1d", Session())
    assert [got[name].tolist() for name in ("weekday", "day_of_month", "month")] == [[3, 4], [29, 1], [2, 3]]


def test_minutes_of_an_exchange_follow_its_holidays_early_closes_and_daylight_saving():
    expected = [  # New York: opens 9:30, closes 16:00; 13:00 on 3 July; 4 July is a holiday
        ("2018-07-02 13:45", 15, 375),
        ("2018-07-02 20:00", 390, 0),
        ("2018-07-03 16:00", 150, 60),
        ("2018-07-03 17:30", 210, 0),  # after the early close
        ("2018-07-04 15:00", 210, 0),  # of the session before
        ("2018-07-05 13:30", 210, 0),  # closes as the next session opens
        ("2018-07-05 14:00", 30, 360),
        ("2018-12-03 14:45", 15, 375),  # in winter
        ("2018-12-08 00:00", 390, 0),  # the daily bar of Friday
    ]
    closes = moments(*(time for time, _, _ in expected))
    assert clock_column("minutes_since_open", closes, Session(), "XNYS").tolist() == [since for _, since, _ in expected]
    assert clock_column("minutes_to_close", closes, Session(), "XNYS").tolist() == [left for _, _, left in expected]


def test_minutes_of_a_market_that_never_closes_run_from_opening_to_opening():
    future = Session(timezone="America/Chicago", opens="17:00")
    closes = moments("2024-01-10 23:15", "2024-01-10 23:00", "2024-03-10 21:59", "2024-11-03 22:30")
    assert clock_column("minutes_since_open", closes[:2][::-1], future, "").tolist() == [1440, 15]
    assert clock_column("minutes_to_close", closes[2:], future, "").tolist() == [1, 30]
    short, long = clock_column("minutes_since_open", moments("2024-03-10 21:59", "2024-11-03 22:30"), future, "")
    assert (short, long) == (23 * 60 - 1, 25 * 60 - 30)  # since 17:00 the day before, an hour less and more


SESSIONS = [(Session(timezone="America/Chicago", opens="17:00"), "CMES"), (Session(timezone="America/New_York"), "")]


@pytest.mark.parametrize(("session", "calendar"), [*SESSIONS, (Session(), "XNYS")])
def test_values_keep_to_their_bounds(session, calendar):
    index = pd.date_range("2019-12-01", "2020-12-31", freq="7h", tz="UTC", unit="us", name="timestamp")
    for definition in all_features():
        if definition.kind == "calendar":
            scale = definition.output().scale
            values = columns(index, "1h", session, calendar, [definition.name])[definition.name]
            assert scale.low <= values.min() <= values.max() <= scale.high <= LONGEST_SESSION


@pytest.mark.parametrize(("session", "calendar"), SESSIONS)
def test_no_value_depends_on_later_bars(session, calendar):
    index = pd.date_range("2021-11-01", periods=900, freq="1h", tz="UTC", unit="us", name="timestamp")
    index = index[np.random.default_rng(1).random(900) < 0.7]
    whole = columns(index, "1h", session, calendar)
    later = columns(index[:300].append(index[300:] + pd.Timedelta(days=400)), "1h", session, calendar)
    for cut in (1, 100, 300):
        short = columns(index[:cut], "1h", session, calendar)
        for name in NAMES:
            assert short[name].tolist() == whole[name][:cut].tolist() == later[name][:cut].tolist()


def test_calendars_of_the_instruments_exist_and_an_unknown_one_is_refused():
    named = {instrument.calendar for instrument in load_instruments().values()} - {""}
    assert named
    closes = moments("2018-07-02 13:45")
    for calendar in named:
        assert clock_column("minutes_to_close", closes, Session(), calendar)[0] >= 0
    with pytest.raises(ConfigError, match=r"unknown calendar 'XNYX' \(did you mean 'XNYS'"):
        clock_column("minutes_to_close", closes, Session(), "XNYX")
