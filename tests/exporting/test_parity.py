"""The exported strategies in the programs they are for: freqtrade's own backtest, and Pine in PineTS.

Both are installed apart from Forge, because their requirements exclude Forge's; docs/exporting.md says how.
"""

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

import forge_core
from forge_core.exporting.freqtrade import class_name, freqtrade_strategy
from forge_core.exporting.pine import pine_script
from forge_core.plays.parser import parse_play
from tests.exporting.test_python_file import COIN
from tests.judging.test_signal import BASE
from tests.reports.bars import walk

FREQTRADE, PINETS = os.environ.get("FORGE_FREQTRADE"), os.environ.get("FORGE_PINETS")
HERE = Path(__file__).parent
FREE = COIN.model_copy(update={"commission_bps": 10.0, "slippage_bps": 0.0, "borrow_rate": 0.0})
VOTES = (
    "entry: {long: {at_least: 2, of: [slow rising 2, rsi crosses_below 60, close > fast]}}\n"
    "exit: {long: {any: [rsi > 75, fast falling 3]}}\n"
)

Times = set[tuple[pd.Timestamp, pd.Timestamp]]


def times_of_forge(play, bars) -> Times:
    """Return entry and exit times; a position that the end of the data closes is left out."""
    trades = forge_core.backtest(play, bars, instrument=FREE, fills=forge_core.FillRules.relaxed()).trades
    trades = trades[trades["exit_reason"] != "end_of_data"]
    return set(zip(trades["entry_time"], trades["exit_time"], strict=True))


@pytest.mark.extras
@pytest.mark.skipif(not FREQTRADE, reason="FORGE_FREQTRADE is not the Python of an environment with freqtrade")
@pytest.mark.parametrize(
    ("rules", "differ"),
    [
        (VOTES + "risk: {size: {notional: 10000}}\n", 0),
        ("entry: {long: rsi crosses_above 40}\nrisk: {size: {notional: 10000}, max_bars: 8}\n", 0),
        # freqtrade counts fees into the ratio that its target is compared with
        (
            "entry: {long: rsi crosses_above 40}\nexit: {long: rsi > 65}\n"
            "risk: {size: {notional: 10000}, stop: {percent: 0.015}, take_profit: {percent: 0.02}}\n",
            5,
        ),
    ],
    ids=["rules", "time limit", "levels"],
)
def test_freqtrade_enters_and_leaves_at_the_same_bars(rules, differ, tmp_path):
    play, bars = parse_play(BASE + rules), walk(1_500)
    strategy, table, out = tmp_path / "strategy.py", tmp_path / "bars.feather", tmp_path / "out.json"
    strategy.write_text(freqtrade_strategy(play, FREE))
    bars.reset_index().to_feather(table)
    script = [str(FREQTRADE), str(HERE / "freqtrade_backtest.py")]
    given = [str(strategy), class_name(play), str(table), "0.001", str(out)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([*script, *given], check=True, capture_output=True, env=environment)
    rows = [row for row in json.loads(out.read_text()) if row["exit_reason"] != "force_exit"]  # the end of the data
    found = {(pd.Timestamp(row["open_date"]), pd.Timestamp(row["close_date"])) for row in rows}
    expected = times_of_forge(play, bars)
    assert len(expected) > 50
    assert len(found - expected) <= differ
    assert len(expected - found) <= differ


@pytest.mark.extras
@pytest.mark.skipif(not PINETS, reason="FORGE_PINETS is not a folder with node_modules/pinets")
@pytest.mark.parametrize(
    "rules",
    [
        "entry: {long: fast crosses_above slow, short: fast crosses_below slow}\nrisk: {size: {fraction: 0.5}}\n",
        VOTES + "risk: {size: {fraction: 0.5}}\n",
        "entry: {long: rsi crosses_above 40}\nrisk: {size: {fraction: 0.5}, max_bars: 8, cooldown: 3}\n",
        "entry: {long: rsi crosses_above 40}\n"
        "risk: {size: {fraction: 0.5}, stop: {atr: 2}, take_profit: {atr: 3}, max_bars: 30}\n",
    ],
    ids=["both sides", "votes", "limits", "levels"],
)
def test_pine_enters_and_leaves_at_the_same_bars(rules, tmp_path):
    # the warm-up lets averages that start from another first value agree
    play, bars = parse_play(BASE + rules + "warmup_bars: 150\n"), walk(1_500)
    script, table = tmp_path / "play.pine", tmp_path / "bars.json"
    script.write_text(pine_script(play, FREE).replace("syminfo.mintick", "0.01"))  # PineTS has none without a provider
    opened = (bars.index - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(1, unit="ms")
    columns = [bars[name] for name in ("open", "high", "low", "close", "volume")]
    names = ("openTime", "open", "high", "low", "close", "volume")
    rows = [dict(zip(names, row, strict=True)) for row in zip(opened.tolist(), *columns, strict=True)]
    table.write_text(json.dumps([{**row, "closeTime": row["openTime"] + 3_599_999} for row in rows]))
    command = ["node", str(HERE / "pine_backtest.mjs"), str(PINETS), str(table), str(script)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    closed = json.loads(output.splitlines()[-1])
    times = ([pd.Timestamp(trade[key], unit="ms", tz="UTC") for key in ("entry_time", "exit_time")] for trade in closed)
    found = {tuple(pair) for pair in times}
    assert found == times_of_forge(play, bars)
    assert len(found) > 40
