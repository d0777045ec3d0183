"""Real bars: native and resampled agree, trade dates and gaps are those of the exchanges, makers' own files import."""

import pandas as pd
import pytest

from forge_core.errors import DataError
from forge_core.market.bars.model import find_gaps, normalize_bars, resample_bars, trade_days, validate_bars
from forge_core.market.datasets.build import build_dataset
from forge_core.market.importing.importer import import_files, read_bars_file
from forge_core.market.reference.catalog import get_dataset_spec
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import REAL, needs_real_bars, same_bars

pytestmark = needs_real_bars
RAW = REAL / "raw_formats"
PRICES = ["open", "high", "low", "close"]


def real(symbol, label):
    return read_bars_file(REAL / f"{symbol}_{label}.parquet")


@pytest.mark.parametrize("label", ["30m", "1h"])
def test_bitcoin_resampled_is_what_independent_downloads_say(label):
    bars = real("BTCUSDT", "15m")
    made = resample_bars(bars, Timeframe.parse(label), session=get_instrument("BTCUSDT").session)
    own = real("BTCUSDT", label)
    common = made.index.intersection(own.index)
    differing = ((made.loc[common] - own.loc[common]).abs() > 1e-6 * own.loc[common].abs()).any(axis=1).sum()
    assert len(common) >= len(made) - 3
    assert differing <= 10  # bars beside outages, which the exchange revised later


@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
@pytest.mark.parametrize("label", ["30m", "1h", "4h"])
def test_futures_buckets_lie_where_the_vendor_has_them(symbol, label):
    session = get_instrument(symbol).session
    made = resample_bars(real(symbol, "15m"), Timeframe.parse(label), session=session)
    own = real(symbol, label)
    common = made.index.intersection(own.index)
    assert len(common) >= 0.99 * len(made)  # grains without an overnight session are anchored to the morning
    assert ((made.loc[common] - own.loc[common])[PRICES].abs().max() < 1e-9).all()


@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
def test_the_bars_of_a_trade_date_are_those_of_the_daily_bar(symbol):
    session = get_instrument(symbol).session
    hours, days = real(symbol, "1h"), real(symbol, "1d")
    hours = hours[hours.index >= "2024-01-08"]
    by_date = hours.groupby(trade_days(hours.index, session)).agg({"high": "max", "low": "min"})
    days = days.set_axis(trade_days(days.index, session)).reindex(by_date.index)
    differing = ((by_date - days[["high", "low"]]).abs() > 1e-9).any(axis=1)
    assert differing.mean() < 0.05


def test_oil_went_below_zero_and_is_taken_as_it_is():
    bars = real("CL", "1d")
    assert bars["close"].min() == -37.63
    validate_bars(bars, symbol="CL", timeframe="1d", instrument=get_instrument("CL"))
    with pytest.raises(DataError, match=r"GC 1d: row \d+ \(2020-04-19.*low is -40.32; prices of GC are above zero"):
        validate_bars(bars, symbol="GC", timeframe="1d", instrument=get_instrument("GC"))


def test_the_gaps_of_bitcoin_are_the_known_ones():
    gaps = find_gaps(real("BTCUSDT", "15m"), Timeframe.parse("15m"), get_instrument("BTCUSDT").session)
    assert [(str(gap.start)[:16], gap.missing) for gap in gaps.itertuples()] == [
        ("2021-02-11 03:45", 5), ("2021-03-06 02:00", 6), ("2021-04-20 02:00", 10), ("2021-04-25 04:15", 18),
        ("2021-07-17 21:00", 825), ("2021-08-13 02:00", 18), ("2021-09-29 07:00", 8), ("2023-03-24 12:45", 5),
    ]  # fmt: skip


def test_the_hole_in_soybeans_is_a_gap_and_weekends_are_not():
    gaps = find_gaps(real("ZS", "15m"), Timeframe.parse("15m"), get_instrument("ZS").session)
    longest = gaps.loc[gaps["missing"].idxmax()]
    assert (str(longest["start"])[:10], str(longest["end"])[:10]) == ("2025-07-04", "2025-09-02")
    assert len(gaps) < 15


@pytest.mark.parametrize(
    ("name", "rows", "first", "step"),
    [
        ("BTCUSDT-15m-2023-01-21.csv", 96, "2023-01-21", "15min"),
        ("BTCUSDT-1m-2023-01-21.csv", 1_440, "2023-01-21", "1min"),
        ("backtestingpy_GOOG.csv", 2_148, "2004-08-19", "1D"),
        ("backtestingpy_EURUSD.csv", 5_000, "2017-04-19 09:00", "1h"),
    ],
)
def test_files_as_their_makers_wrote_them_are_read(name, rows, first, step):
    bars = read_bars_file(RAW / name)
    assert len(bars) == rows
    assert bars.index[0] == pd.Timestamp(first, tz="UTC")
    assert bars.index.to_series().diff().mode()[0] == pd.Timedelta(step)
    validate_bars(bars, symbol=name, timeframe="x", instrument=None)


def test_klines_of_the_archive_equal_the_composite():
    part = read_bars_file(RAW / "BTCUSDT-15m-2023-01-21.csv")
    pd.testing.assert_frame_equal(part, real("BTCUSDT", "15m").loc[part.index], check_freq=False)


def test_a_vendor_file_with_the_time_as_index_and_one_without_volume():
    assert len(normalize_bars(pd.read_parquet(RAW / "tvdatafeed_ZS_1h.parquet"), source="x")) > 9_000
    with pytest.raises(DataError, match=r"no column 'Volume'.*--no-volume"):
        read_bars_file(RAW / "tradingview_BINANCE_BTCUSDT_15.csv")


def test_four_years_become_a_dataset(home):
    (report,) = import_files([REAL / "BTCUSDT_15m.parquet"])
    assert report.stored.inserted == 139_361
    with BarStore(home.store) as store:
        version = build_dataset(get_dataset_spec("BTCUSDT_BEAR_2022"), store, home)
    bars = version.bars("15m")
    same_bars(bars, real("BTCUSDT", "15m").loc[bars.index[0] : bars.index[-1]])
    assert version.manifest["timeframes"]["15m"]["rows"] == 365 * 96 + 1_000
    assert version.manifest["timeframes"]["4h"]["rows"] == 365 * 6 + 1_000
    assert version.bars("15m").loc["2022-01-01 00:00", "open"] == 46216.93


def test_the_sideways_period_of_ether_is_the_flattest_of_its_length():
    spec = get_dataset_spec("ETHUSDT_RANGE")
    close = real("ETHUSDT", "15m")["close"].resample("1D").last().dropna()
    for month in pd.date_range("2021-01-01", "2024-06-01", freq="MS", tz="UTC"):
        window = close[(close.index >= month) & (close.index < month + pd.DateOffset(months=7))]
        flat = abs(window.iloc[-1] / window.iloc[0] - 1) < 0.01 and window.max() / window.min() < 1.4
        assert flat == (month == spec.start)
