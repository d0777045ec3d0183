"""Quality: each fault is found, by its name and severity; sound bars have none; holes are filled from finer bars."""

import re

import numpy as np
import pandas as pd
import pytest
from arch.data import sp500
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError, DataError
from forge_core.market.bars.gaps import find_gaps
from forge_core.market.bars.model import resample_bars
from forge_core.market.importing.importer import import_files, read_bars_file
from forge_core.market.quality.checks import check_symbols, outlier_scores
from forge_core.market.quality.findings import suspicious_stretches
from forge_core.market.quality.gap_causes import explain_gaps
from forge_core.market.quality.page import quality_page
from forge_core.market.reference.exchange_calendar import trading_days
from forge_core.market.reference.instruments import Session, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.gap_filling import fill_gaps
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import REAL, needs_real_bars, same_bars, walk_at
from tests.market.format_files import market

BARS = market(4_000)


def hourly(bars):
    return resample_bars(bars, Timeframe.parse("1h"), session=Session())


@pytest.fixture
def store(home):
    with BarStore(home.store) as store:
        yield store


def found(store, *symbols):
    """What is found, as (series, kind, severity)."""
    return {
        (f"{report.symbol} {report.timeframe}", finding.kind, finding.severity)
        for report in check_symbols(store, symbols or None)
        for finding in report.findings
    }


def put(store, bars, symbol="BTCUSDT", timeframe="15m"):
    store.upsert(symbol, timeframe, bars, source="x")


def test_sound_bars_have_nothing_to_say(store):
    put(store, BARS)
    put(store, hourly(BARS), timeframe="1h")
    assert found(store) == set()
    (quarters, hours) = check_symbols(store, ["BTCUSDT"])
    assert (quarters.rows, quarters.missing, quarters.severity) == (4_000, 0, "info")
    assert (hours.timeframe, hours.first) == ("1h", BARS.index[0])


def test_symbols_that_the_store_lacks_are_named(store):
    put(store, BARS)
    with pytest.raises(DataError, match="the store has no bars of ETHUSDT; it has those of BTCUSDT"):
        check_symbols(store, ["ETHUSDT"])


def test_a_gap_is_a_hole_where_other_series_have_bars(store):
    put(store, BARS.drop(BARS.index[1_000:1_040]))
    put(store, hourly(BARS), timeframe="1h")
    (gap,) = check_symbols(store)[0].gaps
    assert (gap.reason, gap.witness, gap.finer, gap.missing) == ("hole", "BTCUSDT 1h", "", 40)
    assert (gap.start, gap.end) == (BARS.index[1_000], BARS.index[1_040])
    assert found(store) == {("BTCUSDT 15m", "gaps", "warning")}


def test_a_gap_is_an_outage_where_no_series_has_bars(store):
    gone = BARS.index[1_000:1_040]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        put(store, BARS.drop(gone), symbol)
    assert {gap.reason for report in check_symbols(store) for gap in report.gaps} == {"outage"}
    assert found(store) == {("BTCUSDT 15m", "gaps", "info"), ("ETHUSDT 15m", "gaps", "info")}


def test_a_gap_that_only_another_symbol_has_bars_in_is_a_hole_and_one_alone_is_unexplained(store):
    put(store, BARS.drop(BARS.index[1_000:1_040]))
    assert check_symbols(store)[0].gaps[0].reason == "unexplained"
    put(store, BARS, "ETHUSDT")
    assert check_symbols(store)[0].gaps[0].witness == "ETHUSDT 15m"
    assert check_symbols(store)[0].gaps[0].reason == "hole"


def sessions(weeks=20):
    """The times of hourly bars of a market that opens at 17:00 Chicago, Sunday to Thursday, for 23 hours."""
    local = pd.date_range("2024-04-07 17:00", periods=24 * 7 * weeks, freq="1h", tz="America/Chicago")
    evening = local.hour >= 17
    begins = (local - pd.to_timedelta(np.where(evening, 0, 1), unit="D")).day_of_week
    open_ = np.isin(begins, [6, 0, 1, 2, 3]) & (local.hour != 16)
    return local[open_].tz_convert("UTC").as_unit("us")


def test_holidays_and_early_ends_of_sessions_are_closed_and_a_hole_in_the_middle_is_not(store):
    times = sessions()
    local = times.tz_convert("America/Chicago")
    day = times[(local >= "2024-05-19 17:00") & (local < "2024-05-20 16:00")]  # a whole session
    end = times[(local >= "2024-06-05 12:00") & (local < "2024-06-05 16:00")]  # the end of one
    middle = times[(local >= "2024-07-10 05:00") & (local < "2024-07-10 08:00")]
    put(store, walk_at(times.difference(day.union(end).union(middle))), "ES", "1h")
    gaps = {gap.start: (gap.reason, gap.missing) for gap in check_symbols(store)[0].gaps}
    assert gaps == {day[0]: ("closed", 23), end[0]: ("closed", 4), middle[0]: ("unexplained", 3)}


def index_bars() -> pd.DataFrame:
    """Daily bars of the S&P 500, 1999-2018."""
    bars = sp500.load()
    bars = bars.set_axis(pd.DatetimeIndex(bars.index, tz="UTC").as_unit("us")).drop(columns="Adj Close")
    return bars.rename(columns=str.lower).astype("float64")


def test_gaps_of_daily_bars_are_holidays_or_holes_by_the_exchanges_calendar(store):
    bars = index_bars()
    put(store, bars, "SP500", "1d")
    (whole,) = check_symbols(store)
    assert {(gap.reason, gap.missing) for gap in whole.gaps} >= {("closed", 1), ("closed", 4)}  # and September 2001
    assert {gap.reason for gap in whole.gaps} == {"closed"}
    assert len(whole.gaps) > 170
    lost = ["2001-03-14", "2007-12-24", "2007-12-26"]  # the last two around a holiday
    gaps = explain_gaps(
        find_gaps(bars.drop(pd.DatetimeIndex(lost, tz="UTC")), Timeframe.parse("1d"), Session()),
        bars, Timeframe.parse("1d"), get_instrument("SP500"), [], store,
    )  # fmt: skip
    holes = [str(gap) for gap in gaps if gap.reason == "hole"]
    assert holes == [
        "from 2001-03-14 00:00 to 2001-03-15 00:00 (1, seen in calendar XNYS)",
        "from 2007-12-24 00:00 to 2007-12-27 00:00 (2, seen in calendar XNYS)",
    ]


@pytest.mark.parametrize(
    ("calendar", "message"),
    [
        ("XNYZ", "SP500: calendar XNYZ: unknown calendar 'XNYZ'.*XNYS"),
        ("XKRX", "calendar XKRX has no sessions from 1949"),
    ],
)
def test_a_calendar_that_does_not_fit_is_named(calendar, message):
    instrument = get_instrument("SP500").model_copy(update={"calendar": calendar})
    with pytest.raises(ConfigError, match=message):
        trading_days(instrument, -7_300, -7_000)


def test_idle_stuck_and_wild_bars(store):
    bars = BARS.copy()
    bars.iloc[100:180, 4] = 0.0
    bars.iloc[500:503] = bars.iloc[499].to_numpy()
    bars.iloc[900, 1] *= 1.5
    put(store, bars)
    assert found(store) == {
        ("BTCUSDT 15m", "idle", "warning"),
        ("BTCUSDT 15m", "stuck", "warning"),
        ("BTCUSDT 15m", "outliers", "info"),
    }
    texts = {finding.kind: finding.text for finding in check_symbols(store)[0].findings}
    assert texts["idle"].startswith(f"80 bars without volume, at most 80 in a row (from {bars.index[100]}")
    assert texts["stuck"] == f"3 bars like the one before in every value, first at {bars.index[500]}"
    assert f"{bars.index[900]:%Y-%m-%d %H:%M}" in texts["outliers"]


def test_a_series_without_any_volume_is_told(store):
    put(store, BARS.assign(volume=0.0))
    assert found(store) == {("BTCUSDT 15m", "idle", "warning")}


def test_outlier_scores_do_not_depend_on_the_scale_and_bear_idle_stretches():
    scores = outlier_scores(BARS)
    np.testing.assert_allclose(outlier_scores(BARS * 1e-4), scores, rtol=1e-6)
    assert np.median(scores) == pytest.approx(1.0, abs=0.2)
    flat = BARS.copy()
    flat.iloc[1_000:2_000, :4] = flat["close"].iloc[1_000]
    assert np.isfinite(outlier_scores(flat)).all()


def test_coarser_bars_that_finer_ones_contradict(store):
    put(store, BARS)
    hours = hourly(BARS)
    hours.iloc[50:60, 3] += 0.5
    hours.iloc[50:60, 1] += 1.0
    put(store, hours, timeframe="1h")
    assert found(store) == {("BTCUSDT 1h", "contradiction", "warning")}
    (finding,) = check_symbols(store)[1].findings
    assert finding.text == (
        f"10 of 1000 bars differ from resampled finer bars (high of 10, close of 10), first at {hours.index[50]}"
    )


def test_buckets_with_missing_finer_bars_contradict_nothing(store):
    put(store, BARS.drop(BARS.index[[401, 402]]))
    put(store, hourly(BARS), timeframe="1h")
    assert {kind for _, kind, _ in found(store)} == {"gaps"}


def test_a_series_that_ends_before_the_others_is_stale(store):
    put(store, BARS[:3_000])
    put(store, hourly(BARS), timeframe="1h")
    assert found(store) == {("BTCUSDT 15m", "stale", "warning")}


def test_bars_that_stand_twice_or_are_not_sound_are_errors(store):
    put(store, BARS)
    with store._connected() as connection:
        connection.execute("INSERT INTO bars SELECT * FROM bars ORDER BY timestamp LIMIT 3")
        connection.execute("UPDATE bars SET high = 1 WHERE timestamp = (SELECT max(timestamp) FROM bars)")
    (report,) = check_symbols(store)
    assert report.severity == "error"
    assert {(finding.kind, finding.count) for finding in report.findings} >= {("duplicates", 3), ("unsound", 1)}


def test_missing_funding_of_a_perpetual_is_told(store):
    put(store, BARS, "BTCUSDTPERP")
    index = pd.date_range(BARS.index[0], BARS.index[-1], freq="8h").as_unit("us")
    store.upsert_funding("BTCUSDTPERP", pd.Series(1e-4, index=index.delete([20, 21])), source="x")
    reports = check_symbols(store)
    assert reports[1].timeframe == "funding"
    assert (
        reports[1].findings[0].text.startswith("1 times more than 8 hours without a rate, first from 2024-01-07 08:00")
    )


def test_a_hole_is_filled_from_finer_bars_where_none_of_them_is_missing(store):
    hours = hourly(BARS)
    put(store, hours.drop(hours.index[100:110]), timeframe="1h")
    put(store, BARS.drop(BARS.index[100 * 4 + 2]))
    (gap,) = check_symbols(store)[1].gaps
    assert gap.finer == "15m"
    report = fill_gaps(store, "BTCUSDT", "1h", "15m")
    assert (report.missing, report.stored.inserted, report.still_missing) == (10, 9, 1)
    same_bars(store.read("BTCUSDT", "1h"), hours.drop(hours.index[100]))
    assert store.sources("BTCUSDT", "1h") == ["made of 15m bars", "x"]
    with pytest.raises(DataError, match="none of the 1 gaps of BTCUSDT 1h can be filled from 15m"):
        fill_gaps(store, "BTCUSDT", "1h", "15m")


@pytest.mark.parametrize(
    ("timeframe", "finer", "error", "message"),
    [
        ("1h", "4h", ConfigError, "1h bars cannot be resampled from 4h"),
        ("15m", "4m", ConfigError, "15m bars cannot be resampled from 4m"),
        ("4h", "1h", DataError, "the store has no BTCUSDT 4h bars"),
        ("15m", "5m", DataError, "BTCUSDT 15m has no gaps"),
    ],
)
def test_fills_that_make_no_sense_are_refused(store, timeframe, finer, error, message):
    put(store, BARS)
    with pytest.raises(error, match=message):
        fill_gaps(store, "BTCUSDT", timeframe, finer)


def test_the_commands(home, tmp_path):
    runner = CliRunner()
    assert "The store has no bars yet" in runner.invoke(app, ["data", "check"]).stdout
    hours = hourly(BARS)
    with BarStore(home.store) as store:
        put(store, BARS)
        put(store, hours.drop(hours.index[100:110]), timeframe="1h")
    page = tmp_path / "quality.html"
    result = runner.invoke(app, ["data", "check", "BTCUSDT", "--html", str(page)])
    assert result.exit_code == 0
    assert "warning: BTCUSDT 1h: 10 bars missing in 1 gap where other series have bars" in result.stdout
    assert "`forge data fill BTCUSDT 1h --from 15m` resamples them from finer bars" in result.stdout
    filled = runner.invoke(app, ["data", "fill", "BTCUSDT", "1h", "--from", "15m"])
    assert filled.stdout == "BTCUSDT 1h: 10 of 10 missing bars filled\n"
    assert "missing" not in runner.invoke(app, ["data", "check"]).stdout.split("\n", 1)[1]
    assert runner.invoke(app, ["data", "check", "ETHUSDT"]).exit_code == 1
    text = page.read_text()
    assert "10 bars missing in 1 gap" in text
    assert len(re.search(r"data:image/png;base64,([\w+/=]+)", text)[1]) > 5_000
    assert "http" not in text.replace("https://www.w3.org", "")


def test_the_page_escapes_what_it_says(store):
    put(store, BARS)
    (report,) = check_symbols(store)
    assert "<b>" not in quality_page([report.__class__(**{**vars(report), "symbol": "<b>"})])
    assert "Nothing." in quality_page([report])
    assert quality_page([])


@needs_real_bars
def test_the_known_holes_and_outages_of_real_bars(store, home):
    store.close()
    for name in ("BTCUSDT_15m", "BTCUSDT_30m", "ZS_15m", "ZS_30m", "GC_30m", "GC_1h"):
        import_files([REAL / f"{name}.parquet"])
    with BarStore(home.store) as opened:
        reports = {f"{r.symbol} {r.timeframe}": r for r in check_symbols(opened)}
    btc = {str(gap.start)[:16]: gap.reason for gap in reports["BTCUSDT 15m"].gaps}
    assert btc.pop("2021-07-17 21:00") == "hole"
    assert set(btc.values()) == {"outage"}
    assert [str(g.start)[:10] for g in reports["ZS 15m"].gaps if g.reason == "hole"] == ["2025-07-04"]
    assert [str(g.start)[:10] for g in reports["GC 30m"].gaps if g.reason == "outage"] == ["2025-11-28"]  # CME's own
    (contradiction,) = (f for f in reports["BTCUSDT 30m"].findings if f.kind == "contradiction")
    assert contradiction.count == 7
    assert get_instrument("GC").trades_always is False


# ---------------------------------------------------------------- stretches that no check of single bars sees


def replaced(first, rows):
    bars = BARS.copy()
    bars.iloc[first : first + len(rows)] = rows
    return bars


@pytest.mark.parametrize("size", [40, 200, 1_000])
def test_a_page_repeated_under_later_times_is_found(store, size):
    put(store, replaced(2_500, BARS.iloc[700 : 700 + size].to_numpy()))
    ((finding,),) = [[f for f in r.findings if f.kind == "repeated"] for r in check_symbols(store)]
    assert (finding.severity, finding.count, finding.first) == ("warning", size, BARS.index[2_500])
    assert f"{size} bars from" in finding.text
    assert f"are those from {BARS.index[700]:%Y-%m-%d %H:%M} again" in finding.text


@pytest.mark.parametrize("size", [60, 200])
def test_reversed_bars_are_found(store, size):
    put(store, replaced(1_000, BARS.iloc[1_000 : 1_000 + size].to_numpy()[::-1]))
    assert ("BTCUSDT 15m", "reversed", "warning") in found(store)


def test_a_hundred_stuck_bars_are_found(store):
    rows = BARS.iloc[1_000:1_100].to_numpy().copy()
    rows[:, :4] = BARS["close"].iloc[999]
    put(store, replaced(1_000, rows))
    assert ("BTCUSDT 15m", "stuck", "warning") in found(store)


@pytest.mark.parametrize("factor", [1.2, 0.8])
def test_a_break_in_level_is_found(store, factor):
    bars = BARS.copy()
    bars.iloc[2_000:, :4] *= factor
    put(store, bars)
    (report,) = check_symbols(store)
    (finding,) = [f for f in report.findings if f.kind == "level"]
    assert (finding.severity, finding.count, finding.first) == ("warning", 1, BARS.index[2_000])


@needs_real_bars
def test_half_spot_and_half_perpetual_is_found_with_the_perpetual_stored_and_without(store):
    spot, perpetual = (read_bars_file(REAL / f"{name}_15m.parquet").loc["2024"] for name in ("BTCUSDT", "BTCUSDTPERP"))
    half = spot.copy()
    half.loc["2024-07":] = perpetual.reindex(spot.index).loc["2024-07":]
    put(store, half)
    assert ("BTCUSDT 15m", "market", "warning") in found(store)
    put(store, perpetual, "BTCUSDTPERP")
    texts = [f.text for r in check_symbols(store, ["BTCUSDT"]) for f in r.findings if f.kind == "market"]
    assert any("they are the bars of BTCUSDTPERP" in text for text in texts)


@needs_real_bars
def test_real_bars_have_no_suspicious_stretches():
    for path in sorted(REAL.glob("*.parquet")):
        label = path.stem.rpartition("_")[2]
        if not label.startswith("funding"):
            bars = read_bars_file(path)
            suspected = list(suspicious_stretches(bars, Timeframe.parse(label), {}))
            assert [finding for finding in suspected if finding.severity != "info"] == [], path.name
