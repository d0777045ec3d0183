"""From YAML to a Play: the forms a file can take, and what is said of a file that is wrong."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.errors import PlayError
from forge_core.features.reference import price_field
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Size
from forge_core.plays.parser import load_play, parse_play
from tests.plays.example import TEXT, change, refusal

FAST = make_reference("ema", {"timeperiod": 12}, timeframe="15m")
SLOW = make_reference("ema", {"timeperiod": 48}, timeframe="1h")
RSI = make_reference("rsi", {}, timeframe="15m")
CLOSE = price_field("close", "15m")


def test_the_design_s_play_reads_as_its_model():
    play = parse_play("""
name: ema_rsi_zones
timeframe: 15m
features:
  fast: {indicator: ema, timeperiod: 12}
  slow: {indicator: ema, timeperiod: 48, timeframe: 1h}
  rsi:  {indicator: rsi, timeperiod: 14}
  zone: {structure: zones, lookback: 20, output: support}
entry:
  long:  {all: ["fast > slow", "rsi crosses_above 30", "close > zone"]}
  short: {all: ["fast < slow", "rsi crosses_below 70"]}
exit:
  long:  {any: ["rsi > 75"]}
risk:
  size: {fraction: 1.0}          # or notional, contracts, risk (share of equity lost at the stop)
  stop: {atr: 2.5}               # or percent, ticks
  take_profit: {atr: 5.0}
  trailing: {percent: 0.03}
  max_bars: 200
""")
    zone = make_reference("zones", {"lookback": 20}, output="support", timeframe="15m")
    assert play == Play(
        name="ema_rsi_zones",
        timeframe="15m",
        entry_long=Group(3, (Compare(FAST, ">", SLOW), Compare(RSI, "crosses_above", 30.0), Compare(CLOSE, ">", zone))),
        entry_short=Group(2, (Compare(FAST, "<", SLOW), Compare(RSI, "crosses_below", 70.0))),
        exit_long=Group(1, (Compare(RSI, ">", 75.0),)),
        risk=Risk(
            size=Size("fraction", 1.0),
            stop=Distance("atr", 2.5, 14),
            take_profit=Distance("atr", 5.0, 14),
            trailing=Distance("percent", 0.03),
            max_bars=200,
        ),
        features={"fast": FAST, "slow": SLOW, "rsi": RSI, "zone": zone},
    )


def test_a_play_needs_little_and_has_sound_defaults():
    play = parse_play("{name: x, timeframe: 1d, entry: {long: close rising 2, short: close falling 2}}")
    assert (play.risk, play.sides, play.warmup_bars, play.features) == (Risk(), "both", 0, {})


@pytest.mark.parametrize(
    ("written", "group"),
    [
        ("a > b", lambda a, b, c: Group(1, (a,))),
        ("[a > b]", lambda a, b, c: Group(1, (a,))),
        ("[a > b, b > c]", lambda a, b, c: Group(2, (a, b))),
        ("{all: [a > b, b > c]}", lambda a, b, c: Group(2, (a, b))),
        ("{any: [a > b, b > c, a > c]}", lambda a, b, c: Group(1, (a, b, c))),
        ("{at_least: 2, of: [a > b, b > c, a > c]}", lambda a, b, c: Group(2, (a, b, c))),
        ("{any: [a > b, {all: [b > c, a > c]}]}", lambda a, b, c: Group(1, (a, Group(2, (b, c))))),
        ("{any: [a > b, [b > c, a > c]]}", lambda a, b, c: Group(1, (a, Group(2, (b, c))))),
        ("{any: [{any: [a > b]}]}", lambda a, b, c: Group(1, (Group(1, (a,)),))),
    ],
)
def test_rules_are_put_together_with_all_any_and_at_least(written, group):
    features = {name: {"indicator": "sma", "timeperiod": period} for name, period in (("a", 5), ("b", 6), ("c", 7))}
    mapping = {"name": "x", "timeframe": "1h", "features": features, "risk": {"max_bars": 5}}
    play = parse_play({**mapping, "entry": {"long": yaml.safe_load(written)}})
    a, b, c = (play.features[name] for name in "abc")
    assert play.entry_long == group(Compare(a, ">", b), Compare(b, ">", c), Compare(a, ">", c))


@pytest.mark.parametrize(
    ("written", "risk"),
    [
        ("{size: {fraction: 0.5}}", Risk(Size("fraction", 0.5))),
        ("{size: {notional: 10000}}", Risk(Size("notional", 10000.0))),
        ("{size: {contracts: 2}}", Risk(Size("contracts", 2.0))),
        ("{size: {risk: 0.01}}", Risk(Size("risk", 0.01))),
        ("{stop: {atr: 2, timeperiod: 20}}", Risk(stop=Distance("atr", 2.0, 20))),
        ("{stop: {percent: 1e-3}}", Risk(stop=Distance("percent", 0.001))),  # text to YAML 1.1, a number to all others
        ("{take_profit: {percent: 1.5}}", Risk(take_profit=Distance("percent", 1.5))),
        ("{trailing: {ticks: 40}}", Risk(trailing=Distance("ticks", 40.0))),
        ("{max_bars: 10, cooldown: 3}", Risk(max_bars=10, cooldown=3)),
    ],
)
def test_risk_settings(written, risk):
    value = {"stop": {"atr": 2.5}, **yaml.safe_load(written)}
    expected = risk if risk.stop else replace(risk, stop=Distance("atr", 2.5))
    assert parse_play({**yaml.safe_load(TEXT), "risk": value}).risk == expected


def test_a_feature_has_the_play_s_timeframe_and_the_default_output_unless_it_says_otherwise():
    play = parse_play(TEXT)
    assert play.features["fast"].timeframe == "15m"
    assert play.features["slow"].timeframe == "1h"
    assert play.features["bands"].output == "middleband"
    upper = parse_play(change("bbands, timeperiod: 20", "bbands, timeperiod: 20, output: upperband"))
    assert upper.features["bands"].output == "upperband"


def test_every_parameter_is_resolved_so_that_equal_columns_are_equal():
    short = parse_play(change("indicator: macd", "indicator: macd"))
    long = parse_play(change("indicator: macd", "indicator: macd, signalperiod: 9, fastperiod: 12.0, slowperiod: 26"))
    assert short.features["macd"] == long.features["macd"]
    assert short.features["macd"].params == (("fastperiod", 12), ("slowperiod", 26), ("signalperiod", 9))


def test_a_bar_field_of_a_coarser_timeframe_is_a_feature():
    play = parse_play(change("atr: {indicator: atr}", "daily: {price: close, timeframe: 1d}"))
    assert play.features["daily"] == price_field("close", "1d")


def test_a_mapping_reads_like_its_text():
    assert parse_play(yaml.safe_load(TEXT)) == parse_play(TEXT)


def test_the_description_is_for_the_file_s_reader(tmp_path):
    path = tmp_path / "play.yaml"
    path.write_text("description: Überkreuzung\n" + TEXT, encoding="utf-8")
    assert load_play(path) == parse_play(TEXT)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: example", "name: ../example", "example.yaml:1: name: name '../example' is not allowed"),
        ("name: example", "nmae: example", "example.yaml:1: unknown key 'nmae' (did you mean 'name'?)"),
        (
            "timeframe: 15m",
            "timeframe: 15min",
            "example.yaml:2: timeframe: timeframe '15min' is not one of",
        ),
        ("timeframe: 15m", "timeframe: 15", "example.yaml:2: timeframe: Input should be a valid string, got 15"),
        # features
        (
            "indicator: rsi",
            "indicator: rsy",
            "example.yaml:6: features.rsi: unknown indicator 'rsy' (did you mean 'rsi'",
        ),
        (
            "indicator: rsi",
            "indicator: RSI",
            "features.rsi: unknown indicator 'RSI' (did you mean 'rsi'?)",
        ),
        (
            "indicator: rsi",
            "structure: rsi",
            "example.yaml:6: features.rsi: rsi is not of kind structure; write indicator: rsi",
        ),
        ("indicator: rsi", "indicatr: rsi", "(did you mean 'indicator'?)"),
        (
            "indicator: rsi, ",
            "",
            "example.yaml:6: features.rsi: one of indicator, structure, price, calendar, relative is required",
        ),
        (
            "indicator: rsi",
            "indicator: rsi, price: close",
            "exactly one of indicator, structure, price, calendar, relative is expected",
        ),
        (
            "rsi, timeperiod: 14",
            "rsi, timeperod: 14",
            "example.yaml:6: features.rsi: rsi: unknown parameter 'timeperod' (did you mean 'timeperiod'?)",
        ),
        ("rsi, timeperiod: 14", "rsi, timeperiod: 1", "rsi: timeperiod is 1; it must be a whole number from 2"),
        ("rsi, timeperiod: 14", "rsi, timeperiod: 14.5", "rsi: timeperiod is 14.5; it must be a whole number"),
        ("rsi, timeperiod: 14", "rsi, timeperiod: .inf", "Input should be a finite number"),
        ("rsi, timeperiod: 14", "rsi, timeperiod: true", "a number is expected, got True"),
        ("timeframe: 1h", "timefame: 1h", "timefame: '1h' is neither a key of a feature (did you mean 'timeframe'?)"),
        (
            "timeframe: 1h",
            "timeframe: 5m",
            "example.yaml:5: features.slow: ema is computed from 5m bars, finer than",
        ),
        ("bbands, timeperiod: 20", "bbands, output: upper", "unknown output 'upper' (did you mean 'upperband'?)"),
        (
            "fast: {",
            "close: {",
            "example.yaml:4: features.close: feature name 'close' is reserved: in a rule it",
        ),
        ("fast: {", "rising: {", "feature name 'rising' is reserved: it is a keyword of the rules"),
        ("fast: {", "And: {", "feature name 'And' is reserved: it is a keyword of the rules"),
        ("fast: {", "my-ema: {", "feature name 'my-ema' is not allowed: use letters, digits and '_'"),
        (
            "rsi: {indicator: rsi, timeperiod: 14}",
            "rsi: 14",
            "a mapping such as {indicator: ema, timeperiod: 20} is expected",
        ),
        # rules
        (
            "long: fast > slow",
            "long: 5",
            "example.yaml:11: entry.long: a rule such as 'fast > slow', a list of",
        ),
        ("long: fast > slow", "long: {al: [fast > slow]}", "{any: [...]} or {at_least: 2, of: [...]} is expected"),
        ("long: fast > slow", "lnog: fast > slow", "example.yaml:11: unknown key 'entry.lnog' (did you mean 'long'?)"),
        ("long: fast > slow", "long: []", "example.yaml:11: entry.long: List should have at least 1 item"),
        ("- rsi > 75", "- {all: []}", "example.yaml:15: exit.long.any.0.all: List should have at least 1 item"),
        ("- rsi > 75", "- yes", "example.yaml:15: exit.long.any.0: a rule such as 'fast > slow'"),
        (
            "- close < slow",
            "- {any: [rsi > 80, rsi >> 90]}",
            "example.yaml:16: exit.long.any.any: 'rsi >> 90': ",
        ),
        ("- rsi > 75", "- {of: [rsi > 75]}", "example.yaml:15: exit.long.any.0.at_least is missing"),
        (
            "- rsi > 75",
            "- {at_least: 2, of: [rsi > 75]}",
            "example.yaml:15: exit.long.any.0: at_least is 2, but there are only 1 rules",
        ),
        ("- rsi > 75", "- {at_least: 0, of: [rsi > 75]}", "exit.long.any.0.at_least: Input should be greater than or"),
        ("- rsi > 75", "- {at_least: 1, of: [rsi > 75], all: [rsi > 75]}", "unknown key"),
        # risk
        (
            "stop: {atr: 2.5}",
            "stop: {artr: 2.5}",
            "example.yaml:18: unknown key 'risk.stop.artr' (did you mean 'atr'",
        ),
        ("stop: {atr: 2.5}", "stop: {}", "risk.stop: exactly one of percent, atr, ticks is expected, got none"),
        (
            "stop: {atr: 2.5}",
            "stop: {atr: 2, ticks: 3}",
            "exactly one of percent, atr, ticks is expected, got atr and t",
        ),
        ("stop: {atr: 2.5}", "stop: {atr: 0}", "risk.stop.atr: Input should be greater than 0, got 0"),
        ("stop: {atr: 2.5}", "stop: {atr: .nan}", "risk.stop.atr: Input should be"),
        (
            "stop: {atr: 2.5}",
            "stop: {atr: 2.5, timeperiod: 0}",
            "risk.stop.timeperiod: Input should be greater than",
        ),
        (
            "stop: {atr: 2.5}",
            "stop: {percent: 3}",
            "stop.percent: a fraction below 1 is expected (0.03 is 3 %), got 3",
        ),
        ("stop: {atr: 2.5}", "trailing: {percent: 1.0}", "risk.trailing.percent: a fraction below 1 is expected"),
        ("stop: {atr: 2.5}", "stop: {percent: -0.1}", "risk.stop.percent: Input should be greater than 0"),
        ("stop: {atr: 2.5}", "stop: {percent: 0.1, timeperiod: 5}", "risk.stop: timeperiod belongs to atr"),
        (
            "stop: {atr: 2.5}",
            "take_profit: {percent: 11}",
            "risk.take_profit.percent: Input should be less than or",
        ),
        ("stop: {atr: 2.5}", "size: {fraction: 0}", "risk.size.fraction: Input should be greater than 0"),
        ("stop: {atr: 2.5}", "size: {risk: 2}", "risk.size.risk: a fraction below 1 is expected"),
        ("stop: {atr: 2.5}", "size: {fraction: 1, risk: 0.1}", "exactly one of fraction, notional, contracts, risk"),
        ("stop: {atr: 2.5}", "max_bars: 0", "risk.max_bars: Input should be greater than or equal to 1"),
        ("stop: {atr: 2.5}", "max_bars: 2.5", "risk.max_bars: Input should be a valid integer, got 2.5"),
        ("stop: {atr: 2.5}", "max_bars: true", "risk.max_bars: Input should be a valid integer, got True"),
        ("stop: {atr: 2.5}", "cooldown: -1", "risk.cooldown: Input should be greater than or equal to 0"),
        ("risk:", "sides: bth\nrisk:", "example.yaml:17: sides: Input should be 'both', 'long' or 'short', got 'bth'"),
        ("risk:", "warmup_bars: -1\nrisk:", "example.yaml:17: warmup_bars: Input should be greater than or equal to 0"),
        # YAML itself
        ("  rsi: {", "  fast: {", "example.yaml:6: not valid YAML: duplicate key 'fast'"),
        ("name: example", "name: [example", "not valid YAML"),
        ("name: example", "name: {{name}}", "example.yaml:1: not valid YAML: {'name': None} cannot be a key"),
        ("name: example", "name: 2024-13-45", "example.yaml: not valid YAML: month must be in 1..12"),
        ("name: example", "name: \x00", "example.yaml: not valid YAML: unacceptable character"),
        ("rsi, timeperiod: 14", "rsi, timeperiod: " + "9" * 400, "features.rsi.timeperiod: a number is expected"),
        (TEXT, "- a\n- b\n", "example.yaml: a mapping of keys is expected"),
        (TEXT, "", "example.yaml: a mapping of keys is expected"),
        (TEXT, "name: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line_and_what_would_be_right(old, new, message):
    assert message in refusal(change(old, new))


def test_every_fault_of_a_stage_is_reported_at_once():
    text = TEXT.replace("rsi > 75", "rsy > 75").replace("close < slow", "close = slow")
    assert [line.split(":")[1] for line in refusal(text).splitlines()] == ["15", "16"]


def test_the_line_is_that_of_the_rule_in_whatever_form_it_is_written():
    for entry in (
        "long: clse > slow",
        "long: [fast > slow,\n clse > slow]",
        "long:\n  - fast > slow\n  - clse > slow",
        "long: {any: [fast > slow,\n clse > slow]}",
        "long:\n   - any:\n      - at_least: 1\n        of: [\n          clse > slow]",
    ):
        text = change("long: fast > slow", entry)
        line = 1 + next(i for i, content in enumerate(text.splitlines()) if "clse" in content)
        assert refusal(text).startswith(f"example.yaml:{line}: entry.long")


def test_a_play_without_a_source_is_called_play():
    with pytest.raises(PlayError, match=r"^Play:2: timeframe: "):
        parse_play(change("timeframe: 15m", "timeframe: 0m"))


@pytest.mark.parametrize("value", [None, 5, ["name"], {}, {"name": "x"}])
def test_what_is_no_play_at_all_is_refused(value):
    with pytest.raises(PlayError, match=r"^Play: "):
        parse_play(value)


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 30), st.text("abtl {}[]:,'\"-\n>!&*|%@5.", max_size=8))
def test_a_damaged_file_is_a_play_or_a_play_error(start, length, patch):
    message = ""
    try:
        assert isinstance(parse_play(TEXT[:start] + patch + TEXT[start + length :], "damaged.yaml"), Play)
    except PlayError as error:
        message = str(error)
    assert all(line.startswith("damaged.yaml") for line in message.splitlines())


def test_load_play_names_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(PlayError, match=r"none\.yaml: cannot be read \(No such file or directory\)"):
        load_play(tmp_path / "none.yaml")
    with pytest.raises(PlayError, match="cannot be read"):
        load_play(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xfc")
    with pytest.raises(PlayError, match=r"latin\.yaml: not UTF-8 text"):
        load_play(tmp_path / "latin.yaml")
