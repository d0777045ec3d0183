"""``forge play``, as a user types it."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import forge_core
from forge_core.cli.main import app
from forge_core.market.datasets.build import ensure_dataset
from forge_core.plays.parser import load_play

EMA = "studies/plays/ema_cross.yaml"


@pytest.fixture
def forge(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["play", *words])
        assert result.exit_code == code, result.output
        return result.output

    return run


def metrics(text):
    return [entry["metrics"] for entry in json.loads(text)]


def test_several_plays_and_datasets_are_one_table(forge):
    shown = forge("backtest", EMA, "-d", "SP500_BEAR_2008", "-d", "SP500_BULL_2013")
    assert [line.split()[:2] for line in shown.splitlines()] == [
        ["play", "data"],
        ["ema_cross", "SP500_BEAR_2008"],
        ["ema_cross", "SP500_BULL_2013"],
    ]
    both = forge("backtest", EMA, "studies/plays/band_breakout.yaml", "-d", "SP500_BEAR_2008", code=1)
    assert "ema_cross" in both
    assert "band_breakout.yaml on SP500_BEAR_2008: dataset SP500_BEAR_2008 has no 1h bars; it has 1d, 1w" in both


def test_costs_and_cash_are_those_of_the_options(forge):
    (own,) = metrics(forge("backtest", EMA, "-d", "SP500_BEAR_2008", "--json"))
    assert own == dict(forge_core.backtest(EMA, "SP500_BEAR_2008").metrics)
    (dear,) = metrics(
        forge("backtest", EMA, "-d", "SP500_BEAR_2008", "--json", "--commission-bps", "50", "--slippage-bps", "20")
    )
    costs = forge_core.Costs(commission_bps=50, slippage_bps=20, borrow_rate=0.01)
    assert dear == dict(forge_core.backtest(EMA, "SP500_BEAR_2008", costs=costs).metrics)
    assert "--no-costs excludes" in forge(
        "backtest", EMA, "-d", "SP500_BEAR_2008", "--no-costs", "--slippage-bps", "1", code=1
    )


def test_a_window_trades_its_bars_only_and_warms_up_before_them(forge):
    shown = json.loads(
        forge("backtest", EMA, "-d", "SP500_BEAR_2008", "--json", "--start", "2008-06-02", "--end", "2008-12-01")
    )[0]
    assert shown["first_close"].startswith("2008-06-03")
    assert shown["last_close"] == "2008-11-29T00:00:00+00:00"  # the end is excluded
    version = ensure_dataset("SP500_BEAR_2008")
    bars = version.bars("1d")[:"2008-11-30"]
    whole = forge_core.backtest(EMA, bars, instrument="SP500")
    inside = whole.trades[whole.trades["entry_time"] > "2008-07"]["entry_price"].tolist()
    assert shown["metrics"]["total_trades"] >= len(inside)
    assert "no bar between" in forge("backtest", EMA, "-d", "SP500_BEAR_2008", "--start", "2030-01-01", code=1)
    assert "is not before end" in forge(
        "backtest", EMA, "-d", "SP500_BEAR_2008", "--start", "2009-01-01", "--end", "2008-01-01", code=1
    )
    assert "start is 'soon'" in forge("backtest", EMA, "-d", "SP500_BEAR_2008", "--start", "soon", code=1)


def test_a_file_of_bars_is_traded_and_replayed_on_finer_ones(forge, tmp_path):
    play = tmp_path / "levels.yaml"
    play.write_text(
        "name: levels\ntimeframe: 1h\nfeatures: {fast: {indicator: ema, timeperiod: 5}}\n"
        "entry: {long: close > fast}\nrisk: {stop: {percent: 0.002}, take_profit: {percent: 0.002}}\n"
    )
    minutes = walk_minutes()
    hours = minutes.resample("1h").agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    files = {}
    for name, frame in (("hours", hours), ("minutes", minutes)):
        files[name] = tmp_path / f"{name}.parquet"
        frame.to_parquet(files[name])
    terms = ["--bars", str(files["hours"]), "--json", "--no-costs"]
    (strict,) = metrics(forge("backtest", str(play), *terms))
    (replayed,) = metrics(forge("backtest", str(play), *terms, "--policy", "replay", "--finer", str(files["minutes"])))
    expected = forge_core.backtest(
        load_play(play), hours, costs=forge_core.Costs.zero(), policy="replay", finer=minutes
    )
    assert replayed == dict(expected.metrics)
    assert replayed["total_return"] > strict["total_return"]  # the pessimistic policy takes the stop in every such bar
    assert "give a file with --finer" in forge("backtest", str(play), *terms, "--policy", "replay", code=1)
    assert "expected either datasets" in forge("backtest", str(play), code=1)


def walk_minutes() -> pd.DataFrame:
    """Minutes of a random walk with ranges of a few cents."""
    import numpy as np

    rng = np.random.default_rng(5)
    index = pd.date_range("2024-01-01", periods=60 * 24 * 10, freq="1min", tz="UTC", name="timestamp")
    close = 100.0 * np.exp(np.cumsum(0.0004 * rng.standard_normal(len(index))))
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.0001, np.minimum(open_, close) * 0.9999
    return pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": 1e9}, index=index)
