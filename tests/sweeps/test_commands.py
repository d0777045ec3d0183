"""``forge sweep`` and ``forge roll-dates``, as a user types them."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from tests.sweeps.made import finished, sweep


@pytest.fixture
def forge(futures, monkeypatch):
    """The command, in a home with a finished sweep called mass_test."""
    monkeypatch.setenv("COLUMNS", "250")
    finished(sweep("mass_test", strategies={"ema": {"short_period": [3, 5], "long_period": [13, 21]}}), futures)

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_sweeps_are_listed_with_how_far_they_are(forge):
    lines = forge("sweep", "list").splitlines()
    assert any("mass_test " in line and "complete" in line for line in lines)
    assert any("mass_test_futures" in line and "not run yet" in line for line in lines)
    assert "20 of 20 tests done, 0 failed" in forge("sweep", "status", "mass_test")
    assert "has not been run yet" in forge("sweep", "status", "mass_test_futures", code=1)


def test_an_invalid_sweep_file_is_listed_with_its_error(forge, monkeypatch, tmp_path):
    monkeypatch.setattr("forge_core.study_files.project_root", lambda: tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mass_test.yaml").write_text("symbols: [ZS]\nstrategies: {ema: {}}\n")
    (tmp_path / "studies" / "wrong.yaml").write_text("strategies: {emma: {}}\nsymbols: [ZS]\n")
    shown = forge("sweep", "list")
    assert any("mass_test " in line and "complete" in line for line in shown.splitlines())
    assert any(line.startswith("wrong ") and line.rstrip().endswith("invalid") for line in shown.splitlines())
    assert "wrong.yaml:1: strategies.emma: unknown strategy 'emma'" in shown


def test_the_best_are_shown_with_their_trades_and_days(forge):
    shown = forge("sweep", "top", "mass_test", "--limit", "2", "--symbol", "ZS", "--from", "2023-02")
    assert "neighbour_sharpe" in shown
    assert shown.count("long_period:") == 2
    assert "... 4 in total" in shown
    assert "luck line: the best of" in shown
    assert "parameter_sets" in forge("sweep", "top", "mass_test", "--by-strategy")
    shown = forge("sweep", "top", "mass_test", "--by-strategy", "--split", "symbol").splitlines()
    assert shown[0].split()[:3] == ["strategy", "symbol", "parameter_sets"]
    assert [line.split()[:3] for line in shown[1:]] == [["ema", "ZS", "4"]]
    assert "interval" in forge("sweep", "top", "mass_test", "--split", "interval", "--sort", "win_rate")
    assert "no tests match" in forge("sweep", "top", "mass_test", "--min-trades", "100000")
    assert "unknown symbol 'ZZ'" in forge("sweep", "top", "mass_test", "--symbol", "ZZ", code=1)


def test_a_sweep_that_is_reset_is_tested_again_and_others_keep_their_tests(forge, futures):
    finished(sweep("other", strategies={"ema": {"short_period": [8], "long_period": [13]}}), futures)
    before = forge("sweep", "export", "mass_test", str(futures.root / "before.csv"))
    assert "20 tests deleted" in forge("sweep", "reset", "mass_test", "--yes")
    assert "0 of 20 tests done" in forge("sweep", "status", "mass_test")
    assert "5 of 5 tests done" in forge("sweep", "status", "other")
    assert "0 tests deleted" in forge("sweep", "reset", "mass_test", "--yes")
    finished(sweep("mass_test", strategies={"ema": {"short_period": [3, 5], "long_period": [13, 21]}}), futures)
    assert "20 of 20 tests done" in forge("sweep", "status", "mass_test")
    again = forge("sweep", "export", "mass_test", str(futures.root / "again.csv"))
    assert before.replace("before", "again") == again
    assert (futures.root / "before.csv").read_text() == (futures.root / "again.csv").read_text()


def test_results_are_exported(forge, tmp_path):
    path = tmp_path / "results.parquet"
    assert "20 rows" in forge("sweep", "export", "mass_test", str(path), "--what", "results")
    assert len(pd.read_parquet(path)) == 20
    assert "file name that ends in" in forge("sweep", "export", "mass_test", str(tmp_path / "x.txt"), code=1)


def test_roll_dates_are_imported_shown_and_checked(forge, tmp_path):
    path = tmp_path / "dates.yaml"
    path.write_text("ES: ['2024-03-12T00:00:00']\n_symbol_mappings: {MES: ES}\n")
    assert "has no UTC offset" in forge("roll-dates", "import", str(path), code=1)
    done = forge("roll-dates", "import", str(path), "--trade-dates")
    assert "ES: 1 rolls, 2024-03-11 to 2024-03-11" in done
    assert "MES with ES" in done
    assert "2024-03-11 22:00 UTC" in forge("roll-dates", "show", "MES")
    origins = {line.split()[0]: line.split()[-1] for line in forge("roll-dates", "show").splitlines()[1:]}
    assert origins["ES"].endswith("home/roll_dates.yaml")
    assert origins["CL"].endswith("datasets/roll_dates.yaml")
    assert "100%" in forge("roll-dates", "check", "ZS")
    assert "the store has no bars of ES" in forge("roll-dates", "check", "ES", code=1)
