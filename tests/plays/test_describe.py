"""A Play in a line a side."""

from dataclasses import replace

from hypothesis import given, settings

from forge_core.features.registry import make_reference
from forge_core.plays.describe import describe_column, describe_play
from forge_core.plays.model import Distance, Risk, Size
from tests.plays.strategies import plays
from tests.plays.test_writer import DECODED


def test_a_line_for_each_side():
    assert describe_play(replace(DECODED, sides="both")).splitlines() == [
        "long: ema(12) > ema(48)@1h and rsi(14) crosses_above 30 "
        "and (close < bbands(20, 2.5).lowerband or volume rising 2)"
        "; exit 2 of (close > close@1d, rsi(14) > 70, rsi(14) > 62.5)"
        "; stop 2.5 ATR; trail 3 %; at most 96 bars; size fraction 0.5",
        "short: close > bbands(20, 2.5).upperband; stop 2.5 ATR; trail 3 %; at most 96 bars; size fraction 0.5",
    ]


def test_a_side_that_only_closes_says_so():
    assert describe_play(DECODED).splitlines()[1] == "short (only closes long): close > bbands(20, 2.5).upperband"


def test_risk_is_named_where_it_is_not_the_default():
    risk = Risk(Size("risk", 0.01), Distance("atr", 3.0, 20), Distance("ticks", 40.0), cooldown=5)
    text = describe_play(replace(DECODED, risk=risk))
    assert "stop 3 ATR(20); target 40 ticks; cooldown 5 bars; size risk 0.01" in text
    assert describe_play(replace(DECODED, risk=Risk())).endswith(
        "rsi(14) > 62.5)\nshort (only closes long): close > bbands(20, 2.5).upperband"
    )


def test_parameters_at_their_defaults_are_left_out_behind_the_first():
    texts = {
        "macd(12)": make_reference("macd", {}, timeframe="15m"),
        "macd(12, 26, 7).macdhist": make_reference("macd", {"signalperiod": 7}, output="macdhist", timeframe="15m"),
        "obv@4h": make_reference("obv", {}, timeframe="4h"),
    }
    assert {describe_column(column, "15m"): column for column in texts.values()} == texts


@settings(deadline=None)
@given(plays())
def test_any_play_can_be_described(play):
    lines = describe_play(play).splitlines()
    assert [line.split()[0].rstrip(":") for line in lines] == [
        side for side, entry in (("long", play.entry_long), ("short", play.entry_short)) if entry
    ]
