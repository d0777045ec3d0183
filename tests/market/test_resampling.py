"""Coarser bars: against pandas where pandas can, against the wall clock elsewhere, and never a look ahead."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.errors import DataError
from forge_core.market.bars.model import resample_bars, trade_days
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe
from tests.market.bar_tables import same_bars, walk, walk_at

CRYPTO = Session()
CME = Session(timezone="America/Chicago", opens="17:00")
GRAINS = Session(timezone="America/Chicago", opens="19:00")
NEW_YORK = Session(timezone="America/New_York", opens="00:00")
RULES = {"first": "open", "max": "high", "min": "low", "last": "close", "sum": "volume"}


def to(bars, label, session=CRYPTO):
    return resample_bars(bars, Timeframe.parse(label), session=session)


def opens(bars, zone="UTC"):
    return [t.tz_convert(zone).strftime("%a %d %H:%M") for t in bars.index]


@settings(max_examples=60)
@given(
    pair=st.sampled_from(
        [("15m", "1h", "1h"), ("15m", "4h", "4h"), ("5m", "15m", "15min"), ("1h", "1d", "1D"), ("4h", "1w", "W-MON")]
    ),
    start=st.integers(0, 3_000),
    rows=st.integers(2, 400),
    holes=st.sets(st.integers(0, 399), max_size=60),
    seed=st.integers(0, 99),
)
def test_round_the_clock_bars_agree_with_pandas(pair, start, rows, holes, seed):
    finer, coarser, rule = pair
    step = Timeframe.parse(finer).timedelta
    bars = walk(rows, finer, str(pd.Timestamp("2024-01-01") + start * step), seed)
    bars = bars[[i not in holes for i in range(rows)]]
    if len(bars) < 2 or pd.Series(np.diff(bars.index)).mode()[0] != step:
        return
    options = {"closed": "left", "label": "left"} if rule == "W-MON" else {}
    expected = bars.resample(rule, **options).agg({c: a for a, c in RULES.items()}).dropna()
    length = Timeframe.parse(coarser).timedelta
    first, last = expected.index[0] < bars.index[0], expected.index[-1] + length > bars.index[-1] + step
    expected = expected.iloc[int(first) : len(expected) - int(last)]
    got = to(bars, coarser)
    pd.testing.assert_frame_equal(got, expected, check_freq=False, check_exact=False, rtol=1e-12)


def test_the_last_bucket_counts_only_when_its_last_bar_has_closed():
    bars = walk(8, "15m")
    assert opens(to(bars, "1h")) == ["Mon 01 00:00", "Mon 01 01:00"]
    assert opens(to(bars.iloc[:7], "1h")) == ["Mon 01 00:00"]


def test_the_first_bucket_counts_only_from_its_open_time_on():
    assert opens(to(walk(11, "15m").iloc[1:], "1h")) == ["Mon 01 01:00"]


def test_a_hole_in_the_middle_leaves_its_bucket_what_it_has():
    bars = walk(12, "15m").drop(walk(12, "15m").index[[4, 5, 7]])
    hour = to(bars, "1h").loc["2024-01-01 01:00"]
    assert hour.tolist() == bars.loc["2024-01-01 01:30"].tolist()


def test_futures_days_run_from_evening_to_evening_and_weeks_from_sunday():
    index = pd.date_range("2024-01-01", "2024-02-01", freq="1h", tz="UTC", unit="us")
    chicago = index.tz_convert("America/Chicago")
    hour, weekday = chicago.hour, chicago.day_of_week
    traded = (hour != 16) & (weekday != 5) & ~((weekday == 4) & (hour >= 16)) & ~((weekday == 6) & (hour < 17))
    bars = walk_at(index[traded])
    daily = to(bars, "1d", CME)
    assert opens(daily, "America/Chicago")[:6] == [
        "Mon 01 17:00", "Tue 02 17:00", "Wed 03 17:00", "Thu 04 17:00", "Sun 07 17:00", "Mon 08 17:00",
    ]  # fmt: skip
    days = trade_days(bars.index, CME)
    for time, day in zip(daily.index, trade_days(daily.index, CME), strict=True):
        assert daily.loc[time, "volume"] == bars["volume"][days == day].sum()
        assert daily.loc[time, "open"] == bars["open"][days == day].iloc[0]
    assert opens(to(bars, "1w", CME), "America/Chicago") == ["Sun 07 17:00", "Sun 14 17:00", "Sun 21 17:00"]
    assert opens(to(bars, "4h", CME), "America/Chicago")[:7] == [
        "Sun 31 21:00", "Mon 01 01:00", "Mon 01 05:00", "Mon 01 09:00", "Mon 01 13:00", "Mon 01 17:00", "Mon 01 21:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("around", "first", "hours"),
    [
        ("2024-03-08", "Sat 09 19:00", [19, 23, 4, 8, 12, 16, 19, 23, 3]),  # 23 hours, the last bucket of three
        ("2024-11-01", "Sat 02 19:00", [19, 23, 2, 6, 10, 14, 18, 19, 23]),  # 25 hours, the last bucket of one
    ],
)
def test_sessions_follow_the_clock_when_it_changes(around, first, hours):
    bars = walk_at(pd.date_range(around, periods=24 * 6, freq="1h", tz="UTC", unit="us"))
    daily = to(bars, "1d", GRAINS).index.tz_convert("America/Chicago")
    assert {t.strftime("%H:%M") for t in daily} == {"19:00"}
    labels = opens(to(bars, "4h", GRAINS), "America/Chicago")
    at = labels.index(first)
    assert [int(label[7:9]) for label in labels[at : at + 9]] == hours


def test_a_day_of_25_hours_is_stamped_so_that_it_never_closes_before_its_last_bar():
    index = pd.date_range("2024-11-02", "2024-11-06", freq="1h", tz="America/New_York").tz_convert("UTC").as_unit("us")
    daily = to(walk_at(index), "1d", NEW_YORK)
    assert opens(daily, "America/New_York") == ["Sat 02 00:00", "Sun 03 01:00", "Mon 04 00:00", "Tue 05 00:00"]


def test_daily_index_bars_make_weeks_from_monday():
    bars = walk_at(pd.bdate_range("2024-01-01", "2024-01-31", tz="UTC", unit="us"))
    weekly = to(bars, "1w")
    assert opens(weekly) == ["Mon 01 00:00", "Mon 08 00:00", "Mon 15 00:00", "Mon 22 00:00"]
    assert weekly["close"].tolist() == bars["close"].iloc[[4, 9, 14, 19]].tolist()


@settings(max_examples=80)
@given(
    session=st.sampled_from([CRYPTO, CME, GRAINS, NEW_YORK, Session(timezone="Asia/Kolkata", opens="09:15")]),
    start=st.sampled_from(["2024-03-07", "2024-10-30", "2024-06-12 07:00"]),
    label=st.sampled_from(["1h", "4h", "7h", "1d", "2d", "1w"]),
    keep=st.floats(0.3, 1.0),
    cut=st.floats(0.1, 0.9),
    seed=st.integers(0, 99),
)
def test_a_bucket_holds_nothing_that_closed_after_it(session, start, label, keep, cut, seed):
    """Once timestamp + timeframe has passed, no later bar can change a bucket: noise in their place does not."""
    rng = np.random.default_rng(seed)
    index = pd.date_range(start, periods=24 * 30, freq="1h", tz="UTC", unit="us")
    bars = walk_at(index[rng.random(index.size) < keep], seed)
    if pd.Series(np.diff(bars.index)).mode()[0] != pd.Timedelta("1h"):
        return
    try:
        buckets = to(bars, label, session)
    except DataError:
        assert label == "1h"  # bars of an hour are no finer than an hour
        return
    length = Timeframe.parse(label).timedelta
    moment = bars.index[int(cut * len(bars))]
    later = bars.index + pd.Timedelta("1h") > moment
    noisy = bars.mask(pd.Series(later, index=bars.index), walk_at(bars.index, seed + 1_000) * 7.0)
    seen = buckets.index + length <= moment
    same_bars(to(noisy, label, session)[seen], buckets[seen])
    assert buckets.index.is_monotonic_increasing
    assert buckets.index.is_unique


@pytest.mark.parametrize(("rows", "finer", "coarser"), [(10, "15m", "15m"), (10, "1h", "15m"), (10, "45m", "1h")])
def test_what_is_not_coarser_or_no_multiple_is_refused(rows, finer, coarser):
    with pytest.raises(DataError, match=f"cannot be joined into bars of {coarser}"):
        to(walk(rows, finer), coarser)


def test_one_bar_does_not_tell_its_length_and_none_give_none():
    with pytest.raises(DataError, match="its length is unknown"):
        to(walk(1), "1h")
    assert to(walk(4).iloc[:0], "1h").empty
