"""A mass test has the bars of one symbol: a strategy that reads another is refused by name."""

from types import SimpleNamespace

import pytest

from forge_core.errors import PlayError
from forge_core.plays.parser import parse_play
from forge_core.sweeps.simulation import Simulator

PLAY = """
name: filtered
timeframe: 1h
features: {x: {FEATURE}}
entry: {long: x crosses_above 50}
exit: {long: x crosses_below 50}
"""


def variant_of(feature: str) -> SimpleNamespace:
    play = parse_play(PLAY.replace("FEATURE", feature))
    return SimpleNamespace(strategy=SimpleNamespace(play=lambda interval, options: play), options=None)


def test_a_strategy_that_reads_another_symbol_is_refused():
    simulator = Simulator(None, SimpleNamespace(interval="1h"))
    assert simulator.play(variant_of("indicator: rsi, transform: {percentile_rank: 20}")).name == "filtered"
    with pytest.raises(PlayError, match="'filtered' reads BTCUSDT; a mass test has the bars of one symbol only"):
        simulator.play(variant_of("indicator: rsi, symbol: BTCUSDT"))
