"""Semantic checks of a Play: comparable scales, no constant rules, an exit for each side entered."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef, price_field
from forge_core.features.registry import make_reference
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Size, Trend
from forge_core.plays.parser import parse_play
from forge_core.plays.validation import check_play
from tests.plays.example import TEXT, change, refusal, with_rule
from tests.plays.strategies import plays

CLOSE = price_field("close", "15m")
EMA = make_reference("ema", {"timeperiod": 12}, timeframe="15m")
RSI = make_reference("rsi", {}, timeframe="15m")


def built(*rules, **changes) -> Play:
    """A Play built from the model, as an evolution does it."""
    play = Play("built", "15m", entry_long=Group(len(rules), rules), risk=Risk(max_bars=10))
    return replace(play, **changes)


def complaint(play: Play) -> str:
    with pytest.raises(PlayError) as error:
        check_play(play)
    return str(error.value)


@settings(deadline=None)
@given(plays())
def test_plays_that_make_sense_pass(play):
    check_play(play)


# --- like with like ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "close > fast",
        "close crosses_above bands.upperband",
        "close > 30_000",
        "close > -37.63",
        "volume > 0",
        "macd.macd > macd.macdsignal",
        "macd.macdhist < -1",
        "close >= high",
        "high > low",
        "rsi > 99.9",
        "rsi <= 0",
        "rsi >= 100",
        "rsi crosses_above 0",
        "rsi crosses_below 100",
        "atr > 12",
        "atr rising 3",
        "rsi falling 3",
        "volume rising 2",
    ],
)
def test_what_may_be_compared(rule):
    parse_play(with_rule(rule))


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("rsi > close", "rsi(14) is bounded by 0 and 100, close is a price: compare like with like, or with a number"),
        ("close crosses_above macd", "close is a price, macd(12) is a swing about zero"),
        ("volume > close", "volume is a volume, close is a price"),
        ("rsi > macd.macdsignal", "rsi(14) is bounded by 0 and 100, macd(12).macdsignal is a swing about zero"),
        ("slow > atr", "ema(48)@1h is a price, atr(14) is on a scale of its own"),
        ("rsi > 150", "this is never true: rsi(14) lies between 0 and 100"),
        ("rsi >= 0", "this is always true: rsi(14) lies between 0 and 100"),
        ("-5 < rsi", "this is always true"),
        ("rsi crosses_above 100", "this is never true"),
        ("atr < 0", "this is never true: atr(14) is never below 0"),
        ("volume >= 0", "this is always true: volume is never below 0"),
        ("low > high", "this is never true: low is never above high"),
        ("close <= high", "this is always true: close is never above high"),
        ("close crosses_above high", "this is never true"),
        ("bands.lowerband > bands.upperband", "this is never true: bbands(20).lowerband is below bbands(20).upperband"),
        (
            "bands.upperband > bands.middleband",
            "this is always true: bbands(20).upperband is above bbands(20) at every",
        ),
        ("bands.middleband crosses_below bands.lowerband", "this is never true"),
        ("macd.macdhist > macd.macd", "macd(12).macdhist is macd(12) minus macd(12).macdsignal: compare macd(12) with"),
    ],
)
def test_what_may_not_be_compared_is_refused_with_its_line(rule, why):
    message = refusal(with_rule(rule))
    assert message.startswith(f"example.yaml:11: entry.long: {rule!r}: ")
    assert why in message


@pytest.mark.parametrize(
    ("one", "operator", "other", "why"),
    [
        (
            ("bbands", {}, "upperband"),
            "<",
            ("sma", {"timeperiod": 20}, None),
            "never true: bbands(20).upperband is above",
        ),
        (
            ("bbands", {}, None),
            ">=",
            ("sma", {"timeperiod": 20}, None),
            "always true: bbands(20) and sma(20) are the same",
        ),
        (("bbands", {}, "upperband"), ">", ("bbands", {"nbdevup": 3, "nbdevdn": 3}, "upperband"), "never true"),
        (("donchian", {}, "upperband"), ">", ("donchian", {"timeperiod": 50}, "upperband"), "never true"),
        (("stochf", {}, "fastk"), ">", ("stochf", {"fastd_period": 9}, "fastk"), "are the same values"),
        (("wma", {"timeperiod": 20}, None), ">", ("donchian", {"timeperiod": 30}, "upperband"), "never true"),
        (("bbands", {}, "upperband"), ">", ("sma", {"timeperiod": 21}, None), None),
        (("bbands", {"matype": 1}, None), ">", ("sma", {"timeperiod": 20}, None), None),
        (("kc", {}, "upperband"), ">", ("bbands", {}, "upperband"), None),
        (("donchian", {}, "upperband"), "<", ("donchian", {"timeperiod": 50}, "upperband"), None),
    ],
)
def test_columns_of_two_features_in_a_known_order_are_refused(one, operator, other, why):
    left, right = (
        make_reference(name, params, output=output, timeframe="15m") for name, params, output in (one, other)
    )
    play = built(Compare(left, operator, right))
    if why is None:
        check_play(play)
    else:
        assert why in complaint(play)


def test_columns_on_scales_of_their_own_compare_with_the_same_indicator_only():
    text = change(
        "  atr: {indicator: atr}\n", "  a: {indicator: atr, timeperiod: 5}\n  b: {indicator: atr, timeperiod: 50}\n"
    )
    parse_play(text.replace("fast > slow", "a > b"))
    text = change("  atr: {indicator: atr}\n", "  a: {indicator: atr}\n  b: {indicator: obv}\n")
    why = "atr(14) and obv have no common scale: compare atr with atr or a number"
    assert why in refusal(text.replace("fast > slow", "a > b"))


@settings(deadline=None)
@given(st.sampled_from([">", "<", ">=", "<=", "crosses_above", "crosses_below"]), st.integers(-2, 6))
def test_a_bound_is_idle_if_and_only_if_no_values_within_the_bounds_can_make_it_differ(operator, number):
    """Against every pair of neighbouring values that trend (bounded by -1 and 1) could take."""
    threshold = number / 2 - 1  # -2 to 2 in halves
    trend = make_reference("trend", {}, timeframe="15m")
    values = np.linspace(-1, 1, 9)
    before, now = np.meshgrid(values, values)
    truth = {
        ">": now > threshold,
        "<": now < threshold,
        ">=": now >= threshold,
        "<=": now <= threshold,
        "crosses_above": (now > threshold) & (before <= threshold),
        "crosses_below": (now < threshold) & (before >= threshold),
    }[operator]
    play = built(Compare(trend, operator, threshold))
    if truth.any() and not truth.all():
        check_play(play)
    else:
        assert f"this is {'always' if truth.all() else 'never'} true" in complaint(play)


# --- in and out -------------------------------------------------------------------------------------------------------

ENTRY = {"long": "  long: fast > slow\n", "short": "  short: fast < slow\n"}
EXIT = "exit:\n  long:\n    any:\n      - rsi > 75\n      - close < slow\n"


def test_a_play_that_never_enters_is_refused():
    text = change("entry:\n  long: fast > slow\n", "").replace(EXIT, "")
    assert refusal(text) == "example.yaml:1: entry: the Play never enters: entry.long or entry.short needs a rule"
    text = change("risk:", "sides: short\nrisk:").replace(EXIT, "")
    assert "example.yaml:10: entry: sides is short, but only entry.long has rules: the Play never enters" in refusal(
        text
    )


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_side_without_a_way_out_is_refused(side):
    other = "short" if side == "long" else "long"
    text = TEXT.replace(EXIT, "").replace("risk:\n  stop: {atr: 2.5}\n", "").replace(ENTRY["long"], ENTRY[side])
    message = refusal(text)
    assert message.startswith(f"example.yaml:11: entry.{side}: a {side} position has no exit: add exit.{side}, ")
    assert f"entry.{other}, or in risk a stop, take_profit, trailing or max_bars" in message


@pytest.mark.parametrize(
    "risk", ["stop: {atr: 2}", "take_profit: {percent: 0.1}", "trailing: {ticks: 9}", "max_bars: 5"]
)
def test_any_of_these_is_a_way_out(risk):
    parse_play(TEXT.replace(EXIT, "").replace("stop: {atr: 2.5}", risk))


@pytest.mark.parametrize("sides", ["both", "long"])
def test_an_entry_of_the_other_side_is_a_way_out_whether_or_not_that_side_is_allowed(sides):
    text = TEXT.replace(EXIT, "").replace("risk:\n  stop: {atr: 2.5}\n", f"sides: {sides}\n")
    parse_play(text.replace(ENTRY["long"], ENTRY["long"] + ENTRY["short"]))


def test_an_exit_of_a_side_that_is_never_entered_is_refused():
    message = refusal(change("exit:\n  long:", "exit:\n  short:"))
    assert message == (
        "example.yaml:13: exit.short: a short position is never entered (entry.short has no rules): remove exit.short"
    )
    text = TEXT.replace(ENTRY["long"], ENTRY["long"] + ENTRY["short"]).replace("risk:", "sides: short\nrisk:")
    assert "exit.long: a long position is never entered (sides is short): remove exit.long" in refusal(text)


# --- risk -------------------------------------------------------------------------------------------------------------


def test_size_by_risk_needs_a_stop():
    message = refusal(change("stop: {atr: 2.5}", "size: {risk: 0.01}"))
    assert message.startswith("example.yaml:17: risk: size by risk needs a stop")
    parse_play(change("stop: {atr: 2.5}", "size: {risk: 0.01}\n  stop: {atr: 2.5}"))


def test_the_period_of_an_atr_distance_is_that_of_the_indicator():
    message = refusal(change("stop: {atr: 2.5}", "stop: {atr: 2.5, timeperiod: 1000000}"))
    assert "risk: stop: atr: timeperiod is 1000000; it must be a whole number from 1 to 100000" in message


# --- Plays built from the model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("play", "why"),
    [
        (built(Compare(RSI, ">", 150.0)), "Play 'built': entry.long: 'rsi(14) > 150': this is never true"),
        (built(Compare(EMA, ">", EMA)), "'ema(12) > ema(12)': ema(12) is compared with itself"),
        (built(Compare(EMA, ">", float("nan"))), "nan is not a finite number"),
        (built(Trend(EMA, "rising", 0)), "'ema(12) rising 0': rising 0: a number of bars from 1 to 100 is expected"),
        (built(Compare(EMA.streak(), ">", 3.0)), "a rule cannot name a streak; use rising or falling"),
        (
            built(Compare(FeatureRef("emma", (), "real", "15m"), ">", 3.0)),
            "unknown feature 'emma' (did you mean 'ema'",
        ),
        (built(Compare(FeatureRef("ema", (), "real", "15m"), ">", 3.0)), "not fully resolved"),
        (built(Compare(FeatureRef("ema", (("timeperiod", 12.0),), "real", "15m"), ">", 3.0)), "not fully resolved"),
        (built(Compare(FeatureRef("ema", (("timeperiod", 0),), "real", "15m"), ">", 3.0)), "timeperiod is 0; it must"),
        (built(Compare(FeatureRef("rsi", (("timeperiod", 14),), "reel", "15m"), ">", 3.0)), "unknown output 'reel'"),
        (
            built(Compare(price_field("close", "5m"), ">", 3.0)),
            "close is computed from 5m bars, finer than the Play's 15m",
        ),
        (built(Compare(price_field("close", "5x"), ">", 3.0)), "timeframe '5x' is not one of the form"),
        (built(Compare(CLOSE, ">", 3.0), timeframe="x"), "timeframe: timeframe 'x' is not one of the form"),
        (
            built(Compare(CLOSE, ">", EMA), features={"my ema": EMA}),
            "features.my ema: feature name 'my ema' is not allowed",
        ),
        (built(Compare(CLOSE, ">", EMA), entry_long=Group(1, ())), "a group of 0 rules; 1 to 255 are allowed"),
        (built(*[Compare(CLOSE, ">", EMA)] * 256), "a group of 256 rules; 1 to 255 are allowed"),
        (built(Group(2, (Compare(CLOSE, ">", EMA),))), "at_least is 2; there are 1 rules"),
        (built(Group(0, (Compare(CLOSE, ">", EMA),))), "at_least is 0; there are 1 rules"),
        (built(Compare(CLOSE, ">", EMA), warmup_bars=-1), "warmup_bars: -1 bars; 0 to 100000 are allowed"),
        (
            built(Compare(CLOSE, ">", EMA), risk=Risk(max_bars=0)),
            "risk: risk: max_bars: Input should be greater than or",
        ),
        (built(Compare(CLOSE, ">", EMA), risk=Risk(stop=Distance("percent", 3.0))), "stop.percent: a fraction below 1"),
        (built(Compare(CLOSE, ">", EMA), risk=Risk(Size("risk", 0.1), max_bars=3)), "size by risk needs a stop"),
        (built(Compare(CLOSE, ">", EMA), risk=Risk()), "entry.long: a long position has no exit"),
    ],
)
def test_a_built_play_is_checked_like_a_written_one(play, why):
    assert why in complaint(play)


def test_groups_nest_as_deep_as_the_engine_can_go():
    rule = Compare(CLOSE, ">", EMA)
    deep = rule
    for _ in range(7):
        deep = Group(1, (deep,))
    check_play(built(deep))
    assert "groups are nested 9 deep; at most 8 levels are allowed" in complaint(built(Group(1, (deep,))))


def test_a_fault_of_a_column_is_named_once_a_side():
    bad = price_field("close", "5m")
    play = built(Compare(bad, ">", EMA), Compare(bad, "<", 9.0), Trend(bad, "rising", 2))
    assert complaint(play).count("finer than") == 1
