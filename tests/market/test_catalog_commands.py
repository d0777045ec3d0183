"""The catalog's file changed by command with its comments; regimes proposed from bars; versions that nothing needs."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError, DataError
from forge_core.files import write_json
from forge_core.market.datasets.build import build_dataset, ensure_dataset, latest_version
from forge_core.market.datasets.pruning import prune_versions, unneeded_versions
from forge_core.market.reference.catalog import DatasetSpec, get_dataset_spec, load_catalog
from forge_core.market.reference.catalog_edit import add_dataset, catalog_path, remove_dataset
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.regimes.suggest import daily_closes, figures, suggest_regimes
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import REAL, needs_real_bars, walk

PROJECT = Path(__file__).resolve().parents[2] / "datasets"
CATALOG = Path(__file__).with_name("catalog.yaml")  # not the project's: a user may have changed that one
runner = CliRunner()


@pytest.fixture
def project(tmp_path, monkeypatch, home):
    """A copy of the project's datasets that may be changed."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder / "datasets")
    shutil.copy(CATALOG, folder / "datasets" / "catalog.yaml")
    monkeypatch.setenv("FORGE_PROJECT", str(folder))
    return folder


def spec_of(name="BTCUSDT_BEAR_2018", symbol="BTCUSDT", start="2018-01-01", **changes):
    entry = {"end": "2018-12-01", "timeframes": ["1h", "4h"], "regime": "bear", "characteristics": "Down: -70 %, #1"}
    return DatasetSpec(name=name, symbol=symbol, start=start, **{**entry, **changes})


def test_a_dataset_is_added_after_those_of_its_symbol_and_nothing_else_changes(project):
    before = catalog_path().read_text()
    spec = spec_of()
    add_dataset(spec)
    after = catalog_path().read_text()
    block = [
        "",
        "  BTCUSDT_BEAR_2018:",
        "    symbol: BTCUSDT",
        "    start: 2018-01-01",
        "    end: 2018-12-01",
        "    timeframes: [1h, 4h]",
        "    regime: bear",
        "    characteristics: 'Down: -70 %, #1'",
    ]
    lines = after.split("\n")
    at = lines.index("  BTCUSDT_BEAR_2018:") - 1
    assert lines[at : at + len(block)] == block
    assert lines[:at] + lines[at + len(block) :] == before.split("\n")
    assert get_dataset_spec("BTCUSDT_BEAR_2018") == spec
    names = list(load_catalog())
    assert names.index("BTCUSDT_BEAR_2018") == names.index("BTCUSDT_BULL_2024") + 1


@pytest.mark.parametrize(
    "name", ["BTCUSDT_FULL_CYCLE", "SOLUSDT_VOLATILE", "NASDAQ_BULL_2016", "BTCUSDTPERP_BULL_2024"]
)
def test_removing_what_was_there_and_adding_it_again_loses_no_comment_of_others(project, name):
    before, spec = catalog_path().read_text(), get_dataset_spec(name)
    remove_dataset(name)
    assert name not in load_catalog()
    comments = [line for line in before.splitlines() if "#" in line]
    assert [line for line in catalog_path().read_text().splitlines() if "#" in line] == comments
    add_dataset(spec)
    assert load_catalog()[name] == spec


def test_a_dataset_goes_with_the_comment_right_above_it(project):
    remove_dataset("ETHUSDT_RANGE")
    text = catalog_path().read_text()
    assert "forge datasets suggest ETHUSDT" not in text
    assert "drawdown 45 %\n\n  # The same four years on other coins" in text


def test_what_was_added_is_removed_to_the_letter(project):
    before = catalog_path().read_text()
    add_dataset(spec_of())
    remove_dataset("BTCUSDT_BEAR_2018")
    assert catalog_path().read_text() == before


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_adding_and_removing_gives_what_was_meant(project, data):
    meant = load_catalog()
    for number in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(meant)))
            remove_dataset(name)
            del meant[name]
        else:
            text = data.draw(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20))
            spec = spec_of(f"NEW_{number}_{len(meant)}", characteristics=text)
            add_dataset(spec)
            meant[spec.name] = spec
        assert load_catalog() == meant
    shutil.copy(CATALOG, catalog_path())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: add_dataset(spec_of("SP500_BEAR_2008", "SP500")), "has a dataset SP500_BEAR_2008 already"),
        (lambda: add_dataset(spec_of(symbol="BTCUSD")), r"unknown symbol 'BTCUSD' \(did you mean 'BTCUSDT'"),
        (
            lambda: remove_dataset("SP500_BEAR_2009"),
            r"unknown dataset 'SP500_BEAR_2009' \(did you mean 'SP500_BEAR_2008'",
        ),
    ],
)
def test_changes_that_make_no_sense_leave_the_file_as_it_was(project, change, message):
    before = catalog_path().read_bytes()
    with pytest.raises(ConfigError, match=message):
        change()
    assert catalog_path().read_bytes() == before


def test_a_catalog_in_one_line_is_left_alone(project):
    text = "datasets: {A: {symbol: SP500, start: 2000-01-01, end: 2001-01-01, timeframes: [1d], regime: bull}}\n"
    catalog_path().write_text(text)
    with pytest.raises(ConfigError, match="several datasets in one line"):
        remove_dataset("A")
    assert catalog_path().read_text() == text


def test_an_empty_catalog_can_be_begun(project):
    catalog_path().write_text("# mine\ndatasets: {}\n")
    with pytest.raises(ConfigError, match="change it by hand"):
        add_dataset(spec_of())
    catalog_path().write_text(
        "# mine\ndatasets:\n  A: {symbol: SP500, start: 2000-01-01, end: 2001-01-01, timeframes: [1d], regime: bull}\n"
    )
    add_dataset(spec_of())
    assert list(load_catalog()) == ["A", "BTCUSDT_BEAR_2018"]


def market_of(*phases, start="2018-01-01"):
    """Daily closes that follow ``phases``: (days, log drift in all, daily noise)."""
    noise = np.random.default_rng(4)
    steps = [drift / days + sigma * noise.standard_normal(days) for days, drift, sigma in phases]
    steps = [step - (step.sum() - drift) / days for step, (days, drift, _) in zip(steps, phases, strict=True)]
    logs = np.log(1_000) + np.cumsum(np.concatenate(steps))
    return pd.Series(np.exp(logs), index=pd.date_range(start, periods=logs.size, tz="UTC", unit="us"))


def test_planted_regimes_are_found():
    closes = market_of((365, 1.2, 0.02), (365, -1.2, 0.02), (365, 0.0, 0.004), (365, 1.0, 0.02), (200, 0.1, 0.06))
    found = {}
    for suggestion in suggest_regimes(closes, 365):
        found.setdefault(suggestion.regime, []).append((f"{suggestion.start:%Y-%m}", f"{suggestion.end:%Y-%m}"))
    assert found["bull"][0] == ("2018-01", "2019-01")
    assert found["bear"][0][0] == "2019-01"
    (flat,) = found["range"]
    assert "2020-01" <= flat[0] < flat[1] <= "2021-01"
    (volatile,) = found["volatile"]
    assert volatile[0] >= "2021-09"


def test_figures_are_those_of_the_catalog():
    closes = pd.Series([100.0, 150.0, 75.0, 120.0])
    told = figures(closes, 365)
    assert (told.total_return, told.drawdown, told.span) == pytest.approx((0.2, 0.5, 1.0))
    logs = np.diff(np.log(closes))
    assert told.volatility == pytest.approx(np.std(logs, ddof=1) * np.sqrt(365))
    assert str(told).startswith("+20 %, volatility ")


def test_closes_are_those_of_trade_dates():
    times = pd.date_range("2024-01-07 23:00", periods=48, freq="1h", tz="UTC").as_unit("us")
    bars = walk(48, "1h").set_axis(times)
    closes = daily_closes(bars, get_instrument("ES"))
    assert [str(day.date()) for day in closes.index] == ["2024-01-08", "2024-01-09"]
    assert closes.tolist() == [bars["close"].iloc[23], bars["close"].iloc[47]]


@pytest.mark.parametrize(
    ("closes", "message"),
    [
        (lambda: market_of((60, 0.1, 0.01)), "60 days are too few"),
        (lambda: market_of((200, 0.1, 0.01)) - 1_050, "regimes are told by ratios of prices above zero"),
    ],
)
def test_regimes_of_what_does_not_tell_any_are_refused(closes, message):
    with pytest.raises(DataError, match=message):
        suggest_regimes(closes(), 365)


@needs_real_bars
def test_the_sideways_period_of_the_catalog_is_the_one_proposed():
    from forge_core.market.importing.importer import read_bars_file

    closes = daily_closes(read_bars_file(REAL / "ETHUSDT_15m.parquet"), get_instrument("ETHUSDT"))
    suggestions = suggest_regimes(closes, 365)
    spec = get_dataset_spec("ETHUSDT_RANGE")
    assert [(s.start, s.end) for s in suggestions if s.regime == "range"] == [(spec.start, spec.end)]
    bears = [s for s in suggestions if s.regime == "bear"]
    assert all(s.figures.total_return < -0.1 for s in bears)


def versions(name, home):
    return sorted(path.name for path in home.dataset(name).iterdir() if path.is_dir())


def test_versions_that_nothing_needs_are_pruned(home):
    spec = spec_of("HERE", start="2024-02-01", end="2024-03-01", regime="bull")
    bars = walk(2_000, "1h")
    hashes = []
    with BarStore(home.store) as store:
        for first in (400, 200, 0):
            store.upsert("BTCUSDT", "1h", bars.iloc[first:], source="x")
            hashes.append(build_dataset(spec, store, home).content_hash)
    study = home.study("mine")
    study.mkdir(parents=True)
    write_json(study / "manifest.json", {"datasets": {"HERE": {"hash": hashes[0], "symbol": "BTCUSDT"}}})
    (home.features / hashes[1]).mkdir(parents=True)
    (home.features / hashes[1] / "x.npy").write_bytes(b"1234")
    (unneeded,) = unneeded_versions(home)
    assert (unneeded.dataset, unneeded.content_hash) == ("HERE", hashes[1])
    assert runner.invoke(app, ["datasets", "prune", "--dry-run"]).stdout.endswith("MiB would be removed\n")
    assert versions("HERE", home) == sorted(hashes)
    assert prune_versions(home) == [unneeded]
    assert versions("HERE", home) == sorted([hashes[0], hashes[2]])
    assert not (home.features / hashes[1]).exists()
    assert latest_version("HERE", home).content_hash == hashes[2]
    assert prune_versions(home) == []


def test_nothing_is_pruned_while_a_study_cannot_be_read(home):
    study = home.study("mine")
    study.mkdir(parents=True)
    (study / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"which versions its study needs is not known.*forge study reset mine"):
        prune_versions(home)


def test_the_commands(project, home):
    period = ["--start", "2004-01-01", "--end", "2005-01-01"]
    added = runner.invoke(app, ["datasets", "add", "SP500_HERE", "-s", "SP500", *period, "-t", "1d, 1w", "-r", "bull"])
    assert added.stdout == f"SP500_HERE added to {catalog_path()}\n"
    period[-1] = "tomorrow"
    wrong = runner.invoke(app, ["datasets", "add", "X", "-s", "SP500", *period, "-t", "1d", "-r", "up"])
    assert wrong.exit_code == 1
    assert "end: not a date of the form 2021-01-01, got 'tomorrow'" in wrong.stderr
    assert "regime: Input should be" in wrong.stderr
    unbuilt = runner.invoke(app, ["datasets", "check", "SP500_HERE"])
    assert unbuilt.exit_code == 0
    assert "from the sample" in unbuilt.stdout
    missing = runner.invoke(app, ["datasets", "check", "BTCUSDT_BEAR_2022"])
    assert missing.exit_code == 1
    assert "needs BTCUSDT 15m bars" in missing.stdout
    ensure_dataset("SP500_HERE", home)
    checked = runner.invoke(app, ["datasets", "check"])
    assert checked.exit_code == 0
    assert "SP500_HERE " in checked.stdout
    assert "built" in checked.stdout
    assert "SP500_BULL_2013        can be built" in checked.stdout
    (next(home.dataset("SP500_HERE").glob("*/1d.parquet"))).write_bytes(b"x")
    damaged = runner.invoke(app, ["datasets", "check", "SP500_HERE"])
    assert damaged.exit_code == 1
    assert "is missing or damaged" in damaged.stdout
    suggested = runner.invoke(app, ["datasets", "suggest", "SP500"])
    assert "forge datasets add SP500_BEAR_2007_10 -s SP500 --start 2007-10-01" in suggested.stdout
    assert runner.invoke(app, ["datasets", "remove", "SP500_HERE"]).exit_code == 0
    assert "SP500_HERE" not in catalog_path().read_text()


def test_newer_bars_make_a_built_dataset_outdated(home):
    from forge_core.market.datasets.catalog_check import check_dataset

    spec = spec_of("HERE", start="2024-02-01", end="2024-03-01", regime="bull")
    bars = walk(2_000, "1h")
    with BarStore(home.store) as store:
        store.upsert("BTCUSDT", "1h", bars.drop(bars.index[900]), source="x")
        build_dataset(spec, store, home)
        assert check_dataset(spec, store, home).state == "built"
        assert check_dataset(spec, store, home).text == "1 bars missing in 1 gaps"
        store.upsert("BTCUSDT", "1h", bars, source="x")
        assert check_dataset(spec, store, home).state == "outdated"


def test_the_check_says_that_the_sample_can_be_built(project):
    result = runner.invoke(app, ["datasets", "check", "SP500_BEAR_2008"])
    assert result.exit_code == 0, result.stdout
    assert "can be built" in result.stdout
    assert "from the sample that is installed with Forge" in result.stdout
    nothing = runner.invoke(app, ["datasets", "check", "BTCUSDT_BEAR_2022"])
    assert nothing.exit_code == 1
    assert "no bars" in nothing.stdout
