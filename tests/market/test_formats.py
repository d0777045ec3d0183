"""The formats: files as their makers write them give the right bars, by their content; what is no bars is named."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from forge_core.errors import ConfigError, DataError
from forge_core.market.importing.formats import FORMATS
from forge_core.market.importing.importer import ImportOptions, identify, import_files, read_for_store
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import REAL, needs_real_bars, same_bars
from tests.market.format_files import (
    WRITERS,
    candles,
    klines,
    market,
    tradingview,
    write_feather,
    write_tvdatafeed,
    write_zip,
)

BARS = market(200)
RAW = REAL / "raw_formats"
PROJECT = Path(__file__).resolve().parents[2] / "datasets"


def read(path, **options):
    checked = read_for_store(path, options=ImportOptions(**options))
    return checked.symbol, checked.timeframe, checked.bars


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of this test's own that declares a few more symbols."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder / "datasets")
    path = folder / "datasets" / "instruments.yaml"
    declared = yaml.safe_load(path.read_text())
    spot = {"kind": "spot", "tick": 1e-8, "lot": 1e-8, "annualization": 365}
    perpetual = {"kind": "perpetual", "tick": 1e-4, "lot": 0.1, "source_symbol": "XRPUSDT"}
    for symbol in ("GOOG", "EURUSD", "XRPMARK"):
        declared["instruments"][symbol] = {"kind": "index", "tick": 1e-5, "lot": 1e-4}
    declared["instruments"] |= {"UNITTESTBTC": spot, "XRPUSDTPERP": perpetual}
    path.write_text(yaml.safe_dump(declared))
    monkeypatch.setenv("FORGE_PROJECT", str(folder))


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_bars_symbol_and_timeframe(tmp_path, name):
    symbol, timeframe, bars = read(WRITERS[name](BARS, tmp_path))
    assert (symbol, timeframe) == ("BTCUSDT", "15m")
    same_bars(bars, BARS)


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("packed", [True, False])
def test_klines_of_futures_are_told_from_those_of_spot(tmp_path, unit, packed):
    spot, futures = klines(BARS, unit=unit), klines(BARS, unit=unit, decimals=None, header=True)
    for text, symbol in ((spot, "BTCUSDT"), (futures, "BTCUSDTPERP")):
        path = tmp_path / f"BTCUSDT-15m-2024-01.{'zip' if packed else 'csv'}"
        if packed:
            write_zip(path, {"BTCUSDT-15m-2024-01.csv": text}, checksum=True)
        else:
            path.write_text(text)
        assert identify(path).format == "binance"
        assert read(path)[0] == symbol
        same_bars(read(path)[2], BARS)
        other = {"BTCUSDT": "BTCUSDTPERP", "BTCUSDTPERP": "BTCUSDT"}[symbol]
        with pytest.raises(ConfigError, match=rf"is of a (spot|perpetual) market, and {other} is of kind"):
            read(path, symbol=other)
        assert read(path, symbol=other, trust=True)[0] == other


def test_klines_that_do_not_tell_spot_from_futures_say_so(tmp_path):
    path = tmp_path / "BTCUSDT-15m-2024-01.csv"
    path.write_text(klines(BARS, decimals=None))
    identity = identify(path)
    assert identity.symbol == "BTCUSDT"
    assert "spot or futures market unknown" in identity.detected
    folder = tmp_path / "futures" / "um"
    folder.mkdir(parents=True)
    assert identify(Path(shutil.copy(path, folder))).symbol == "BTCUSDTPERP"
    folder = tmp_path / "futures" / "cm"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="coin-margined futures"):
        identify(Path(shutil.copy(path, folder)))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda f: [*f[:7], f[5], *f[8:]], r"row 5: quote_volume / volume is not between low and high"),
        (lambda f: [*f[:6], f[0], *f[7:]], "row 5: close_time is not after open_time"),
        (lambda f: [*f[:9], "99999.0", *f[10:]], "row 5: taker_buy_volume is more than volume"),
    ],
)
def test_klines_whose_columns_contradict_each_other_are_refused(tmp_path, change, fault):
    lines = klines(BARS).splitlines()
    lines[5] = ",".join(change(lines[5].split(",")))
    path = tmp_path / "BTCUSDT-15m-2024-01.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=fault):
        read(path)


def test_klines_with_volumes_swapped_are_refused_and_idle_columns_are_not(tmp_path):
    path = tmp_path / "BTCUSDT-15m-2024-01.csv"
    rows = [line.split(",") for line in klines(BARS).splitlines()]
    path.write_text("".join(",".join([*r[:5], r[7], r[6], r[5], *r[8:]]) + "\n" for r in rows))
    with pytest.raises(DataError, match="volume and quote_volume are swapped"):
        read(path)
    path.write_text("".join(",".join([*r[:6], r[6], "0", "0", "0", "0", "0"]) + "\n" for r in rows))
    same_bars(read(path)[2], BARS)


def test_a_checksum_that_disagrees_or_is_none_is_refused(tmp_path):
    path = write_zip(tmp_path / "BTCUSDT-15m-2024-01.zip", {"BTCUSDT-15m-2024-01.csv": klines(BARS)}, checksum=True)
    same_bars(read(path)[2], BARS)
    beside = path.with_name(f"{path.name}.CHECKSUM")
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(DataError, match=r"has the SHA-256 [0-9a-f]{64}, expected 0{64} .*: download both again"):
        read(path)
    beside.write_text("not a checksum")
    with pytest.raises(DataError, match="is not a line of a SHA-256"):
        read(path)


@pytest.mark.parametrize("epoch", [True, False])
@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BINANCE_BTCUSDT, 15.csv", "BTCUSDT"),
        ("BINANCE_BTCUSDT.P, 15.csv", "BTCUSDTPERP"),
        ("CME_MINI_ES1!, 15.csv", "ES"),
    ],
)
def test_charts(tmp_path, epoch, name, symbol):
    path = tmp_path / name
    path.write_text(tradingview(BARS, epoch=epoch))
    assert "1 other columns left out" in identify(path).detected
    told, timeframe, bars = read(path)
    assert (told, timeframe) == (symbol, "15m")
    same_bars(bars, BARS)


def test_a_chart_without_volume_needs_to_be_told_so(tmp_path):
    path = tmp_path / "BINANCE_BTCUSDT, 15.csv"
    path.write_text(tradingview(BARS, epoch=True, volume=False))
    with pytest.raises(DataError, match=r"no column 'Volume'.*--no-volume"):
        read(path)
    same_bars(read(path, no_volume=True)[2], BARS.assign(volume=0.0))


@pytest.mark.parametrize("zone", ["Europe/Warsaw", "America/Chicago", "Asia/Tokyo"])
def test_tvdatafeed_needs_its_zone_and_gives_utc(tmp_path, zone):
    bars = market(2_000, "1h", start="2024-01-01")
    path = write_tvdatafeed(bars, tmp_path / "x.parquet", zone, "CBOT:ZS1!")
    with pytest.raises(ConfigError, match=r"give the zone, such as --timezone Europe/Warsaw"):
        read(path)
    symbol, timeframe, got = read(path, timezone=zone)
    assert (symbol, timeframe) == ("ZS", "1h")
    same_bars(got, bars)


def test_a_zone_in_which_the_times_do_not_exist_is_refused(tmp_path):
    bars = market(2_000, "1h", start="2024-03-01")
    path = write_tvdatafeed(bars, tmp_path / "x.parquet", "UTC", "CBOT:ZS1!")
    with pytest.raises(DataError, match="not all on the clock of Europe/Warsaw"):
        read(path, timezone="Europe/Warsaw")
    with pytest.raises(ConfigError, match=r"'Europe/Warsav' is not a time zone \(did you mean 'Europe/Warsaw'"):
        read(path, timezone="Europe/Warsav")


def test_tvdatafeed_of_two_symbols_is_refused(tmp_path):
    path = write_tvdatafeed(BARS, tmp_path / "x.parquet", "UTC", "CBOT:ZS1!")
    frame = pd.read_parquet(path)
    frame.iloc[100:, 0] = "CBOT:ZC1!"
    frame.to_parquet(path)
    with pytest.raises(DataError, match=r"several symbols in one file \(CBOT:ZC1!, CBOT:ZS1!\): split it"):
        read(path, timezone="UTC")


def test_freqtrade_pairs_and_what_is_not_of_trades(tmp_path, project):
    futures = write_feather(BARS, tmp_path / "BTC_USDT_USDT-15m-futures.feather")
    assert read(futures)[0] == "BTCUSDTPERP"
    mark = write_feather(BARS, tmp_path / "XRP_USDT_USDT-15m-mark.feather")
    with pytest.raises(ConfigError, match="mark prices are not prices of trades"):
        read(mark)
    with pytest.raises(ConfigError, match="mark prices are not prices of trades"):
        read(mark, symbol="XRPUSDTPERP")
    assert read(mark, symbol="XRPMARK")[0] == "XRPMARK"
    with pytest.raises(DataError, match="the name is of funding_rate, but the content is candles"):
        read(write_feather(BARS, tmp_path / "BTC_USDT_USDT-8h-funding_rate.feather"))


@pytest.mark.parametrize("packed", [True, False])
def test_freqtrade_json_with_a_row_of_another_length_is_refused(tmp_path, packed):
    rows = json.loads(candles(BARS))
    rows[7] = rows[7][:5]
    path = tmp_path / f"BTC_USDT-15m.json{'.gz' if packed else ''}"
    text = json.dumps(rows).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(DataError, match="row 7: 5 values, expected 6"):
        read(path)


@pytest.mark.parametrize("name", ["BTC_USDT-15m.feather", "BTCUSDT_15m.parquet"])
def test_a_column_whose_name_is_no_text_is_damage(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".feather":
        write_feather(BARS, path)
    else:
        BARS.to_parquet(path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"volume", b"vol\x80me"))
    with pytest.raises(DataError, match=r"cannot be read as (Feather|Parquet)"):
        read(path, symbol="BTCUSDT", trust=True)


RATES = [(1704096000000, 1e-4), (1704124800003, 2e-4), (1704153600000, -1e-4)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "BTCUSDT-fundingRate-2024-01.csv",
            "calc_time,funding_interval_hours,last_funding_rate\n" + "".join(f"{t},8,{r:.8f}\n" for t, r in RATES),
        ),
        ("BTC_USDT_USDT-8h-funding_rate.json", json.dumps([[t, r, 0, 0, 0, 0] for t, r in RATES])),
        ("BTCUSDTPERP_funding8h.csv", "timestamp,funding_rate\n" + "".join(f"{t},{r}\n" for t, r in RATES)),
        ("BTCUSDTPERP_rates.csv", "fundingTime;fundingRate\n" + "".join(f"{t};{r}\n" for t, r in reversed(RATES))),
    ],
)
def test_funding_rates(home, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (report,) = import_files([tmp_path / name])
    assert (report.stored.symbol, report.stored.timeframe, report.stored.inserted) == ("BTCUSDTPERP", "funding", 3)
    with BarStore(home.store) as store:
        rates = store.funding("BTCUSDTPERP")
    assert rates.tolist() == [1e-4, 2e-4, -1e-4]
    assert [str(time) for time in rates.index.strftime("%d %H:%M")] == ["01 08:00", "01 16:00", "02 00:00"]


def lean_rows(bars, *, scale=1):
    frame = bars.assign(volume=bars["volume"].round())
    times = frame.index.strftime("%Y%m%d %H:%M")
    number = (lambda x: str(round(x * scale))) if scale != 1 else (lambda x: f"{x:g}" if x == int(x) else repr(x))
    rows = zip(times, *(frame[name] for name in frame.columns), strict=True)
    return "\n".join(",".join([t, *(number(p) for p in prices), str(int(v))]) for t, *prices, v in rows)


def test_lean_takes_one_contract_and_says_which_there_are(tmp_path):
    bars = market(60, "1h", start="2020-01-02")
    members = {"es_trade_202003.csv": lean_rows(bars), "es_trade_202006.csv": lean_rows(bars[:20])}
    path = write_zip(tmp_path / "es_trade.zip", members)
    with pytest.raises(ConfigError, match=r"several contracts.*202003 \(60 bars\), 202006 \(20 bars\); give one"):
        read(path)
    with pytest.raises(ConfigError, match="no contract 202012; available: 202003"):
        read(path, contract="202012")
    symbol, timeframe, got = read(path, contract="202003")
    assert (symbol, timeframe) == ("ES", "1h")
    same_bars(got, bars.assign(volume=bars["volume"].round()))
    assert len(read(path, contract="202006")[2]) == 20


def test_lean_minutes_count_from_midnight_and_equities_are_in_hundredths_of_a_cent(tmp_path, project):
    bars = market(90, "1m", start="2020-01-06 14:30")
    rows = lean_rows(bars, scale=10_000).splitlines()
    clock = bars.index.tz_convert("America/New_York")
    midnight = (clock - clock.normalize()) // pd.Timedelta("1ms")
    text = "\n".join(f"{ms},{row.split(',', 1)[1]}" for ms, row in zip(midnight, rows, strict=True))
    folder = tmp_path / "equity" / "usa" / "minute" / "goog"
    folder.mkdir(parents=True)
    path = write_zip(folder / "20200106_trade.zip", {"20200106_goog_minute_trade.csv": text})
    symbol, timeframe, got = read(path)
    assert (symbol, timeframe) == ("GOOG", "1m")
    same_bars(got, bars.assign(volume=bars["volume"].round()))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = Path(shutil.copy(path, elsewhere))
    with pytest.raises(ConfigError, match="give the zone, such as --timezone"):
        read(moved)
    with pytest.raises(ConfigError, match="whole numbers, which are hundredths of a cent for equities only"):
        read(moved, timezone="America/New_York")


def test_lean_quotes_and_several_symbols_are_refused(tmp_path):
    quotes = write_zip(tmp_path / "a.zip", {"20200106_es_minute_quote_202003.csv": "0,1,1,1,1,5,1,1,1,1,5\n"})
    with pytest.raises(DataError, match="the file has quote, expected bars of trades"):
        read(quotes)
    both = write_zip(tmp_path / "b.zip", {"es.csv": lean_rows(BARS), "nq.csv": lean_rows(BARS)})
    with pytest.raises(DataError, match="several symbols in one file"):
        read(both)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("roll_dates.yaml", b"ZS:\n  - '2024-02-15'\n", "YAML.*forge roll-dates import FILE"),
        ("es.csv", b"20091130,es uik2f7cj4v0h,CME,1\n20091215,es uik2f7cj4v0h,CME,2\n", "Lean map file"),
        ("es2.csv", b'{"Date":"2009-11-30","BackwardsRatioScale":[0.8]}\n', "Lean's adjustment factors"),
        ("x.csv", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "a web page"),
        ("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        ("x.pkl", b"\x80\x04\x95" + bytes(100), "pickle, which is refused because it can run code"),
        ("x.json", b'{"bars": []}', "a JSON object"),
        ("x.csv", b"just one column\n1\n2\n", "unknown format"),
        ("x.csv", "Zeit;Eröffnung\n1;2\n".encode("latin-1"), "unknown format"),
    ],
)
def test_what_is_no_bars_is_named(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=what):
        read(tmp_path / name, symbol="BTCUSDT")


def test_a_format_can_be_forced_but_not_onto_what_it_is_not(tmp_path):
    path = WRITERS["chart"](BARS, tmp_path)
    assert identify(path).format == "tradingview"
    assert identify(path, ImportOptions(format="plain", symbol="BTCUSDT")).format == "plain"
    with pytest.raises(DataError, match="it is not in format freqtrade"):
        read(path, format="freqtrade")
    with pytest.raises(ConfigError, match=r"unknown format 'binanc' \(did you mean 'binance'\?\)"):
        read(path, format="binanc")


def test_a_column_of_symbols_must_name_one(tmp_path):
    path = tmp_path / "prices.csv"
    named = BARS.assign(symbol="BTC/USDT")
    named.to_csv(path)
    assert read(path)[0] == "BTCUSDT"
    named.iloc[50:, -1] = "ETH/USDT"
    named.to_csv(path)
    with pytest.raises(DataError, match=r"column 'symbol' has BTC/USDT, ETH/USDT, expected one symbol in every row"):
        read(path)
    BARS.assign(symbol="ETHUSDT").to_csv(tmp_path / "BTCUSDT_15m.csv")
    with pytest.raises(DataError, match="the file name has BTCUSDT, the column of symbols ETHUSDT"):
        read(tmp_path / "BTCUSDT_15m.csv")


@pytest.mark.parametrize("name", ["prices.csv", "2024.csv", "btc.csv", "BTCUSDT_ETHUSDT.csv"])
def test_a_symbol_that_nothing_tells_is_asked_for(tmp_path, name):
    BARS.to_csv(tmp_path / name)
    with pytest.raises(ConfigError, match=r"has no symbol in its name or content: give one \(--symbol BTCUSDT\)"):
        read(tmp_path / name)
    assert read(tmp_path / name, symbol="BTCUSDT")[0] == "BTCUSDT"


def test_an_unusual_spacing_must_be_named(tmp_path):
    index = pd.date_range("2012-01-31", periods=100, freq="ME", tz="UTC", unit="us", name="timestamp")
    market(100).set_axis(index).to_csv(tmp_path / "BTCUSDT.csv")
    with pytest.raises(ConfigError, match="mostly 31 days 00:00:00 apart, which is not a common timeframe"):
        read(tmp_path / "BTCUSDT.csv")
    market(1).to_csv(tmp_path / "BTCUSDT.csv")
    with pytest.raises(ConfigError, match="the timeframe of a single bar is unknown"):
        read(tmp_path / "BTCUSDT.csv")


def test_each_format_says_what_it_is():
    assert len({known.name for known in FORMATS}) == len(FORMATS)
    assert all(known.description for known in FORMATS)


RAW_FILES = {  # name: (options, symbol, timeframe, rows) or the reason for which it is refused
    "BTCUSDT-1m-2026-03.zip": ({}, "BTCUSDT", "1m", 44_640),
    "spot-klines-BTCUSDT-1h-2024-10-28.zip": ({}, "BTCUSDT", "1h", 24),
    "futures-um-klines-BTCUSDT-1h-2024-10-28.zip": ({}, "BTCUSDTPERP", "1h", 24),
    "BTCUSDT-15m-2023-01-21.csv": ({}, "BTCUSDT", "15m", 96),
    "BTCUSDT-1m-2023-01-21.csv": ({}, "BTCUSDT", "1m", 1_440),
    "tradingview_BINANCE_BTCUSDT_15.csv": ({"no_volume": True}, "BTCUSDT", "15m", 1_077),
    "tvdatafeed_ZS_1h.parquet": ({"timezone": "Europe/Warsaw"}, "ZS", "1h", 9_554),
    "contract_switch_dates.yaml": "roll-dates import",
    "freqtrade_UNITTEST_BTC-5m.feather": ({}, "UNITTESTBTC", "5m", 5_760),
    "freqtrade_UNITTEST_BTC-1m.json": ({}, "UNITTESTBTC", "1m", 13_681),
    "freqtrade_XRP_USDT_USDT-1h-futures.feather": ({}, "XRPUSDTPERP", "1h", 100),
    "freqtrade_XRP_USDT_USDT-1h-futures.json.gz": ({}, "XRPUSDTPERP", "1h", 100),
    "freqtrade_XRP_USDT_USDT-8h-funding_rate.feather": ({}, "XRPUSDTPERP", "funding", 91),
    "freqtrade_XRP_USDT_USDT-8h-mark.feather": ({"symbol": "XRPMARK"}, "XRPMARK", "8h", 91),
    "freqtrade_BTC_USDT-15m.json.gz": ({}, "BTCUSDT", "15m", 20_870),
    "backtestingpy_GOOG.csv": ({}, "GOOG", "1d", 2_148),
    "backtestingpy_EURUSD.csv": ({}, "EURUSD", "1h", 5_000),
    "backtestingpy_BTCUSD.csv": "has no symbol in its name or content",
    "lean_future_cme_hour_es_trade.zip": ({"contract": "202003"}, "ES", "1h", 40),
    "lean_future_cme_minute_es_20200106_trade.zip": ({"contract": "202003"}, "ES", "1m", 1_365),
    "lean_future_cme_map_files_es.csv": "Lean map file",
    "lean_future_cme_factor_files_es.csv": "adjustment factors",
}


@needs_real_bars
def test_every_file_as_its_maker_wrote_it_is_imported_or_refused_for_a_reason(home, project):
    assert {path.name for path in RAW.iterdir()} == set(RAW_FILES)
    for name, expected in RAW_FILES.items():
        if isinstance(expected, str):
            with pytest.raises((DataError, ConfigError), match=expected):
                import_files([RAW / name])
            continue
        options, symbol, timeframe, rows = expected
        (report,) = import_files([RAW / name], options=ImportOptions(**options))
        assert (report.stored.symbol, report.stored.timeframe, report.rows) == (symbol, timeframe, rows), name
        assert report.stored.conflicts == 0, name


@needs_real_bars
@pytest.mark.parametrize(
    ("name", "options", "beside"),
    [
        ("tvdatafeed_ZS_1h.parquet", {"timezone": "Europe/Warsaw"}, "ZS_1h"),
        ("freqtrade_BTC_USDT-15m.json.gz", {}, "BTCUSDT_15m"),
        ("BTCUSDT-1m-2026-03.zip", {}, "BTCUSDT_1m"),
        ("BTCUSDT-15m-2023-01-21.csv", {}, "BTCUSDT_15m"),
        ("spot-klines-BTCUSDT-1h-2024-10-28.zip", {}, "BTCUSDT_1h"),
    ],
)
def test_makers_files_hold_the_bars_of_the_tables_beside_them(name, options, beside):
    got = read(RAW / name, **options)[2]
    expected = read(REAL / f"{beside}.parquet")[2]
    common = got.index.intersection(expected.index)
    assert len(common) == len(got)
    same_bars(got, expected.loc[common])


@needs_real_bars
def test_futures_klines_are_those_of_the_perpetual():
    hours = read(RAW / "futures-um-klines-BTCUSDT-1h-2024-10-28.zip")[2]
    quarters = read(REAL / "BTCUSDTPERP_15m.parquet")[2].loc["2024-10-28"]
    assert hours["high"].tolist() == quarters["high"].resample("1h").max().tolist()
    assert hours["close"].tolist() == quarters["close"].resample("1h").last().tolist()


@needs_real_bars
def test_lean_hours_and_minutes_are_on_the_same_clock():
    hours = read(RAW / "lean_future_cme_hour_es_trade.zip", contract="202003")[2]
    minutes = read(RAW / "lean_future_cme_minute_es_20200106_trade.zip", contract="202003")[2]
    opens = minutes["open"].resample("1h").first()
    common = hours.index.intersection(opens.index)
    assert len(common) == 8
    assert (hours.loc[common, "open"] == opens.loc[common]).sum() >= 7


def test_a_pandas_file_of_filtered_rows_has_one_column_of_times(tmp_path):
    """pandas keeps the numbers of filtered rows as an index of its own, beside the column of times."""
    table = BARS.reset_index()
    filtered = pd.concat([table, table.iloc[:20]]).drop_duplicates("timestamp", keep="last").sort_values("timestamp")
    assert not isinstance(filtered.index, pd.RangeIndex)
    for name in ("BTCUSDT_15m.parquet", "BTCUSDT_15m.csv", "BTCUSDT_15m.feather"):
        path = tmp_path / name
        if path.suffix == ".parquet":
            filtered.to_parquet(path)
        elif path.suffix == ".csv":
            filtered.to_csv(path)
        else:
            filtered.reset_index().to_feather(path)
        for times in ("timestamp", "date", "Open Time"):
            renamed = filtered.rename(columns={"timestamp": times})
            if path.suffix == ".parquet":
                renamed.to_parquet(path)
            same_bars(read(path)[2], BARS)


def test_a_file_with_two_columns_of_times_is_named(tmp_path):
    path = tmp_path / "BTCUSDT_15m.csv"
    BARS.reset_index().assign(Timestamp=1).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"BTCUSDT_15m\.csv: several columns could be 'timestamp'"):
        read(path)
