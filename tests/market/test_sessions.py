"""Trade dates: sessions by the wall clock of their zone, over daylight saving, checked against a slow plain reading."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_core.market.bars.model import trade_days
from forge_core.market.reference.instruments import Session

CRYPTO = Session()
CME = Session(timezone="America/Chicago", opens="17:00")
GRAINS = Session(timezone="America/Chicago", opens="19:00")


def days(times, session):
    index = pd.DatetimeIndex(times)
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    return [str(date(1970, 1, 1) + timedelta(days=int(d))) for d in trade_days(index, session)]


def plain_trade_date(moment: datetime, session: Session) -> date:
    """The trade date of one moment, read off the wall clock."""
    local = moment.astimezone(ZoneInfo(session.timezone))
    hour, minute = map(int, session.opens.split(":"))
    opened = local.date() if (local.hour, local.minute) >= (hour, minute) else local.date() - timedelta(days=1)
    if hour < 12:
        return opened
    day = opened + timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def test_crypto_days_are_utc_days():
    assert days(["2024-01-06 00:00", "2024-01-06 23:45", "2024-01-07 00:00"], CRYPTO) == [
        "2024-01-06", "2024-01-06", "2024-01-07",
    ]  # fmt: skip


def test_daily_index_bars_belong_to_their_own_date():
    index = pd.bdate_range("1999-01-04", "2018-12-31", tz="UTC")
    assert days(index, CRYPTO) == [str(d.date()) for d in index]


@pytest.mark.parametrize(
    ("chicago", "day"),
    [
        ("2024-01-05 15:59", "2024-01-05"),  # Friday afternoon
        ("2024-01-07 17:00", "2024-01-08"),  # Sunday evening is Monday
        ("2024-01-08 16:59", "2024-01-08"),
        ("2024-01-08 17:00", "2024-01-09"),
        ("2024-01-11 17:00", "2024-01-12"),  # Thursday evening is Friday
        ("2024-01-12 17:00", "2024-01-15"),  # Friday evening, were it traded, is Monday
        ("2024-03-08 17:00", "2024-03-11"),  # the weekend in which the clock goes forward
        ("2024-03-10 16:59", "2024-03-11"),
        ("2024-03-10 17:00", "2024-03-11"),
        ("2024-03-11 16:59", "2024-03-11"),
        ("2024-11-03 17:00", "2024-11-04"),  # and back
        ("2024-11-04 16:59", "2024-11-04"),
        ("2024-11-04 17:00", "2024-11-05"),
    ],
)
def test_futures_sessions_open_in_the_evening_of_the_day_before(chicago, day):
    assert days([pd.Timestamp(chicago, tz="America/Chicago")], CME) == [day]


def test_the_session_opens_an_hour_earlier_in_utc_when_the_clock_goes_forward():
    assert days(["2024-03-07 22:59", "2024-03-07 23:00"], CME) == ["2024-03-07", "2024-03-08"]
    assert days(["2024-03-11 21:59", "2024-03-11 22:00"], CME) == ["2024-03-11", "2024-03-12"]


@given(
    zone=st.sampled_from(["UTC", "America/Chicago", "America/New_York", "Asia/Kolkata", "Australia/Sydney"]),
    opens=st.sampled_from(["00:00", "09:15", "17:00", "19:00", "22:00"]),
    start=st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    step=st.integers(1, 3_000),
)
def test_trade_days_agree_with_the_wall_clock_and_never_decrease(zone, opens, start, step):
    session = Session(timezone=zone, opens=opens)
    moments = [start + timedelta(minutes=step * i) for i in range(60)]
    got = trade_days(pd.DatetimeIndex(moments), session)
    assert got.dtype == np.int64
    assert got.tolist() == [(plain_trade_date(m, session) - date(1970, 1, 1)).days for m in moments]
    assert (np.diff(got) >= 0).all()


@pytest.mark.parametrize(
    ("opens", "lengths"),
    [("01:30", {23.0, 24.0, 25.0}), ("02:30", {23.5, 24.0, 24.5, 25.0}), ("02:00", {23.0, 24.0, 25.0})],
)
def test_days_do_not_go_back_where_the_opening_falls_into_the_change_of_clocks(opens, lengths):
    session = Session(timezone="America/New_York", opens=opens)
    for begin in ("2024-03-08", "2024-11-01"):
        got = trade_days(pd.date_range(begin, periods=6 * 96, freq="15min", tz="UTC"), session)
        assert set(np.diff(got)) <= {0, 1}
        assert set(np.bincount(got - got[0])[1:-1] / 4.0) <= lengths


def test_no_bars_have_no_days():
    assert trade_days(pd.DatetimeIndex([], tz="UTC"), CME).tolist() == []


@pytest.mark.parametrize("zone", ["America/Chicagoo", "", "../etc/passwd", "CST/CDT"])
def test_an_unknown_time_zone_is_refused_when_it_is_declared(zone):
    with pytest.raises(ValueError, match="not a time zone"):
        Session(timezone=zone)
