"""One hash for Plays that trade alike, another for Plays that do not."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.features.reference import FeatureRef, price_field
from forge_core.features.registry import make_reference
from forge_core.files import canonical_json
from forge_core.plays.canonical import canonical_play, play_hash
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Rule, Size, Trend
from forge_core.plays.parser import parse_play
from tests.plays.example import TEXT, change
from tests.plays.strategies import grouped, plays

A, B, C = (make_reference("sma", {"timeperiod": n}, timeframe="15m") for n in (5, 6, 7))
AB, BC, UP = Compare(A, ">", B), Compare(B, "<", C), Trend(A, "rising", 2)
MIRRORED = {
    ">": "<",
    "<": ">",
    ">=": "<=",
    "<=": ">=",
    "crosses_above": "crosses_below",
    "crosses_below": "crosses_above",
}


def entering(rule: Rule, **changes) -> str:
    """The hash of a Play with one entry rule."""
    group = rule if isinstance(rule, Group) else Group(1, (rule,))
    return play_hash(replace(Play("x", "15m", entry_long=group, risk=Risk(max_bars=5)), **changes))


def all_of(*rules: Rule) -> Group:
    return Group(len(rules), rules)


def any_of(*rules: Rule) -> Group:
    return Group(1, rules)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (all_of(AB, BC), all_of(BC, AB)),  # order
        (any_of(AB, BC, UP), any_of(UP, AB, BC)),
        (Group(2, (AB, BC, UP)), Group(2, (UP, BC, AB))),
        (AB, all_of(AB)),  # groups of one
        (AB, all_of(any_of(all_of(AB)))),
        (all_of(AB, any_of(BC)), all_of(AB, BC)),
        (all_of(AB, all_of(BC, UP)), all_of(AB, BC, UP)),  # all within all, any within any
        (any_of(AB, any_of(BC, UP)), any_of(AB, BC, UP)),
        (all_of(AB, any_of(all_of(BC, UP))), all_of(AB, BC, UP)),
        (all_of(AB, AB), AB),  # twice the same
        (any_of(AB, BC, AB), any_of(AB, BC)),
        (all_of(any_of(AB, BC), any_of(BC, AB)), any_of(AB, BC)),
        (all_of(AB, all_of(AB, BC)), all_of(AB, BC)),
        (AB, Compare(B, "<", A)),  # mirrored
        (Compare(A, "crosses_above", B), Compare(B, "crosses_below", A)),
        (Compare(A, ">=", B), Compare(B, "<=", A)),
        (all_of(AB, Compare(B, "<", A)), AB),
        (Compare(A, ">", 1), Compare(A, ">", 1.0)),  # numbers
        (Compare(A, ">", 0.0), Compare(A, ">", -0.0)),
    ],
)
def test_what_means_the_same_has_one_hash(one, other):
    assert entering(one) == entering(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (all_of(AB, BC), any_of(AB, BC)),
        (Group(2, (AB, BC, UP)), all_of(AB, BC, UP)),
        (Group(2, (AB, AB, BC)), Group(2, (AB, BC))),  # two votes of one rule count as two
        (Group(2, (AB, AB, BC)), Group(2, (AB, BC, BC))),
        (all_of(AB, any_of(BC, UP)), any_of(AB, all_of(BC, UP))),
        (AB, Compare(A, "<", B)),
        (AB, Compare(A, ">=", B)),
        (AB, Compare(A, ">", C)),
        (Compare(A, ">", 1.0), Compare(A, ">", 1.0000001)),
        (UP, Trend(A, "falling", 2)),
        (UP, Trend(A, "rising", 3)),
        (AB, Compare(A, ">", replace(B, timeframe="1h"))),
        (Compare(price_field("high", "15m"), ">", A), Compare(price_field("low", "15m"), ">", A)),
    ],
)
def test_what_means_another_thing_has_another_hash(one, other):
    assert entering(one) != entering(other)


def test_names_make_no_difference():
    other = TEXT.replace("name: example", "name: renamed").replace("fast", "quick").replace("  bands:", "  b:")
    assert play_hash(parse_play("description: words\n" + other)) == play_hash(parse_play(TEXT))


def test_a_feature_that_no_rule_reads_makes_no_difference():
    assert play_hash(parse_play(change("  macd: {indicator: macd}\n", ""))) == play_hash(parse_play(TEXT))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("timeframe: 15m", "timeframe: 5m"),
        ("timeperiod: 12", "timeperiod: 13"),
        ("timeframe: 1h", "timeframe: 4h"),
        ("long: fast > slow", "long: fast > slow\n  short: fast < slow"),
        ("- rsi > 75", "- rsi > 76"),
        ("risk:", "warmup_bars: 100\nrisk:"),
        ("stop: {atr: 2.5}", "stop: {atr: 2.6}"),
        ("stop: {atr: 2.5}", "stop: {atr: 2.5, timeperiod: 15}"),
        ("stop: {atr: 2.5}", "stop: {ticks: 2.5}"),
        ("stop: {atr: 2.5}", "trailing: {atr: 2.5}"),
        ("stop: {atr: 2.5}", "take_profit: {atr: 2.5}"),
        ("stop: {atr: 2.5}", "stop: {atr: 2.5}\n  max_bars: 10"),
        ("stop: {atr: 2.5}", "stop: {atr: 2.5}\n  cooldown: 1"),
        ("stop: {atr: 2.5}", "stop: {atr: 2.5}\n  size: {fraction: 0.5}"),
        ("stop: {atr: 2.5}", "stop: {atr: 2.5}\n  size: {risk: 0.5}"),
    ],
)
def test_every_setting_makes_a_difference(old, new):
    assert play_hash(parse_play(change(old, new))) != play_hash(parse_play(TEXT))


def test_settings_written_at_length_make_none():
    text = change("stop: {atr: 2.5}", "size: {fraction: 1}\n  stop: {atr: 2.50, timeperiod: 14}\n  cooldown: 0")
    assert play_hash(parse_play(text)) == play_hash(parse_play(TEXT))
    assert entering(AB, risk=Risk(stop=Distance("percent", 0.1, 14))) == entering(
        AB, risk=Risk(stop=Distance("percent", 0.1, 99))
    )
    assert entering(AB, risk=Risk(Size("contracts", 1), max_bars=5)) == entering(
        AB, risk=Risk(Size("contracts", 1.0), max_bars=5)
    )


def test_a_limit_of_sides_counts_where_it_limits():
    short = Group(1, (Compare(A, "<", B),))
    assert entering(AB, sides="long") == entering(AB, sides="both")
    assert entering(AB, sides="long", entry_short=short) != entering(AB, sides="both", entry_short=short)
    assert entering(AB, sides="long", entry_short=short) != entering(AB, sides="short", entry_short=short)


def test_long_and_short_entry_and_exit_are_told_apart():
    group = Group(1, (AB,))
    variants = [
        replace(Play("x", "15m"), **{key: group}) for key in ("entry_long", "entry_short", "exit_long", "exit_short")
    ]
    assert len({play_hash(play) for play in variants}) == 4


# --- for any Play -----------------------------------------------------------------------------------------------------


def rewritten(rule: Rule, chance: random.Random) -> Rule:
    """Say the same thing in other words."""
    if isinstance(rule, Compare):
        if isinstance(rule.right, FeatureRef) and chance.random() < 0.5:
            rule = Compare(rule.right, MIRRORED[rule.operator], rule.left)
        return all_of(rule) if chance.random() < 0.2 else rule
    if isinstance(rule, Trend):
        return any_of(rule) if chance.random() < 0.2 else rule
    rules = [rewritten(inner, chance) for inner in rule.rules]
    at_least = rule.at_least
    if at_least in (1, len(rules)):
        every = at_least == len(rules)
        if chance.random() < 0.3:
            rules.append(rewritten(chance.choice(rule.rules), chance))
        if chance.random() < 0.3:
            cut = chance.randrange(len(rules))
            if rules[cut:]:
                inner = all_of(*rules[cut:]) if every else any_of(*rules[cut:])
                rules = [*rules[:cut], inner]
        at_least = len(rules) if every else 1
    chance.shuffle(rules)
    return Group(at_least, tuple(rules))


@settings(deadline=None)
@given(plays(), st.randoms(use_true_random=False))
def test_the_same_thing_in_other_words_has_the_same_hash(play, chance):
    groups = {
        name: rewritten(group, chance)
        for name in ("entry_long", "entry_short", "exit_long", "exit_short")
        if (group := getattr(play, name)) is not None
    }
    assert play_hash(replace(play, name="other", features={}, **groups)) == play_hash(play)


COLUMNS = [FeatureRef(name, (), "real", "15m") for name in "abc"]
VALUES = dict(zip(COLUMNS, np.random.default_rng(7).integers(0, 3, (3, 400)), strict=True))


def truth(rule: Rule) -> np.ndarray:
    """Evaluate a rule on the bars of VALUES, straight from the fill contract."""
    if isinstance(rule, Group):
        return sum(truth(inner).astype(int) for inner in rule.rules) >= rule.at_least
    left = VALUES[rule.left]
    right = VALUES[rule.right] if isinstance(rule.right, FeatureRef) else np.full_like(left, rule.right)
    result = {
        ">": left > right,
        "<": left < right,
        ">=": left >= right,
        "<=": left <= right,
        "crosses_above": (left > right) & (np.roll(left, 1) <= np.roll(right, 1)),
        "crosses_below": (left < right) & (np.roll(left, 1) >= np.roll(right, 1)),
    }[rule.operator]
    result[0] = False
    return result


COMPARISONS = [
    Compare(COLUMNS[0], ">", COLUMNS[1]),
    Compare(COLUMNS[1], "<", COLUMNS[0]),  # the same in other words
    Compare(COLUMNS[0], "crosses_above", COLUMNS[2]),
    Compare(COLUMNS[2], "crosses_below", COLUMNS[0]),  # the same in other words
    Compare(COLUMNS[2], ">=", 1.0),
]


def small_groups() -> st.SearchStrategy[Group]:
    """Groups of few rules, so that two of them often mean the same."""
    return grouped(st.recursive(st.sampled_from(COMPARISONS), grouped, max_leaves=4))


@settings(max_examples=20, deadline=None)
@given(st.lists(small_groups(), min_size=30, max_size=60))
def test_rules_of_one_hash_are_true_at_the_same_bars(groups):
    seen: dict[str, np.ndarray] = {}
    for group in groups:
        result = truth(group)
        assert np.array_equal(seen.setdefault(entering(group), result), result)


@settings(deadline=None)
@given(plays())
def test_the_canonical_form_is_plain_json(play):
    form = canonical_play(play)
    assert json.loads(canonical_json(form)) == form
    assert len(play_hash(play)) == 16
    assert int(play_hash(play), 16) >= 0
