"""The exported Python file, executed, gives the trades of Forge with relaxed fill rules."""

import numpy as np
import pandas as pd
import pytest

import forge_core
from forge_core.engine.costs import Costs
from forge_core.errors import ConfigError
from forge_core.exporting.python_file import python_file
from forge_core.exporting.targets import TARGETS
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.plays.parser import load_play, parse_play
from tests.judging.test_signal import BASE, PLAYS
from tests.reports.bars import walk

COIN = Instrument(symbol="SIMCOIN", kind="spot", tick=0.01, lot=1e-6, commission_bps=5, slippage_bps=2, borrow_rate=0.1)
COLUMNS = ["entry_time", "entry_price", "exit_time", "exit_price", "side", "quantity", "exit_reason", "net_pnl"]
MORE = {
    "risk size and ticks": (
        "entry: {long: fast > slow, short: fast < slow}\n"
        "risk: {size: {risk: 0.02}, stop: {ticks: 150}, take_profit: {ticks: 300}, trailing: {atr: 3, timeperiod: 7}}\n"
    ),
    "notional, both sides and streaks": (
        "entry: {long: {at_least: 2, of: [slow rising 2, rsi > 50, volume > 1]}, short: fast falling 3}\n"
        "exit: {short: rsi crosses_above 30}\nrisk: {size: {notional: 20000}}\nsides: short\n"
    ),
    "contracts": "entry: {long: rsi < 40}\nrisk: {size: {contracts: 3}, max_bars: 4, take_profit: {percent: 0.01}}\n",
}


def trades_of(source: str, bars: pd.DataFrame) -> pd.DataFrame:
    names = {"__name__": "exported"}
    exec(compile(source, "exported.py", "exec"), names)
    return names["run"](bars)


def assert_same(play, bars, instrument=COIN, costs=None):
    found = trades_of(python_file(play, instrument, costs), bars)
    expected = forge_core.backtest(
        play, bars, instrument=instrument, costs=costs, fills=forge_core.FillRules.relaxed()
    ).trades
    assert len(found) == len(expected)
    pd.testing.assert_frame_equal(
        found[COLUMNS], expected[COLUMNS], check_dtype=False, check_exact=False, rtol=1e-9, atol=1e-6
    )
    return expected


SAME = {name: rules for name, rules in (PLAYS | MORE).items() if name != "hours"}


@pytest.mark.parametrize("rules", SAME.values(), ids=SAME)
def test_the_trades_are_the_same(rules):
    assert len(assert_same(parse_play(BASE + rules), walk(1_500))) > 20


def test_the_example_play_trades_the_same():
    play = load_play("studies/plays/ema_cross.yaml")
    bars = walk(1_000)
    days = pd.Timestamp("2020-01-01", tz="UTC") + np.arange(len(bars)) * pd.Timedelta(days=1)
    bars.index = pd.DatetimeIndex(days, name="timestamp")
    assert_same(play, bars, costs=Costs(commission_bps=1, slippage_bps=1))


def test_the_file_runs_as_a_program(tmp_path, monkeypatch, capsys):
    play = parse_play(BASE + PLAYS["always in"])
    bars = walk(300)
    bars.to_csv(tmp_path / "bars.csv")
    source = python_file(play, COIN)
    monkeypatch.setattr("sys.argv", ["play.py", str(tmp_path / "bars.csv")])
    exec(compile(source, "play.py", "exec"), {"__name__": "__main__"})
    assert "net profit" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["python", "pine"])
def test_hours_and_transforms_are_refused_by_name(target):
    play = parse_play(
        BASE + "  far: {indicator: rsi, timeperiod: 14, transform: {zscore: 100}}\n"
        "entry: {long: far > 1}\nexit: {long: fast < slow}\nwhen: {from: '08:00', to: '16:00'}\nflat_by: '20:00'\n"
    )
    with pytest.raises(ConfigError, match=r"\(when\); .*\(flat_by\); the transform of "):
        TARGETS[target](play, COIN)


@pytest.mark.parametrize(
    ("rules", "instrument", "message"),
    [
        ("entry: {long: close > zone}\nexit: {long: close < fast}\n", COIN, "the structure zones"),
        ("entry: {long: fast > slow}\nexit: {long: fast < week}\n", COIN, r"ema\(5\)@1d of another timeframe"),
        (PLAYS["always in"], get_instrument("ES"), "futures .margin, rolls, funding.* commission per contract"),
    ],
)
def test_what_it_cannot_express_is_refused_by_name(rules, instrument, message):
    features = "  zone: {structure: zones}\n  week: {indicator: ema, timeperiod: 5, timeframe: 1d}\n"
    with pytest.raises(ConfigError, match=message):
        python_file(parse_play(BASE + features + rules), instrument)
