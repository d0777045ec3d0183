"""``forge instruments``: listing and adding, with the rest of the file unchanged."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.market.reference.instruments import load_instruments

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    monkeypatch.setenv("FORGE_PROJECT", str(tmp_path))
    return tmp_path / "datasets" / "instruments.yaml"


def forge(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["instruments", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_all_instruments_are_listed(project):
    shown = forge("list")
    assert all(symbol in shown for symbol in load_instruments())


def test_an_instrument_like_another_is_added_and_nothing_else_changes(project):
    before, known = project.read_text(), load_instruments()
    forge("add", "XRPUSDT", "--like", "BTCUSDT", "--set", "tick=0.0001", "--set", "description=Ripple: spot")
    after = load_instruments()
    assert project.read_text().startswith(before.rstrip("\n"))
    assert {symbol: after[symbol] for symbol in known} == known
    assert after["XRPUSDT"].tick == 0.0001
    assert after["XRPUSDT"].description == "Ripple: spot"
    assert after["XRPUSDT"].commission_bps == known["BTCUSDT"].commission_bps
    assert "XRPUSDT" in forge("list")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["BTCUSDT", "--like", "ETHUSDT"], "has an instrument BTCUSDT already"),
        (["X", "--like", "BTCUSD"], "unknown symbol 'BTCUSD' in --like"),
        (["X"], "tick"),
        (["X", "--like", "BTCUSDT", "--set", "tik=1"], "tik"),
        (["X", "--like", "BTCUSDT", "--set", "tick"], "expected KEY=VALUE"),
        (["X", "--like", "BTCUSDT", "--set", "tick=-1"], "tick"),
        (["X: y", "--like", "BTCUSDT"], "cannot be changed automatically"),
    ],
)
def test_a_wrong_instrument_is_refused_and_the_file_unchanged(project, words, message):
    before = project.read_text()
    assert message in forge("add", *words, code=1)
    assert project.read_text() == before
