"""Bars: foreign tables become bars, and validation finds every fault and names it."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_core.errors import DataError
from forge_core.market.bars.model import (
    BAR_COLUMNS,
    bars_hash,
    drop_incomplete,
    empty_bars,
    normalize_bars,
    validate_bars,
)
from forge_core.market.reference.instruments import get_instrument
from tests.market.bar_tables import same_bars, walk

BTC, OIL = get_instrument("BTCUSDT"), get_instrument("CL")


def refused(bars, match, instrument=BTC):
    with pytest.raises(DataError, match=match):
        validate_bars(bars, symbol="BTCUSDT", timeframe="15m", instrument=instrument)


@pytest.mark.parametrize(
    "names",
    [
        ("timestamp", "open", "high", "low", "close", "volume"),
        ("Date", "Open", "High", "Low", "Close", "Volume"),
        ("open_time", "O", "H", "L", "C", "V"),
        ("Open time", " open ", "HIGH", "low", "close", "Vol"),
        ("<DATE>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"),
        ("Unnamed: 0", "open", "high", "low", "close", "volume"),
    ],
)
def test_the_usual_column_names_are_known(names):
    bars = walk(5)
    frame = bars.reset_index().set_axis(list(names), axis=1)
    frame["Adj Close"] = 1.0
    same_bars(normalize_bars(frame, source="x"), bars)


def test_the_time_may_be_the_index():
    bars = walk(5)
    same_bars(normalize_bars(bars, source="x"), bars)
    same_bars(normalize_bars(bars.rename_axis(None), source="x"), bars)
    same_bars(normalize_bars(bars.set_axis(bars.index.astype(str)).rename_axis("datetime"), source="x"), bars)


def test_numbers_may_be_whole_decimal_text_or_nullable():
    bars = walk(3)
    odd = bars.astype(object)
    odd["open"] = [Decimal(str(v)) for v in bars["open"]]
    odd["high"] = [repr(v) for v in bars["high"].tolist()]
    odd["volume"] = bars["volume"].astype("Int64")
    same_bars(normalize_bars(odd, source="x"), bars)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda f: f.drop(columns="high"), r"^x: column 'high' is missing among 'timestamp', 'open', 'low'"),
        (lambda f: f.drop(columns="volume"), r"'volume' is missing.*fill it with zeros"),
        (lambda f: f.drop(columns="timestamp"), r"^x: there is no time column among 'open'"),
        (lambda f: f.rename(columns={"timestamp": "date"}).assign(time="10:00"), r"date and time are two columns"),
        (lambda f: f.assign(Open=1.0), r"several columns could be 'open': \['open', 'Open'\]"),
        (lambda f: f.assign(close=[1.0, "n/a?", 3.0, "none"]), r"row 1 \(2024-01-01 00:15.*close is 'n/a\?', a number"),
        (lambda f: f.assign(low=f["low"] > 0), r"row 0 .*low is .*True.*, a number is expected \(4 such rows of 4\)"),
        (lambda f: f.assign(low=f["timestamp"]), r"row 0 .*low is Timestamp"),
        (lambda f: f.assign(open=1j), r"row 0 .*open is .*1j"),
    ],
)
def test_a_table_that_is_not_bars_is_refused_by_name_row_and_value(change, match):
    with pytest.raises(DataError, match=match):
        normalize_bars(change(walk(4).reset_index()), source="x")


def test_sound_bars_pass_and_so_do_negative_prices_of_a_future_that_had_them():
    validate_bars(walk(200), symbol="BTCUSDT", timeframe="15m", instrument=BTC)
    below = walk(10)
    below[list(BAR_COLUMNS[:4])] -= 120.0
    validate_bars(below, symbol="CL", timeframe="1d", instrument=OIL)
    refused(below, r"BTCUSDT 15m: row 0 \(2024-01-01 00:00:00\+00:00\): open is -\d+\.\d+; prices of BTCUSDT are above")


PLANTS = {
    "nan": (lambda b, i: b.assign(close=b["close"].where(b.index != b.index[i])), "close is missing"),
    "infinite": (lambda b, i: put(b, i, "open", np.inf), "open is inf, a finite number"),
    "high below close": (lambda b, i: put(b, i, "high", b["low"].iloc[i]), "high .* is below (open|close)"),
    "low above open": (lambda b, i: put(b, i, "low", b["high"].iloc[i]), "low .* is above (open|close)"),
    "high below low": (
        lambda b, i: put(put(b, i, "high", b["low"].iloc[i] - 1.0), i, "open", b["low"].iloc[i]),
        "high .* is below",
    ),
    "zero price": (lambda b, i: put(b, i, "low", 0.0), "low is 0.0; prices of BTCUSDT are above zero"),
    "negative volume": (lambda b, i: put(b, i, "volume", -1.0), "volume is -1.0, below zero"),
}


def put(bars, row, column, value):
    changed = bars.copy()
    changed.iloc[row, changed.columns.get_loc(column)] = value
    return changed


@given(fault=st.sampled_from(sorted(PLANTS)), row=st.integers(0, 39), seed=st.integers(0, 99))
def test_every_planted_value_is_found_with_its_row_and_time(fault, row, seed):
    plant, message = PLANTS[fault]
    bars = walk(40, seed=seed)
    refused(plant(bars, row), rf"^BTCUSDT 15m: row {row} \({bars.index[row]}\): {message}".replace("+", r"\+"))


@given(row=st.integers(1, 39), seed=st.integers(0, 99))
def test_times_out_of_order_and_twice_are_found(row, seed):
    bars = walk(40, seed=seed)
    times = bars.index.to_numpy().copy()
    times[row] = times[row - 1]
    twice = bars.set_axis(pd.DatetimeIndex(times, tz="UTC"))
    refused(twice, rf"row {row} \(.*duplicate time of an earlier row")
    swapped = bars.iloc[[*range(row - 1), row, row - 1, *range(row + 1, 40)]]
    refused(swapped, rf"row {row} \(.*the row before it is later \({swapped.index[row - 1]}".replace("+", r"\+"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda b: b.drop(columns="low"), "column 'low' is missing"),
        (lambda b: b.astype({"close": "float32"}), "column 'close' is float32, float64 is expected"),
        (lambda b: b.tz_localize(None), r"index is datetime64\[us\], a DatetimeIndex in UTC microseconds"),
        (lambda b: b.reset_index(drop=True), "index is int64"),
        (lambda b: b.iloc[:0], "there are no bars"),
    ],
)
def test_another_form_is_refused(change, match):
    refused(change(walk(5)), f"^BTCUSDT 15m: .*{match}")


def test_up_to_a_tenth_of_incomplete_rows_is_left_out_and_more_refused():
    bars = walk(100)
    bars.iloc[:10, 3] = np.nan
    kept, dropped = drop_incomplete(bars, symbol="ES", timeframe="1h")
    assert dropped == 10
    same_bars(kept, bars.iloc[10:])
    bars.iloc[50, 4] = np.nan
    with pytest.raises(
        DataError, match=r"ES 1h: row 0 .*11\.0% of the rows have missing values, at most 10% .*\(11 such rows"
    ):
        drop_incomplete(bars, symbol="ES", timeframe="1h")
    refused(bars, "11.0% of the rows have missing values")


def test_complete_bars_are_kept_as_they_are():
    bars = walk(5)
    kept, dropped = drop_incomplete(bars, symbol="ES", timeframe="1h")
    assert dropped == 0
    assert kept is bars


def test_empty_bars_have_the_form_of_bars():
    assert empty_bars().dtypes.tolist() == walk(1).dtypes.tolist()
    assert empty_bars().index.dtype == walk(1).index.dtype


@given(row=st.integers(0, 29), column=st.sampled_from([*BAR_COLUMNS, "timestamp"]), seed=st.integers(0, 9))
def test_the_hash_changes_with_any_value_or_time_and_with_nothing_else(row, column, seed):
    bars = walk(30, seed=seed)
    before = bars_hash(bars)
    assert before == bars_hash(bars.copy())
    assert before == bars_hash(bars[list(reversed(BAR_COLUMNS))].rename_axis("other"))
    if column == "timestamp":
        times = bars.index.to_numpy().copy()
        times[row] += np.timedelta64(1, "us")
        changed = bars.set_axis(pd.DatetimeIndex(times, tz="UTC"))
    else:
        changed = put(bars, row, column, np.nextafter(bars[column].iloc[row], np.inf))
    assert bars_hash(changed) != before


def test_the_hash_knows_columns_apart_and_takes_minus_zero_for_zero():
    bars = walk(5)
    assert bars_hash(bars.assign(open=bars["close"], close=bars["open"])) != bars_hash(bars)
    assert bars_hash(bars.assign(volume=0.0)) == bars_hash(bars.assign(volume=-0.0))
    assert bars_hash(bars.iloc[:4]) != bars_hash(bars)
