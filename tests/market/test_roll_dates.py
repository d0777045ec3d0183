"""Switch dates: the project's by rule, the user's by import, and no time without a zone taken for anything."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from forge_core.errors import ConfigError, DataError
from forge_core.market.futures.roll_calendar import (
    RULES,
    YEARS,
    crude_oil_last_day,
    currency_last_day,
    first_notice_day,
    index_last_day,
    natural_gas_last_day,
    roll_file_text,
)
from forge_core.market.futures.roll_dates import (
    import_roll_dates,
    load_roll_dates,
    read_roll_file,
    roll_text,
    trade_date_opens,
)
from forge_core.market.reference.instruments import get_instrument, load_instruments
from forge_core.market.reference.sessions import trade_days
from forge_core.paths import project_root
from tests.market.bar_tables import REAL, needs_real_bars

WILD = REAL / "raw_formats" / "contract_switch_dates.yaml"


def written(tmp_path, text):
    path = tmp_path / "dates.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def utc(*texts):
    return [pd.Timestamp(text, tz="UTC") for text in texts]


# ---------------------------------------------------------------- reading


def test_times_with_an_offset_need_no_word_about_their_zone(tmp_path):
    path = written(
        tmp_path,
        "ZS: ['2024-04-17T00:00:00Z', \"2024-02-14T19:00:00-06:00\", 2024-02-15T01:00:00Z]\nES: []\n"
        "_symbol_mappings:\n  MZS: ZS # micro\n",
    )
    dates = read_roll_file(path)
    assert list(dates.of("ZS")) == utc("2024-02-15 01:00", "2024-04-17")
    assert list(dates.of("MZS")) == list(dates.of("ZS"))
    assert len(dates.of("ES")) == 0
    assert dates.origin("MZS") == str(path)
    with pytest.raises(DataError, match=r"no roll dates of CL.*forge roll-dates import"):
        dates.of("CL")


def test_a_time_without_an_offset_is_not_guessed_at(tmp_path):
    path = written(tmp_path, 'GC:\n  - "2024-01-30T00:00:00"\n')
    with pytest.raises(ConfigError, match=r"dates.yaml:2: GC: 2024-01-30T00:00:00 has no UTC offset.*--timezone"):
        read_roll_file(path)
    assert list(read_roll_file(path, timezone="Europe/Warsaw").of("GC")) == utc("2024-01-29 23:00")
    assert list(read_roll_file(path, timezone="America/New_York").of("GC")) == utc("2024-01-30 05:00")
    assert list(read_roll_file(path, trade_dates=True).of("GC")) == utc("2024-01-29 23:00")
    with pytest.raises(ConfigError, match="one of the two"):
        read_roll_file(path, timezone="UTC", trade_dates=True)
    with pytest.raises(ConfigError, match="'Europe/Warzaw' is not a time zone \\(did you mean 'Europe/Warsaw'"):
        read_roll_file(path, timezone="Europe/Warzaw")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ZS: soon\n", "dates.yaml:1: ZS: a list of times is expected, got 'soon'"),
        ("ZS:\n- 2024-02-15T01:00:00Z\n- tomorrow\n", "dates.yaml:3: ZS: 'tomorrow' is no time"),
        ("ZS: [20240215]\n", "ZS: 20240215 is no time"),
        ("../x: []\n", "'../x' is not allowed"),
        ("- ZS\n", "a list of times by symbol is expected"),
        ("_symbol_mappings: [MES]\n", "maps symbols to symbols"),
        ("ZS: [2024-02-15T01:00:00Z\n", "not valid YAML"),
        ("ZS: []\nZS: []\n", "duplicate key 'ZS'"),
    ],
)
def test_a_file_that_is_none_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        read_roll_file(written(tmp_path, text))


def test_a_trade_date_opens_the_evening_before_in_chicago():
    days = [date(2024, 3, 18), date(2024, 7, 1), date(2024, 2, 15), date(2023, 7, 29)]  # the last is a Saturday
    cme, grains = get_instrument("CL").session, get_instrument("ZS").session
    assert list(trade_date_opens(days, cme)) == utc(
        "2024-03-17 22:00", "2024-06-30 22:00", "2024-02-14 23:00", "2023-07-30 22:00"
    )
    assert list(trade_date_opens(days[2:3], grains)) == utc("2024-02-15 01:00")
    opened = trade_date_opens(days[:3], cme)
    assert list(trade_days(opened.sort_values(), cme)) == sorted(np.datetime64(d, "D").astype(int) for d in days[:3])


# ---------------------------------------------------------------- importing


def test_what_is_imported_takes_the_place_of_the_projects_dates(home, tmp_path):
    before = load_roll_dates(home)
    path = written(tmp_path, "ZS: ['2024-02-15']\nHG: ['2024-02-15']\n_symbol_mappings: {XK: ZS, MHG: HG}\n")
    found = import_roll_dates(path, trade_dates=True, home=home)
    assert (list(found.times), found.left_out, found.mappings) == (["ZS"], ("HG",), {"XK": "ZS"})
    after = load_roll_dates(home)
    assert list(after.of("ZS")) == list(after.of("XK")) == utc("2024-02-15 01:00")
    assert after.origin("ZS") == str(home.roll_dates)
    assert list(after.of("GC")) == list(before.of("GC"))
    other = written(tmp_path, "GC: ['2024-02-15T00:00:00Z']\nZS: ['2030-01-01T00:00:00Z']\n")
    import_roll_dates(other, symbols=["GC"], home=home)
    assert list(load_roll_dates(home).of("ZS")) == utc("2024-02-15 01:00")
    with pytest.raises(ConfigError, match="unknown symbol 'CL'; known: GC, ZS"):
        import_roll_dates(other, symbols=["CL"], home=home)


def test_nothing_is_stored_of_a_file_with_a_fault(home, tmp_path):
    with pytest.raises(ConfigError):
        import_roll_dates(written(tmp_path, "ZS: ['2024-02-15T00:00:00Z']\nGC: [never]\n"), home=home)
    with pytest.raises(ConfigError, match="HG, but none of these symbols is declared"):
        import_roll_dates(written(tmp_path, "HG: ['2024-02-15T00:00:00Z']\n"), home=home)
    assert not home.roll_dates.exists()


def test_what_is_written_is_read_back(tmp_path):
    times = {name: pd.DatetimeIndex(utc("2024-02-15 01:00", "2025-01-01")) for name in ("6E", "ZS", "NO", "1E5")}
    again = read_roll_file(written(tmp_path, roll_text({**times, "ON": times["ZS"][:0]}, {"MES": "ES"}, "a\nb")))
    assert {name: list(index) for name, index in again.times.items()} == {
        **{name: list(index) for name, index in times.items()},
        "ON": [],
    }
    assert again.mappings == {"MES": "ES"}


@needs_real_bars
@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
def test_the_file_found_in_the_wild_gives_the_known_switch_times(symbol):
    known = pd.read_csv(REAL / "roll_dates.csv").query("symbol == @symbol")["effective_utc"]
    assert list(read_roll_file(WILD, trade_dates=True, symbols=[symbol]).of(symbol)) == utc(*known.str[:-1])


@needs_real_bars
def test_the_file_found_in_the_wild_is_imported(home):
    found = import_roll_dates(WILD, trade_dates=True, home=home)
    assert {"ZS", "ZC", "ZW", "GC", "SI", "CL", "NG"} == set(found.times)
    assert "HG" in found.left_out
    assert list(load_roll_dates(home).of("MCL")) == list(load_roll_dates(home).of("CL"))


# ---------------------------------------------------------------- the project's own


def test_the_projects_file_is_what_the_rules_give():
    assert (project_root() / "datasets" / "roll_dates.yaml").read_text(encoding="utf-8") == roll_file_text()


@pytest.mark.parametrize(
    ("rule", "contract", "day"),
    [
        (crude_oil_last_day, (2020, 5), date(2020, 4, 21)),  # the day after it settled at -37.63
        (crude_oil_last_day, (2024, 2), date(2024, 1, 22)),
        (crude_oil_last_day, (2024, 1), date(2023, 12, 19)),  # the 25th is Christmas
        (natural_gas_last_day, (2024, 2), date(2024, 1, 29)),
        (natural_gas_last_day, (2024, 6), date(2024, 5, 29)),
        (index_last_day, (2024, 3), date(2024, 3, 15)),
        (currency_last_day, (2024, 3), date(2024, 3, 18)),
        (first_notice_day, (2024, 4), date(2024, 3, 28)),  # the 29th is Good Friday
        (first_notice_day, (2024, 3), date(2024, 2, 29)),
    ],
)
def test_the_rules_give_the_exchanges_own_days(rule, contract, day):
    assert rule(*contract) == day


def test_every_declared_future_has_roll_dates():
    dates = load_roll_dates()
    for symbol, instrument in load_instruments().items():
        if instrument.kind == "future":
            assert len(dates.of(symbol)) == len(YEARS) * len(RULES[symbol].months)
            steps = np.diff(dates.of(symbol).asi8) / 86_400e6
            assert 15 < steps.min() <= steps.max() < 140


def test_the_file_of_an_older_home_is_read_and_kept_by_an_import(home, tmp_path):
    home.root.mkdir(parents=True, exist_ok=True)
    stamps = pd.DatetimeIndex(["2024-02-15T01:00:00Z"])
    (home.root / "switch_dates.yaml").write_text(roll_text({"ZS": stamps}, {}, "older"))
    dates = load_roll_dates(home)
    assert dates.of("ZS").equals(stamps.as_unit(dates.of("ZS").unit))
    assert dates.origin("ZS").endswith("switch_dates.yaml")
    import_roll_dates(written(tmp_path, "GC: ['2024-03-01T00:00:00Z']\n"), home=home)
    assert home.roll_dates.is_file()
    assert len(load_roll_dates(home).of("ZS")) == len(load_roll_dates(home).of("GC")) == 1
