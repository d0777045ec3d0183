"""Funding: imported like bars, kept by datasets of perpetuals, and paid by whoever holds one."""

import numpy as np
import pandas as pd
import pytest

from forge_core import backtest
from forge_core.errors import ConfigError, DataError
from forge_core.feeds.build import open_feed
from forge_core.market.bars.funding import checked_rates, funding_holes
from forge_core.market.datasets.build import build_dataset, ensure_dataset, open_version
from forge_core.market.importing.importer import import_files
from forge_core.market.reference.catalog import DatasetSpec, get_dataset_spec
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import REAL, needs_real_bars, walk

SYMBOL = "BTCUSDTPERP"
HOLD = """
name: hold
timeframe: 1h
features:
  rsi: {indicator: rsi, timeperiod: 2}
entry: {long: {all: ["rsi > 0"]}}
risk: {size: {notional: 10000}, max_bars: 100000}
"""


def rates_of(start="2024-01-01", periods=300, freq="8h", rate=1e-4):
    index = pd.date_range(start, periods=periods, freq=freq, tz="UTC", unit="us", name="timestamp")
    return pd.Series(rate * (1 + np.arange(periods) % 3), index=index, name="rate")


def spec_of(start="2024-01-20", end="2024-03-01"):
    return DatasetSpec(name="PERP", symbol=SYMBOL, start=start, end=end, timeframes=["1h", "4h"], regime="bull")


@pytest.fixture
def store(home):
    with BarStore(home.store) as store:
        store.upsert(SYMBOL, "1h", walk(2_400, "1h"), source="walk")
        yield store


def test_rates_go_into_the_store_once_and_what_differs_stays_or_is_revised(store):
    rates = rates_of()
    first, second = (store.upsert_funding(SYMBOL, rates, source="a") for _ in range(2))
    assert (first.inserted, second.inserted, second.unchanged) == (300, 0, 300)
    assert str(first) == "BTCUSDTPERP funding: 300 rates added, 0 known already"
    pd.testing.assert_series_equal(store.funding(SYMBOL), rates, check_freq=False)
    other = rates.copy()
    other.iloc[4] = 9e-4
    kept = store.upsert_funding(SYMBOL, other, source="b")
    assert (kept.conflicts, store.funding(SYMBOL).iloc[4]) == (1, rates.iloc[4])
    revised = store.upsert_funding(SYMBOL, other, source="b", revise=True)
    assert (revised.revised, store.funding(SYMBOL).iloc[4]) == (1, 9e-4)
    assert store.funding_sources(SYMBOL) == ["a", "b"]


def test_rates_are_stamped_to_the_minute_they_are_paid_in(store):
    late = rates_of(periods=3)
    late.index = late.index + pd.Timedelta(17, unit="ms")
    store.upsert_funding(SYMBOL, late, source="a")
    pd.testing.assert_series_equal(store.funding(SYMBOL), rates_of(periods=3), check_freq=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.iloc[::-1], r"row 1 .* is not later than the row before it"),
        (lambda r: r.set_axis(r.index.tz_localize(None)), "a DatetimeIndex in UTC is expected"),
        (lambda r: r.where(r.index != r.index[5], np.nan), r"row 5 .*the rate is nan"),
        (lambda r: r * 1_000, r"row 0 .*the rate is 0.1; a fraction is expected"),
        (lambda r: r.iloc[:0], "there are no rates"),
    ],
)
def test_unsound_rates_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        checked_rates(change(rates_of()), symbol=SYMBOL)


def test_a_hole_is_where_more_than_eight_hours_pass():
    rates = rates_of("2024-01-01", 30)
    start, end = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-11", tz="UTC")
    assert funding_holes(rates, start, end) == []
    assert funding_holes(rates_of("2024-01-01", 240, "1h"), start, end) == []
    assert funding_holes(rates.drop(rates.index[7]), start, end) == [(rates.index[6], rates.index[8])]
    assert funding_holes(rates.iloc[:0], start, end) == [(start, end)]


def test_a_dataset_of_a_perpetual_carries_its_funding_and_its_hash_covers_it(store, home):
    store.upsert_funding(SYMBOL, rates_of(), source="a")
    version = build_dataset(spec_of(), store, home)
    rates = version.funding()
    assert rates.index[0] == pd.Timestamp("2024-01-20 08:00", tz="UTC")  # the one at the start is paid before
    assert rates.index[-1] == pd.Timestamp("2024-03-01", tz="UTC")
    pd.testing.assert_series_equal(rates, rates_of().loc[rates.index], check_freq=False)
    entry = version.manifest["funding"]
    assert (entry["rows"], entry["sources"]) == (len(rates), ["a"])
    assert build_dataset(spec_of(), store, home) == version
    changed = rates_of()
    changed.iloc[100] = 5e-4
    store.upsert_funding(SYMBOL, changed, source="b", revise=True)
    assert build_dataset(spec_of(), store, home).content_hash != version.content_hash
    assert open_version("PERP", version.content_hash, home).funding().equals(rates)


@pytest.mark.parametrize(
    ("kept", "some"),
    [
        (slice(0, 0), "none between 2024-01-20 00:00 and 2024-03-01 00:00"),
        (slice(0, 150), "92 of them, but none between 2024-02-19 16:00 and 2024-03-01 00:00"),
        ([*range(80), *range(90, 300)], "but none between 2024-01-27 08:00 and 2024-01-31 00:00"),
    ],
)
def test_missing_funding_is_refused_with_the_command_that_brings_it(store, home, kept, some):
    if len(rates_of().iloc[kept]):
        store.upsert_funding(SYMBOL, rates_of().iloc[kept], source="a")
    with pytest.raises(DataError, match=rf"{some}.*forge import FILE --symbol BTCUSDTPERP`"):
        build_dataset(spec_of(), store, home)
    assert not home.dataset("PERP").exists()


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda path: path.write_bytes(b"x"), "is missing or damaged"),
        (lambda path: path.unlink(), "is missing or damaged"),
    ],
)
def test_damaged_funding_of_a_version_is_named(store, home, damage, fault):
    store.upsert_funding(SYMBOL, rates_of(), source="a")
    version = build_dataset(spec_of(), store, home)
    damage(version.path / "funding.parquet")
    with pytest.raises(DataError, match=rf"funding.parquet {fault}.*delete the folder"):
        open_version("PERP", version.content_hash, home)
    with pytest.raises(DataError, match=rf"funding.parquet {fault}"):
        version.funding()


def test_the_feed_of_a_dataset_has_its_funding_and_the_backtest_pays_it(store, home):
    store.upsert_funding(SYMBOL, rates_of("2024-01-20 08:00", 150), source="a")  # none in the lead-in
    version = build_dataset(spec_of(), store, home)
    feed = open_feed(version, home=home)
    paid = pd.Series(feed.funding, index=pd.DatetimeIndex(feed.time.astype("datetime64[us]"), tz="UTC"))
    assert (paid[paid.index < version.start] == 0).all()
    rates = version.funding()
    expected = rates.set_axis(rates.index - pd.Timedelta(hours=1))  # the stamp ends the bar before
    pd.testing.assert_series_equal(paid[paid != 0], expected, check_names=False, check_freq=False)
    assert backtest(HOLD, version).metrics["financing"] > 0
    with_twice = backtest(HOLD, feed.with_funding(rates * 2)).metrics["financing"]
    assert with_twice == pytest.approx(2 * backtest(HOLD, version).metrics["financing"], rel=0.05)


def test_funding_of_a_spot_symbol_is_refused(home, tmp_path):
    rates_of().rename("funding_rate").to_frame().to_csv(tmp_path / "BTCUSDT_funding.csv")
    with pytest.raises(ConfigError, match="has funding rates, and BTCUSDT is of kind spot: give a perpetual"):
        import_files([tmp_path / "BTCUSDT_funding.csv"], "BTCUSDT")
    assert not home.store.exists()


@needs_real_bars
def test_the_real_perpetual_can_be_backtested(home):
    import_files([REAL / "BTCUSDTPERP_15m.parquet"])
    spec = get_dataset_spec("BTCUSDTPERP_BULL_2023")
    with pytest.raises(DataError, match=r"needs funding rates .* the store has none"), BarStore(home.store) as store:
        build_dataset(spec, store, home)
    import_files([REAL / "BTCUSDTPERP_funding8h.parquet"])
    version = ensure_dataset("BTCUSDTPERP_BULL_2023", home)
    assert version.funding().sum() == pytest.approx(0.0789, abs=1e-4)
    result = backtest(HOLD.replace("1h", "15m"), version)
    assert result.metrics["financing"] == pytest.approx(0.0789 * 10_000 * 1.7, rel=0.2)  # of a notional that grows
