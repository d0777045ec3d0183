"""Importing: the usual files go in, and a faulty one is refused by name with the store unchanged."""

import csv
import io
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError, DataError
from forge_core.market.importing.importer import ImportOptions, import_files, name_of_file, read_bars_file
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import same_bars, walk
from tests.market.format_files import market


def stored(home, symbol="BTCUSDT", timeframe="15m"):
    with BarStore(home.store) as store:
        return store.read(symbol, timeframe)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "files"
    path.mkdir()
    return path


def klines(bars):
    """The bars as Binance writes them: no header, twelve columns, epoch milliseconds."""
    out = io.StringIO()
    writer = csv.writer(out)
    for at, row in zip(bars.index.asi8 // 1_000, bars.itertuples(index=False), strict=True):
        writer.writerow([at, *row, at + 899_999, 1.0, 5, 0.5, 0.5, 0])
    return out.getvalue()


WRITERS = {
    "plain.csv": lambda bars, path: bars.to_csv(path),
    "semicolons.csv": lambda bars, path: bars.to_csv(path, sep=";"),
    "tabs.csv": lambda bars, path: bars.to_csv(path, sep="\t"),
    "byte_order_mark.csv": lambda bars, path: bars.to_csv(path, encoding="utf-8-sig"),
    "trailing_commas.csv": lambda bars, path: path.write_text(bars.to_csv().replace("\n", ",\n")),
    "unnamed_index.csv": lambda bars, path: bars.rename_axis(None).to_csv(path),
    "new_to_old.csv": lambda bars, path: bars[::-1].to_csv(path),
    "epoch_seconds.csv": lambda bars, path: bars.set_axis(bars.index.asi8 // 10**6).rename_axis("time").to_csv(path),
    "unpacked_on_the_way.csv.gz": lambda bars, path: bars.to_csv(path, compression=None),
    "unpacked_on_the_way.csv.bz2": lambda bars, path: bars.to_csv(path, compression=None),
    "packed_unsaid.csv": lambda bars, path: bars.to_csv(path, compression="gzip"),
    "binance.csv": lambda bars, path: path.write_text(klines(bars)),
    "index.parquet": lambda bars, path: bars.to_parquet(path),
    "column.parquet": lambda bars, path: bars.reset_index().to_parquet(path),
    "capitals.parquet": lambda bars, path: (
        bars.rename(columns=str.title).tz_localize(None).rename_axis("Date").to_parquet(path)
    ),
    "milliseconds.PARQUET": lambda bars, path: bars.set_axis(bars.index.as_unit("ms")).to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_usual_files_give_the_same_bars(folder, name):
    bars = walk(50)
    WRITERS[name](bars, folder / name)
    same_bars(read_bars_file(folder / name), bars)


def test_an_import_fills_the_store_and_a_second_one_changes_nothing(folder, home):
    bars = walk(300)
    bars.to_parquet(folder / "BTCUSDT_15m.parquet")
    first, second = (import_files([folder / "BTCUSDT_15m.parquet"])[0] for _ in range(2))
    assert (first.rows, first.incomplete, first.stored.inserted) == (300, 0, 300)
    assert (second.stored.inserted, second.stored.unchanged, second.stored.conflicts) == (0, 300, 0)
    assert str(second) == "BTCUSDT_15m.parquet: BTCUSDT 15m: 0 bars added, 300 known already"
    same_bars(stored(home), bars)
    with BarStore(home.store) as store:
        assert store.sources("BTCUSDT", "15m") == ["file BTCUSDT_15m.parquet"]


def test_what_is_named_beats_the_name_of_the_file(folder, home):
    walk(30, "1h").to_csv(folder / "BTCUSDT_15m.csv")
    import_files([folder / "BTCUSDT_15m.csv"], "ETHUSDT", "1h")
    assert len(stored(home, "ETHUSDT", "1h")) == 30
    assert stored(home).empty


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("BTCUSDT_15m.parquet", ("BTCUSDT", "15m")),
        ("BTCUSDT-1m-2026-03.csv", ("BTCUSDT", "1m")),
        ("6E_4h.csv", ("6E", "4h")),
        ("ES_1d.full.parquet", ("ES", "1d")),
        ("prices.csv", None),
        ("BTCUSDT_15min.csv", None),
        ("_15m.csv", None),
    ],
)
def test_what_a_name_tells(tmp_path, name, told):
    assert name_of_file(tmp_path / name) == told


def test_incomplete_rows_are_left_out_and_counted(folder, home):
    bars = walk(100)
    bars.iloc[[10, 20], [0, 4]] = np.nan
    bars.to_csv(folder / "BTCUSDT_15m.csv")
    (report,) = import_files([folder / "BTCUSDT_15m.csv"])
    assert (report.rows, report.incomplete) == (100, 2)
    assert str(report).endswith("98 bars added, 0 known already, 2 incomplete rows left out")
    same_bars(stored(home), bars.dropna())


def csv_with(change):
    def write(path):
        lines = walk(40).to_csv().splitlines()
        path.write_text("\n".join(change(lines)))

    return write


def cell(line, column, value):
    fields = line.split(",")
    fields[column] = value
    return ",".join(fields)


FAULTY = {
    "missing column": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [",".join(line.split(",")[:3] + line.split(",")[4:]) for line in lines]),
        "BTCUSDT 15m in BTCUSDT_15m.csv: column 'low' is missing among 'timestamp', 'open', 'high'",
    ),
    "duplicate time": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:8], lines[7], *lines[8:]]),
        r"BTCUSDT 15m: row 7 \(2024-01-01 01:30:00\+00:00\): duplicate time of an earlier row",
    ),
    "high below low": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:6], cell(lines[6], 2, "1.5"), *lines[7:]]),
        r"BTCUSDT 15m: row 5 \(2024-01-01 01:15:00\+00:00\): high 1.5 is below open",
    ),
    "text among numbers": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:6], cell(lines[6], 4, "1,0.5?".replace(",", " ")), *lines[7:]]),
        r"row 5 \(2024-01-01 01:15:00\+00:00\): close is '1 0.5\?', a number is expected",
    ),
    "text as time": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:6], cell(lines[6], 0, "yesterday"), *lines[7:]]),
        "row 5: the time is 'yesterday'; write times as",
    ),
    "out of order": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:6], lines[7], lines[6], *lines[8:]]),
        r"row 6 \(2024-01-01 01:15.*the row before it is later",
    ),
    "too many missing": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [lines[0], *(cell(line, 1, "") for line in lines[1:6]), *lines[6:]]),
        r"BTCUSDT 15m: row 0 .*12.5% of the rows have missing values, at most 10%",
    ),
    "too many fields": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [lines[0], *(f"{line},9" for line in lines[1:])]),
        "BTCUSDT_15m.csv cannot be read as CSV",
    ),
    "ragged": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:6], lines[6] + ",1,2,3", *lines[7:]]),
        r"BTCUSDT_15m.csv cannot be read as CSV \(.*Row #7: Expected 6 columns, got 9",
    ),
    "UTF-16": ("BTCUSDT_15m.csv", lambda path: path.write_bytes(b"\xff\xfe\x00\x81" * 99), "UTF-16.*save it as UTF-8"),
    "binary": (
        "BTCUSDT_15m.csv",
        lambda path: path.write_bytes(b"\x00\x81\xfe" * 99),
        "has an unknown format",
    ),
    "zero price": (
        "BTCUSDT_15m.csv",
        csv_with(lambda lines: [*lines[:6], cell(lines[6], 3, "0"), *lines[7:]]),
        "row 5 .*low is 0.0; prices of BTCUSDT are above zero",
    ),
    "other spacing": (
        "BTCUSDT_1h.csv",
        csv_with(lambda lines: lines),
        r"BTCUSDT 1h: the bars are mostly 0 days 00:15:00 apart \(39 x 0 days 00:15:00\), not 1h",
    ),
    "empty file": ("BTCUSDT_15m.csv", lambda path: path.touch(), "BTCUSDT_15m.csv is empty"),
    "header only": ("BTCUSDT_15m.csv", csv_with(lambda lines: lines[:1]), "BTCUSDT_15m.csv has no rows"),
    "blank lines": ("BTCUSDT_15m.csv", lambda path: path.write_text("\n\n\n"), "BTCUSDT_15m.csv has no rows"),
    "empty Parquet": (
        "BTCUSDT_15m.parquet",
        lambda path: walk(5).iloc[:0].to_parquet(path),
        "BTCUSDT_15m.parquet has no rows",
    ),
    "truncated Parquet": (
        "BTCUSDT_15m.parquet",
        lambda path: (walk(500).to_parquet(path), path.write_bytes(path.read_bytes()[:5_000])),
        r"BTCUSDT_15m.parquet cannot be read as Parquet \(.*damaged or truncated",
    ),
    "not Parquet": (
        "BTCUSDT_15m.parquet",
        lambda path: path.write_bytes(b"PAR1" + bytes(500)),
        "BTCUSDT_15m.parquet cannot be read as Parquet",
    ),
    "folder": ("BTCUSDT_15m.csv", lambda path: path.mkdir(), "BTCUSDT_15m.csv is a folder: give the files in it"),
    "no file": ("BTCUSDT_15m.csv", lambda path: None, "there is no file .*BTCUSDT_15m.csv"),
    "other type": (
        "BTCUSDT_15m.xlsx",
        lambda path: path.write_text("x"),
        "BTCUSDT_15m.xlsx has an unknown format",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_file_is_refused_and_nothing_is_stored(folder, home, fault):
    name, write, message = FAULTY[fault]
    before = walk(30, start="2023-01-01")
    before.to_csv(folder / "BTCUSDT_15m.good.csv")
    import_files([folder / "BTCUSDT_15m.good.csv"])
    walk(30, start="2022-01-01").to_csv(folder / "BTCUSDT_15m.also_good.csv")
    write(folder / name)
    with pytest.raises(DataError, match=message):
        import_files([folder / "BTCUSDT_15m.also_good.csv", folder / name])
    same_bars(stored(home), before)


def test_names_that_tell_nothing_and_unknown_symbols_are_refused(folder, home):
    walk(30).to_csv(folder / "prices.csv")
    with pytest.raises(
        ConfigError, match=r"prices.csv has no symbol in its name or content: give one \(--symbol BTCUSDT\)"
    ):
        import_files([folder / "prices.csv"])
    with pytest.raises(ConfigError, match=r"unknown symbol 'BTCUSD' \(did you mean 'BTCUSDT'\?\)"):
        import_files([folder / "prices.csv"], "BTCUSD", "15m")
    with pytest.raises(ConfigError, match="timeframe '15min' is not one of"):
        import_files([folder / "prices.csv"], "BTCUSDT", "15min")
    with pytest.raises(ConfigError, match="no files"):
        import_files([])
    assert not home.store.exists()


def test_one_bar_alone_may_be_imported(folder, home):
    walk(1).to_csv(folder / "BTCUSDT_15m.csv")
    import_files([folder / "BTCUSDT_15m.csv"])
    assert len(stored(home)) == 1


def test_a_csv_number_is_read_to_the_last_bit(folder):
    bars = walk(200, seed=3)
    bars.to_csv(folder / "x.csv")
    pd.testing.assert_frame_equal(read_bars_file(folder / "x.csv"), bars, check_freq=False, check_exact=True)


def test_the_command(home, folder):
    bars = walk(60)
    bars.to_csv(folder / "BTCUSDT_15m.csv")
    runner = CliRunner()
    tried = runner.invoke(app, ["import", "--dry-run", str(folder / "BTCUSDT_15m.csv")])
    assert tried.stdout == (
        "BTCUSDT_15m.csv: plain format, BTCUSDT from the file\n"
        f"  BTCUSDT 15m: 60 bars from {bars.index[0]} to {bars.index[-1]}; nothing was stored\n"
    )
    assert not home.store.exists()
    done = runner.invoke(app, ["import", str(folder / "BTCUSDT_15m.csv")])
    assert done.stdout.endswith("  BTCUSDT 15m: 60 bars added, 0 known already\n")
    bars.iloc[5, 4] += 1.0
    bars.to_csv(folder / "BTCUSDT_15m.csv")
    differing = runner.invoke(app, ["import", str(folder / "BTCUSDT_15m.csv")])
    assert differing.exit_code == 3
    assert "1 differ from the stored ones, which stay" in differing.stdout
    revised = runner.invoke(app, ["import", str(folder / "BTCUSDT_15m.csv"), "--revise"])
    assert (revised.exit_code, "1 replaced and the former kept on record" in revised.stdout) == (0, True)
    missing = runner.invoke(app, ["import", str(folder / "nothing.csv")])
    assert (missing.exit_code, missing.stderr.startswith("Error: ")) == (1, True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_four_years_of_quarters_of_an_hour_take_few_seconds(home, folder, suffix):
    bars = walk(140_000, start="2021-01-01")
    path = folder / f"BTCUSDT_15m{suffix}"
    bars.to_csv(path) if suffix == ".csv" else bars.to_parquet(path)
    began = time.process_time()  # not the wall clock, which other processes slow down
    import_files([path])
    assert time.process_time() - began < 3.0
    same_bars(stored(home), bars)


@pytest.mark.long
def test_ten_million_minutes_take_less_than_a_gigabyte(tmp_path):
    from importlib import import_module

    suite = import_module("benchmarks.suites.import")
    ran = suite._import(suite._minutes(10_000_000), "1m", suite._kline_csv)
    assert ran.peak_mb < 1_024


# ---------------------------------------------------------------- what the file says against what the user says


def test_a_symbol_that_the_file_contradicts_is_refused_with_both_ways_out(home, tmp_path):
    path = tmp_path / "BTCUSDT_15m.parquet"
    walk(300).reset_index().assign(symbol="BTCUSDT").to_parquet(path)
    with pytest.raises(
        ConfigError, match=r"is of BTCUSDT .*--symbol ETHUSDT is given: leave --symbol out .*--trust symbol"
    ):
        import_files([path], "ETHUSDT")
    (report,) = import_files([path], "ETHUSDT", options=ImportOptions(trust=["symbol"]))
    assert report.stored.inserted == 300


def test_an_unknown_check_is_refused_before_any_work(home):
    with pytest.raises(ConfigError, match="unknown check 'prices'"):
        ImportOptions(trust=["prices"])


def test_odd_decimals_are_stored_with_a_warning(home, tmp_path):
    bars = market(500)
    bars.iloc[99, 4] += 1e-7
    path = tmp_path / "BTCUSDT_15m.parquet"
    bars.reset_index().to_parquet(path)
    (report,) = import_files([path])
    assert report.stored.inserted == 500
    assert "row 99" in report.doubts[0]
    shown = CliRunner().invoke(app, ["import", str(path)])
    assert shown.exit_code == 0
    assert "warning: BTCUSDT 15m: row 99" in shown.stdout


# ---------------------------------------------------------------- values out of range


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("value", [2**62, -(2**62)])
def test_times_out_of_range_are_refused_with_the_value(home, tmp_path, unit, value):
    bars = walk(300).reset_index(drop=True)
    stamps = (walk(300).index.as_unit(unit)).asi8.copy()
    stamps[7] = value
    table = pa.table({"timestamp": pa.array(stamps, pa.timestamp(unit, tz="UTC")), **bars.to_dict("series")})
    naive = table.set_column(0, "timestamp", pa.array(stamps, pa.timestamp(unit)))
    for content in (table, naive):
        feather.write_feather(content, tmp_path / "BTCUSDT_15m.feather")
        with pytest.raises(DataError, match=r"row (7|8)"):
            import_files([tmp_path / "BTCUSDT_15m.feather"])
        if unit != "s":  # Parquet has no seconds
            pq.write_table(content, tmp_path / "BTCUSDT_15m.parquet")
            with pytest.raises(DataError, match=r"row (7|8)"):
                import_files([tmp_path / "BTCUSDT_15m.parquet"])


@pytest.mark.parametrize("column", ["volume", "close"])
def test_values_that_no_market_has_are_refused(home, tmp_path, column):
    bars = walk(300)
    bars.iloc[9, bars.columns.get_loc(column)] = 1e300
    bars["high"] = bars[["open", "high", "close"]].max(axis=1)
    path = tmp_path / "BTCUSDT_15m.parquet"
    bars.reset_index().to_parquet(path)
    with pytest.raises(DataError, match=r"row 9 .*is 1e\+300, beyond 1e\+18"):
        import_files([path])
