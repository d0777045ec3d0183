"""Sources: the sample that is always there, and the import folder."""

import numpy as np
import pandas as pd
import pytest
from arch.data import nasdaq, sp500

from forge_core.errors import DataError
from forge_core.market.instruments import get_instrument
from forge_core.market.sources import FilesSource, SampleSource, how_to_get, pull_bars
from forge_core.market.store import BarStore
from tests.market.bar_tables import same_bars, walk


@pytest.fixture
def store(home):
    with BarStore(home.store) as store:
        yield store


@pytest.mark.parametrize(("symbol", "data"), [("SP500", sp500), ("NASDAQ", nasdaq)])
def test_the_sample_is_the_raw_daily_bars_of_arch(symbol, data):
    bars, origin = SampleSource().fetch(get_instrument(symbol), "1d")
    original = data.load()
    assert len(bars) == 5_031
    assert (str(bars.index[0]), str(bars.index[-1])) == ("1999-01-04 00:00:00+00:00", "2018-12-31 00:00:00+00:00")
    assert bars.index.tz_localize(None).equals(pd.DatetimeIndex(original.index))
    np.testing.assert_array_equal(bars.to_numpy(), original[["Open", "High", "Low", "Close", "Volume"]].to_numpy())
    assert origin.startswith(f"arch.data.{symbol.lower()} of arch ")


def test_the_sample_has_nothing_else():
    assert SampleSource().timeframes("SP500") == ["1d"]
    assert SampleSource().timeframes("BTCUSDT") == []
    with pytest.raises(DataError, match=r"unknown bars of the sample: 'SP500 1h'.*known: NASDAQ 1d, SP500 1d"):
        SampleSource().fetch(get_instrument("SP500"), "1h")


def test_pulling_the_sample_fills_the_store_once(store, home):
    told = []
    (first,) = pull_bars(get_instrument("SP500"), store, home, log=told.append)
    (second,) = pull_bars(get_instrument("SP500"), store, home)
    assert (first.inserted, second.inserted, second.unchanged) == (5_031, 0, 5_031)
    assert told == [f"SP500 1d: 5031 bars added, 0 known already (from {store.sources('SP500', '1d')[0]})"]
    assert pull_bars(get_instrument("SP500"), store, home, timeframes=["1h"]) == []


def test_the_import_folder_offers_what_its_files_are_named(store, home):
    home.imports.mkdir(parents=True)
    walk(40, "1h").to_csv(home.imports / "ZS_1h.csv")
    walk(40, "15m").to_parquet(home.imports / "ZS_15m.parquet")
    walk(40, "1d").to_parquet(home.imports / "ZC_1d.parquet")
    (home.imports / "notes.txt").write_text("not bars")
    assert FilesSource(home.imports).timeframes("ZS") == ["15m", "1h"]
    reports = pull_bars(get_instrument("ZS"), store, home)
    assert [(r.timeframe, r.inserted) for r in reports] == [("15m", 40), ("1h", 40)]
    same_bars(store.read("ZS", "1h"), walk(40, "1h"))
    assert store.sources("ZS", "1h") == ["file ZS_1h.csv"]
    with pytest.raises(DataError, match=r"there is no ZS_1d.parquet in "):
        FilesSource(home.imports).fetch(get_instrument("ZS"), "1d")


def test_two_files_of_the_same_bars_are_refused(home):
    home.imports.mkdir(parents=True)
    walk(40, "1h").to_csv(home.imports / "ZS_1h.csv")
    walk(40, "1h").to_parquet(home.imports / "ZS_1h.parquet")
    with pytest.raises(DataError, match=r"ZS_1h.csv and ZS_1h.parquet hold the same bars; keep one"):
        FilesSource(home.imports).timeframes("ZS")


def test_a_missing_import_folder_offers_nothing(store, home):
    assert pull_bars(get_instrument("ZS"), store, home) == []


def test_a_source_that_cannot_be_asked_offers_nothing_and_the_way_out_is_told(store, home):
    instrument = get_instrument("BTCUSDT")
    assert pull_bars(instrument, store, home) == []
    assert how_to_get(instrument, "15m", home) == (
        "import them with `forge import FILE --symbol BTCUSDT --timeframe 15m`"
    )
    assert how_to_get(get_instrument("ZS"), "1h", home) == (
        f"put ZS_1h.parquet (or .csv) into {home.imports} or run `forge import FILE --symbol ZS --timeframe 1h`"
    )
