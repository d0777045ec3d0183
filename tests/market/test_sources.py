"""Sources: the sample that is always there, the import folder, and what a refresh asks of them."""

import os

import numpy as np
import pandas as pd
import pytest
from arch.data import nasdaq, sp500

from forge_core.errors import ConfigError, DataError, ForgeError
from forge_core.market.reference.instruments import get_instrument, source_names
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import Request
from forge_core.market.sources.providers.files import stamp, symbol_of_file
from forge_core.market.sources.providers.sample import SampleSource
from forge_core.market.sources.refresh import acquisition_hint, refresh_bars
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import same_bars, walk

NOW = pd.Timestamp("2024-06-01", tz="UTC")


def request(timeframe: str) -> Request:
    """Ask for all there is."""
    return Request(Timeframe.parse(timeframe), pd.Timestamp(0, tz="UTC"), NOW, NOW, np.empty(0, dtype=np.int64))


def stored(home, symbol, timeframe):
    with BarStore(home.store) as store:
        return store.read(symbol, timeframe)


@pytest.mark.parametrize(("symbol", "data"), [("SP500", sp500), ("NASDAQ", nasdaq)])
def test_the_sample_is_the_raw_daily_bars_of_arch(home, symbol, data):
    source = SampleSource(get_instrument(symbol), home)
    (fetched,) = source.fetch(request("1d"), print)
    original = data.load()
    assert len(fetched.bars) == 5_031
    assert [str(fetched.bars.index[i].date()) for i in (0, -1)] == ["1999-01-04", "2018-12-31"]
    assert fetched.bars.index.tz_localize(None).equals(pd.DatetimeIndex(original.index))
    np.testing.assert_array_equal(
        fetched.bars.to_numpy(), original[["Open", "High", "Low", "Close", "Volume"]].to_numpy()
    )
    assert fetched.origin.startswith(f"arch.data.{symbol.lower()} of arch ")


def test_the_sample_has_nothing_else(home):
    assert SampleSource(get_instrument("SP500"), home).timeframes() == ["1d"]
    assert SampleSource(get_instrument("BTCUSDT"), home).timeframes() == []
    with pytest.raises(DataError, match=r"unknown bars of the sample: 'SP500 1h'.*known: NASDAQ 1d, SP500 1d"):
        list(SampleSource(get_instrument("SP500"), home).fetch(request("1h"), print))


def test_the_sample_fills_the_store_once_and_is_not_read_again(home):
    told = []
    (first,) = refresh_bars(get_instrument("SP500"), home, log=told.append)
    assert (first.inserted, first.unchanged) == (5_031, 0)
    assert told == ["SP500 1d: 5031 bars added, 0 known already"]
    assert refresh_bars(get_instrument("SP500"), home) == []
    home.store.unlink()  # what was taken is noted in the store, and gone with it
    assert refresh_bars(get_instrument("SP500"), home)[0].inserted == 5_031
    with pytest.raises(ConfigError, match="SP500: no source has 1h bars; available: 1d"):
        refresh_bars(get_instrument("SP500"), home, timeframes=["1h"])


def test_the_import_folder_gives_each_symbol_its_files(home):
    home.imports.mkdir(parents=True)
    walk(40, "1h").to_csv(home.imports / "ZS_1h.csv")
    walk(40, "15m").to_parquet(home.imports / "ZS_15m.parquet")
    walk(40, "1d").to_parquet(home.imports / "ZC_1d.parquet")
    (home.imports / "notes.txt").write_text("not bars")
    reports = refresh_bars(get_instrument("ZS"), home)
    assert sorted((r.timeframe, r.inserted) for r in reports) == [("15m", 40), ("1h", 40)]
    same_bars(stored(home, "ZS", "1h"), walk(40, "1h"))
    with BarStore(home.store) as store:
        assert store.sources("ZS", "1h") == ["file ZS_1h.csv"]


def test_a_file_is_read_once_and_again_when_it_has_changed(home):
    home.imports.mkdir(parents=True)
    path = home.imports / "ZS_1h.parquet"
    walk(40, "1h").to_parquet(path)
    assert refresh_bars(get_instrument("ZS"), home)[0].inserted == 40
    assert refresh_bars(get_instrument("ZS"), home) == []
    walk(60, "1h").to_parquet(path)
    assert [(r.inserted, r.unchanged) for r in refresh_bars(get_instrument("ZS"), home)] == [(20, 40)]
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert [(r.inserted, r.unchanged) for r in refresh_bars(get_instrument("ZS"), home)] == [(0, 60)]


def test_files_of_one_timeframe_add_up(home):
    home.imports.mkdir(parents=True)
    bars = walk(80, "1h")
    bars[:50].to_csv(home.imports / "ZS-1h-2024-01-01.csv")
    bars[50:].to_csv(home.imports / "ZS-1h-2024-01-02.csv")
    assert [r.inserted for r in refresh_bars(get_instrument("ZS"), home)] == [50, 30]
    same_bars(stored(home, "ZS", "1h"), bars)


def test_a_damaged_file_is_refused_and_the_good_ones_are_taken_all_the_same(home):
    home.imports.mkdir(parents=True)
    bars = walk(80, "1h")
    bars.to_csv(home.imports / "ZS_1h.csv")
    (home.imports / "ZS_15m.csv").write_text("timestamp,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,1,1\n")
    for _ in range(2):  # it is refused as long as it lies there
        with pytest.raises(ForgeError, match=r"ZS_15m\.csv"):
            refresh_bars(get_instrument("ZS"), home)
        same_bars(stored(home, "ZS", "1h"), bars)
        assert stored(home, "ZS", "15m").empty


def test_a_file_that_is_cut_off_is_still_known_by_its_name(home):
    home.imports.mkdir(parents=True)
    path = home.imports / "ZS_1h.parquet"
    walk(40, "1h").to_parquet(path)
    assert symbol_of_file(path) == "ZS"
    whole = stamp(path)
    path.write_bytes(path.read_bytes()[:500])
    assert (symbol_of_file(path), stamp(path) == whole) == ("ZS", False)
    with pytest.raises(ForgeError, match=r"ZS_1h\.parquet"):
        refresh_bars(get_instrument("ZS"), home)


def test_files_in_the_import_folder_are_taken_for_symbols_of_any_source(home):
    home.imports.mkdir(parents=True)
    walk(40, "1h").to_csv(home.imports / "BTCUSDT_1h.csv")
    assert [r.inserted for r in refresh_bars(get_instrument("BTCUSDT"), home, only="files")] == [40]


def test_a_missing_import_folder_offers_nothing(home):
    assert refresh_bars(get_instrument("ZS"), home) == []
    assert not home.store.exists()


def test_an_instrument_names_a_source_that_there_is(home):
    assert {"sample", "files", "binance", "ccxt", "yahoo"} <= set(source_names())
    spec = get_instrument("ZS").model_dump()
    with pytest.raises(ValueError, match=r"unknown source 'binanse' \(did you mean 'binance'\?\); known: binance, "):
        type(get_instrument("ZS")).model_validate({**spec, "source": "binanse"})
    with pytest.raises(ConfigError, match=r"BTCUSDT: source_options of binance: unknown key 'ulr'.*did you mean 'url'"):
        refresh_bars(get_instrument("BTCUSDT").model_copy(update={"source_options": {"ulr": "x"}}), home)


def test_what_brings_bars_is_told(home):
    assert acquisition_hint(get_instrument("BTCUSDT"), "15m", home) == (
        "import them with `forge import FILE --symbol BTCUSDT --timeframe 15m`"
    )
    assert acquisition_hint(get_instrument("ZS"), "1h", home) == (
        f"put ZS_1h.parquet (or .csv) into {home.imports} or run `forge import FILE --symbol ZS --timeframe 1h`"
    )
