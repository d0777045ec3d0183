"""Pine and freqtrade: what is written, what is refused, and the signals of the freqtrade strategy."""

import sys
import types

import numpy as np
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.engine.signals.program import link_play
from forge_core.errors import ConfigError
from forge_core.exporting.freqtrade import class_name, freqtrade_strategy
from forge_core.exporting.pine import pine_script
from forge_core.exporting.targets import TARGETS
from forge_core.plays.parser import parse_play
from forge_core.simd.lanes64 import LANES
from tests.exporting.test_python_file import COIN
from tests.judging.test_signal import BASE, feed_of
from tests.reports.bars import walk

LONG = (
    "entry: {long: {at_least: 2, of: [slow rising 2, rsi crosses_below 60, close > fast]}}\n"
    "exit: {long: {any: [rsi > 75, fast falling 3]}}\n"
    "risk: {stop: {percent: 0.03}, take_profit: {percent: 0.05}, max_bars: 20}\n"
)
BOTH = "entry: {long: fast crosses_above slow, short: fast crosses_below slow}\n"
LEVELS = BOTH + "risk: {size: {notional: 1000}, stop: {atr: 2}, trailing: {percent: 0.02}, max_bars: 9, cooldown: 2}\n"


@pytest.fixture
def freqtrade(monkeypatch):
    """A stand-in for freqtrade's base class, which is all that the exported file imports of it."""
    module = types.ModuleType("freqtrade.strategy")
    module.IStrategy = type("IStrategy", (), {})
    monkeypatch.setitem(sys.modules, "freqtrade", types.ModuleType("freqtrade"))
    monkeypatch.setitem(sys.modules, "freqtrade.strategy", module)


def bits(play, feed, group: int) -> np.ndarray:
    """Return where a group of the Play's rules is true, as the engine evaluates it."""
    words = link_play(play, feed).bitmaps.reshape(4, -1)[group]
    places = np.arange(len(feed))
    return (words[places // LANES] >> (places % LANES).astype(np.uint64) & np.uint64(1)).astype(bool)


def test_the_signals_of_the_freqtrade_strategy_are_the_engine_s(freqtrade):
    play = parse_play(BASE + LONG)
    names = {"__name__": "exported"}
    exec(compile(freqtrade_strategy(play, COIN), "exported.py", "exec"), names)
    strategy = names[class_name(play)]()
    bars = walk(600)
    frame = strategy.populate_exit_trend(
        strategy.populate_entry_trend(strategy.populate_indicators(bars.reset_index(), {}), {}), {}
    )
    feed = feed_of(bars)
    late = np.arange(len(bars)) >= strategy.startup_candle_count
    entry, leave = bits(play, feed, 0), bits(play, feed, 2)
    assert entry.sum() > 50 < leave.sum()
    np.testing.assert_array_equal(frame["enter_long"].fillna(0).to_numpy() == 1, entry & ~leave & late)
    np.testing.assert_array_equal(frame["exit_long"].fillna(0).to_numpy() == 1, leave & late)
    assert (strategy.stoploss, strategy.minimal_roi, strategy.can_short) == (-0.03, {"0": 0.05}, False)


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        (BOTH, "entries of both sides"),
        (LEVELS + "sides: long\n", "a stop by atr; a trailing stop .*; a cooldown"),
        ("entry: {long: rsi > 50}\nrisk: {size: {risk: 0.01}, stop: {percent: 0.01}}\n", "a size by risk"),
    ],
)
def test_what_freqtrade_cannot_express_is_refused_by_name(rules, refused):
    with pytest.raises(ConfigError, match=refused):
        freqtrade_strategy(parse_play(BASE + rules), COIN)


def test_a_pine_strategy_has_every_part_of_the_play():
    script = pine_script(parse_play(BASE + LEVELS), COIN)
    assert script.startswith("//@version=6\n")
    for part in (
        "c1 = ta.ema(close, 5)",
        "c2 = ta.ema(close, 13)",
        "bool entryLong1 = ta.crossover(c1, c2)\nbool entryLong = (entryLong1)",
        "bool entryShort1 = ta.crossunder(c1, c2)\nbool entryShort = (entryShort1)",
        "atr14 = ta.atr(14)",
        "default_qty_type = strategy.cash",
        "loss = math.min(2.0 * atr14 / syminfo.mintick, 0.02 * close / syminfo.mintick)",
        "trail_points = 1, trail_offset = 0.02 * close / syminfo.mintick",
        "or held >= 9",
        "sinceExit >= 2",
        "openShort := false",  # a cooldown turns a reversal into a close
        "commission_value = 0.07",
    ):
        assert part in script, part
    assert script.count("(") == script.count(")")
    votes = pine_script(parse_play(BASE + LONG), COIN)
    assert "c1[0] > c1[1] and c1[1] > c1[2]" in votes
    assert "? 1 : 0) + " in votes


@pytest.mark.parametrize(
    ("features", "rules", "refused"),
    [
        ("  k: {indicator: kama, timeperiod: 10}\n", "entry: {long: close > k}\nexit: {long: close < k}\n", "kama"),
        (
            "  b: {indicator: macdext, fastmatype: 1}\n",
            "entry: {long: b.macd > b.macdsignal}\nexit: {long: b.macd < 0}\n",
            "macdext",
        ),
        ("", "entry: {long: rsi > 50}\nrisk: {size: {risk: 0.01}, stop: {percent: 0.01}}\n", "a size by risk"),
    ],
)
def test_what_pine_cannot_express_is_refused_by_name(features, rules, refused):
    with pytest.raises(ConfigError, match=refused):
        pine_script(parse_play(BASE + features + rules), COIN)


def test_the_command_writes_each_target(tmp_path):
    play = tmp_path / "long.yaml"
    play.write_text(BASE + LONG)
    for target in TARGETS:
        path = tmp_path / f"play.{target}"
        outcome = CliRunner().invoke(app, ["play", "export", str(play), "--to", target, "-o", str(path)])
        assert outcome.exit_code == 0, outcome.output
        assert "signals" in path.read_text()
