"""The text of one rule: what it reads as, and what is said to a rule that is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.errors import PlayError
from forge_core.features.reference import price_field
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Trend
from forge_core.plays.rules import Scope, number_text, parse_rule, rule_text
from tests.plays.example import refusal, with_rule

FAST = make_reference("ema", {"timeperiod": 12}, timeframe="15m")
SLOW = make_reference("ema", {"timeperiod": 48}, timeframe="1h")
RSI = make_reference("rsi", {"timeperiod": 14}, timeframe="15m")
MIDDLE = make_reference("bbands", {"timeperiod": 20}, timeframe="15m")
UPPER = make_reference("bbands", {"timeperiod": 20}, output="upperband", timeframe="15m")
CLOSE = price_field("close", "15m")
SCOPE = Scope("15m", {"fast": FAST, "slow": SLOW, "rsi": RSI, "bands": MIDDLE, "quick": FAST})


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("fast > slow", Compare(FAST, ">", SLOW)),
        ("fast<slow", Compare(FAST, "<", SLOW)),
        ("  fast   >=  slow ", Compare(FAST, ">=", SLOW)),
        ("fast <= slow", Compare(FAST, "<=", SLOW)),
        ("fast crosses_above slow", Compare(FAST, "crosses_above", SLOW)),
        ("fast crosses_below slow", Compare(FAST, "crosses_below", SLOW)),
        ("close > bands.upperband", Compare(CLOSE, ">", UPPER)),
        ("close > bands", Compare(CLOSE, ">", MIDDLE)),
        ("rsi > 75", Compare(RSI, ">", 75.0)),
        ("rsi > 7_5.5", Compare(RSI, ">", 75.5)),
        ("fast > -0.5", Compare(FAST, ">", -0.5)),
        ("fast>-.5", Compare(FAST, ">", -0.5)),
        ("fast > 1e-3", Compare(FAST, ">", 0.001)),
        ("fast > +30_000", Compare(FAST, ">", 30000.0)),
        ("slow rising 3", Trend(SLOW, "rising", 3)),
        ("volume falling 2", Trend(price_field("volume", "15m"), "falling", 2)),
        ("bands.upperband rising 100", Trend(UPPER, "rising", 100)),
    ],
)
def test_a_rule_reads_as_it_is_written(text, rule):
    assert parse_rule(text, SCOPE) == rule


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30 > rsi", "rsi < 30"),
        ("30 < rsi", "rsi > 30"),
        ("30 >= rsi", "rsi <= 30"),
        ("30 <= rsi", "rsi >= 30"),
        ("30 crosses_above rsi", "rsi crosses_below 30"),
        ("30 crosses_below rsi", "rsi crosses_above 30"),
    ],
)
def test_a_number_on_the_left_changes_sides(written, meant):
    assert parse_rule(written, SCOPE) == parse_rule(meant, SCOPE)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("rsi > clse", "unknown feature 'clse' (did you mean 'close'?); known: "),
        ("RSI > 30", "unknown feature 'RSI' (did you mean 'rsi'?)"),
        ("adx > 25", "declare it under features, as adx: {indicator: adx}"),
        ("zones > close", "declare it under features, as zones: {structure: zones}"),
        ("close > bands.upper", "unknown output 'upper' (did you mean 'upperband'?)"),
        ("close.real > fast", "close is a bar field and has no output 'real'; write close"),
        ("fast == slow", "unknown operator '==': prices are hardly ever equal, use > < >= <="),
        ("fast => slow", "unknown operator '=>': write >="),
        ("fast >> slow", "unknown operator '>>'"),
        ("fast crosses slow", "unknown operator 'crosses' (did you mean 'crosses_"),
        ("fast cross_above slow", "unknown operator 'cross_above' (did you mean 'crosses_above'?)"),
        ("fast crosses above slow", "unknown operator 'crosses above' (did you mean 'crosses_above'?)"),
        ("fast > slow * 1.01", "'*' has no meaning in a rule: rules compare columns, they do not calculate"),
        ("fast > slow*1.01", "'*1.01' has no meaning in a rule"),
        ("fast-slow > 0", "'-slow' has no meaning in a rule"),
        ("20ema > close", "'20ema' has no meaning in a rule"),
        ("rsi > 30%", "'%' has no meaning in a rule"),
        ("max(fast, slow) > close", "has no meaning in a rule"),
        ("__import__('os') > 3", "has no meaning in a rule"),
        ("fast > slow and rsi < 30", "'and': a rule compares two things; list several under all: (and) or any: (or)"),
        ("not rsi > 30", "'not': a rule compares two things"),
        ("fast > slow || rsi < 30", "'||': a rule compares two things"),
        ("slow < fast < close", "two operators, < and <: split it into two rules"),
        ("30 < 70", "two numbers are compared; a rule reads at least one feature"),
        ("fast > fast", "fast is compared with itself"),
        ("slow rising", "rising needs a number of bars, as in 'slow rising 3'"),
        ("slow rising 0", "rising 0: a whole number of bars from 1 to 100 is expected"),
        ("slow rising 2.5", "rising 2.5: a whole number of bars from 1 to 100 is expected"),
        ("slow falling 101", "falling 101: a whole number of bars from 1 to 100 is expected"),
        ("slow rising fast", "rising fast: a whole number of bars from 1 to 100 is expected"),
        ("30 rising 3", "30 is a number; a feature is expected in its place"),
        ("fast", "cannot be parsed; a rule is 'fast > slow', 'rsi crosses_above 30' or 'slow rising 3'"),
        ("> 30", "cannot be parsed"),
        ("fast slow", "cannot be parsed"),
        ("rsi > 1__0", "'1__0' is not a number"),
        ("rsi > 1e999", "1e999 is too large for a number"),
        ("rsi > nan", "unknown feature 'nan'"),
        ("", "the rule is empty; a rule is 'fast > slow'"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_line_and_what_would_be_right(rule, why):
    message = refusal(with_rule(rule))
    assert message.startswith(f"example.yaml:11: entry.long: {rule!r}: ")
    assert why in message


def test_two_names_of_one_column_are_the_same_column():
    with pytest.raises(PlayError, match="fast is compared with quick, which is the same column"):
        parse_rule("fast > quick", SCOPE)


@settings(deadline=None)
@given(st.text(alphabet="fastslowr i_.<>=0123456789e+-*()and\n\"'é", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_rule_or_a_play_error(text):
    try:
        rule = parse_rule(text, SCOPE)
    except PlayError:
        return
    assert isinstance(rule, Compare | Trend)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_without_loss(value):
    names = {FAST: "fast", RSI: "rsi"}
    rule = Compare(FAST, ">", value)
    assert parse_rule(rule_text(rule, names.__getitem__), SCOPE) == rule


def test_whole_numbers_are_written_without_a_point():
    assert [number_text(v) for v in (30.0, 30, -0.5, 1e-7, 1e300)] == ["30", "30", "-0.5", "1e-07", "1e+300"]
