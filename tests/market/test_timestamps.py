"""Times of bars: every usual way of writing them gives the same UTC microseconds."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_core.errors import DataError
from forge_core.market.bars.timestamps import parse_timestamps

TIMES = pd.DatetimeIndex(["2021-03-04 05:06:07.008009", "2025-12-31 23:45:00", "2020-02-29"]).tz_localize("UTC")


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(TIMES),
        pd.Series(TIMES.as_unit("ns")),
        pd.Series(TIMES.tz_convert("Asia/Tokyo")),
        TIMES.tz_localize(None),
        pd.Series(TIMES.as_unit("us").asi8),
        pd.Series(TIMES.as_unit("us").asi8 * 1000),
        pd.Series(TIMES.as_unit("us").asi8.astype(str)),
        pd.Series([t.isoformat() for t in TIMES]),
        pd.Series([t.tz_localize(None).isoformat(sep=" ") for t in TIMES]),
        pd.Series([t.tz_convert("America/Chicago").isoformat() for t in TIMES]),
        pd.Series([f"{t.tz_localize(None)} UTC" for t in TIMES]),
        pd.Series([t.to_pydatetime() for t in TIMES], dtype=object),
    ],
    ids=[
        "utc", "nanosecond times", "tokyo", "naive", "us", "ns", "us as text", "iso", "naive iso", "iso with offset",
        "utc suffix", "python datetimes",
    ],
)  # fmt: skip
def test_every_way_of_writing_a_time_is_read_as_the_same_moment(values):
    index = parse_timestamps(values, source="x")
    assert index.tolist() == TIMES.tolist()
    assert str(index.dtype) == "datetime64[us, UTC]"
    assert index.name == "timestamp"


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (10**3, "ms"), (10**6, "us"), (10**9, "ns")])
def test_the_unit_of_epoch_numbers_follows_from_their_size(factor, unit):
    seconds = [1_000_000_000, 1_735_689_600]  # 2001-09-09, 2025-01-01
    expected = pd.to_datetime(seconds, unit="s", utc=True)
    assert parse_timestamps(pd.Series(seconds) * factor, source="x").tolist() == expected.tolist()
    assert parse_timestamps(pd.Series(seconds, dtype=float) * factor, source="x").tolist() == expected.tolist()


def test_a_file_that_changes_from_milliseconds_to_microseconds_is_read_right():
    mixed = pd.Series([1735603200000, 1735689600000000])  # as Binance's archive does with 2025
    assert [str(t.date()) for t in parse_timestamps(mixed, source="x")] == ["2024-12-31", "2025-01-01"]


@given(st.datetimes(datetime(1973, 4, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_any_moment_survives_the_way_through_text_and_epoch(moment):
    expected = [pd.Timestamp(moment)]
    microseconds = int(expected[0].as_unit("us").value)
    assert parse_timestamps(pd.Series([moment.isoformat()]), source="x").tolist() == expected
    assert parse_timestamps(pd.Series([microseconds]), source="x").tolist() == expected


def test_dates_are_midnights_in_utc():
    index = parse_timestamps(pd.Series([date(2024, 5, 6)], dtype=object), source="x")
    assert index.tolist() == [pd.Timestamp("2024-05-06", tz="UTC")]


@pytest.mark.parametrize(
    ("values", "row", "value"),
    [
        (["2024-01-01", "soon"], 1, "'soon'"),
        (["2024-01-01", "31/12/2024"], 1, "'31/12/2024'"),
        (["2024-01-01", None, "x"], 1, "nothing"),
        ([1.7e9, np.nan], 1, "nan"),
        ([1.7e9, np.inf], 1, "inf"),
        ([20210101, 20210102], 1, "20210102"),
        ([0, 1, 2], 2, "2"),
        ([pd.Timestamp("2024-01-01"), pd.NaT], 1, "nothing"),
    ],
)
def test_what_is_no_time_is_refused_with_its_row_and_value(values, row, value):
    with pytest.raises(DataError, match=f"^prices.csv: row {row}: the time is {value}.*write times as 2024"):
        parse_timestamps(pd.Series(values), source="prices.csv")
