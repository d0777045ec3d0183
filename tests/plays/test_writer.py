"""From a Play back to YAML: as a trader would write it, and the same Play when read again."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings

from forge_core.features.registry import make_reference
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Size, Trend
from forge_core.plays.parser import parse_play, play_to_dict, play_to_yaml
from tests.plays.example import TEXT
from tests.plays.strategies import plays

EMA = make_reference("ema", {"timeperiod": 12}, timeframe="15m")
SLOW = make_reference("ema", {"timeperiod": 48}, timeframe="1h")
RSI = make_reference("rsi", {"timeperiod": 14}, timeframe="15m")
UPPER, LOWER = (
    make_reference("bbands", {"timeperiod": 20, "nbdevup": 2.5}, output=output, timeframe="15m")
    for output in ("upperband", "lowerband")
)
CLOSE, VOLUME, DAILY = (
    make_reference(name, {}, timeframe=timeframe)
    for name, timeframe in (("close", "15m"), ("volume", "15m"), ("close", "1d"))
)
DECODED = Play(
    name="decoded",
    timeframe="15m",
    entry_long=Group(
        3,
        (
            Compare(EMA, ">", SLOW),
            Compare(RSI, "crosses_above", 30.0),
            Group(1, (Compare(CLOSE, "<", LOWER), Trend(VOLUME, "rising", 2))),
        ),
    ),
    entry_short=Group(1, (Compare(CLOSE, ">", UPPER),)),
    exit_long=Group(2, (Compare(CLOSE, ">", DAILY), Compare(RSI, ">", 70.0), Compare(RSI, ">", 62.5))),
    risk=Risk(Size("fraction", 0.5), stop=Distance("atr", 2.5), trailing=Distance("percent", 0.03), max_bars=96),
    sides="long",
    warmup_bars=100,
)


def test_a_decoded_play_reads_as_a_trader_would_write_it():
    assert (
        play_to_yaml(DECODED)
        == """\
name: decoded
timeframe: 15m
features:
  ema_12: {indicator: ema, timeperiod: 12}
  ema_48_1h: {indicator: ema, timeperiod: 48, timeframe: 1h}
  rsi_14: {indicator: rsi, timeperiod: 14}
  bbands_20: {indicator: bbands, timeperiod: 20, nbdevup: 2.5, nbdevdn: 2.0, matype: 0}
  close_1d: {price: close, timeframe: 1d}
entry:
  long:
    all:
      - ema_12 > ema_48_1h
      - rsi_14 crosses_above 30
      - any:
          - close < bbands_20.lowerband
          - volume rising 2
  short: close > bbands_20.upperband
exit:
  long:
    at_least: 2
    of:
      - close > close_1d
      - rsi_14 > 70
      - rsi_14 > 62.5
risk:
  size: {fraction: 0.5}
  stop: {atr: 2.5}
  trailing: {percent: 0.03}
  max_bars: 96
sides: long
warmup_bars: 100
"""
    )


def test_names_that_its_author_gave_are_kept():
    written = play_to_yaml(parse_play(TEXT))
    assert list(yaml.safe_load(written)["features"]) == ["fast", "slow", "rsi", "bands", "macd", "atr"]
    assert "long: fast > slow" in written
    assert parse_play(written) == parse_play(TEXT)


def test_a_name_given_to_one_output_serves_for_the_others():
    play = replace(DECODED, features={"bands": UPPER})
    value = play_to_dict(play)
    assert value["features"]["bands"]["output"] == "upperband"
    assert value["entry"]["short"] == "close > bands"
    assert value["entry"]["long"]["all"][2]["any"][0] == "close < bands.lowerband"


@pytest.mark.parametrize(
    ("params", "names"),
    [
        (({"timeperiod": 20}, {"timeperiod": 30}), ["bbands_20", "bbands_30"]),
        (
            ({"timeperiod": 20}, {"timeperiod": 20, "nbdevup": 2.5}),  # the first parameter does not tell them apart
            ["bbands_20_2_2_0", "bbands_20_2_5_2_0"],
        ),
    ],
)
def test_made_names_are_as_short_as_they_can_be(params, names):
    columns = [make_reference("bbands", p, timeframe="15m") for p in params]
    play = Play("x", "15m", entry_long=Group(1, (Compare(*columns[:1], ">", columns[1]),)), risk=Risk(max_bars=2))
    assert list(play_to_dict(play)["features"]) == names


def test_a_made_name_never_takes_a_given_one():
    play = replace(DECODED, features={"ema_12": SLOW, "rsi_14": RSI})
    value = play_to_dict(play)
    assert value["features"]["ema_12"]["timeperiod"] == 48
    assert value["features"]["ema_12_2"]["timeperiod"] == 12
    assert value["entry"]["long"]["all"][0] == "ema_12_2 > ema_12"


def test_the_dictionary_is_plain_data():
    value = play_to_dict(DECODED)
    assert yaml.safe_load(yaml.safe_dump(value)) == value
    assert parse_play(value) == replace(DECODED, features=parse_play(value).features)


@settings(deadline=None)
@given(plays())
def test_a_play_written_and_read_again_is_the_same_play(play):
    again = parse_play(play_to_yaml(play), "written.yaml")
    assert play_hash(again) == play_hash(play)
    assert replace(again, features={}) == replace(play, features={})
    assert {name: again.features[name] for name in play.features} == dict(play.features)
    assert play_to_yaml(again) == play_to_yaml(play)
