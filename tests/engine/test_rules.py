"""Rule programs against a plain evaluation bar by bar: comparisons, nested groups, counts, words and their edges."""

import math
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forge_core.engine.signals import evaluator, program
from forge_core.engine.signals.program import link_play
from forge_core.engine.simulate import simulate
from forge_core.errors import PlayError
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed
from forge_core.plays.model import Compare, Group, Play, Trend
from forge_core.plays.schema import MAX_DEPTH, MAX_RULES
from forge_core.simd import lanes64
from forge_core.simd.bitset512 import MAX_COUNT
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import address, address_of
from tests.engine.hand_bars import hand_feed

NAMES = ("a", "b", "c")
GROUPS = ("entry_long", "exit_short")
VALUES = (-1.0, -0.0, 0.0, 0.5, 1.0, math.nan, math.inf, -math.inf)
PLAIN = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


def column(name: str, transform: str = "") -> FeatureRef:
    return FeatureRef(name, (), "real", "1h", transform)


def true_at(rule, columns: dict[FeatureRef, np.ndarray], k: int) -> bool:
    """The rule at bar ``k``, as docs/plays.md words it."""
    if isinstance(rule, Group):
        return sum(true_at(part, columns, k) for part in rule.rules) >= rule.at_least
    if isinstance(rule, Trend):
        run = columns[rule.feature.streak()][k]
        return bool(run >= rule.bars if rule.direction == "rising" else run <= -rule.bars)

    def values(bar: int) -> tuple[float, float]:
        right = columns[rule.right][bar] if isinstance(rule.right, FeatureRef) else rule.right
        return columns[rule.left][bar], right

    if rule.operator in PLAIN:
        return bool(PLAIN[rule.operator](*values(k)))
    if k == 0:
        return False
    now, before = (operator.gt, operator.le) if rule.operator == "crosses_above" else (operator.lt, operator.ge)
    return bool(now(*values(k)) and before(*values(k - 1)))


def comparisons(numbers_: list[float]) -> st.SearchStrategy[Compare]:
    sides = st.sampled_from(NAMES).map(column)
    numbers = st.sampled_from([float(number) for number in numbers_])
    operators = st.sampled_from([*PLAIN, "crosses_above", "crosses_below"])
    return st.builds(Compare, sides, operators, sides | numbers)


def groups(part: st.SearchStrategy) -> st.SearchStrategy[Group]:
    lists = st.lists(part, min_size=1, max_size=6).map(tuple)
    return lists.flatmap(lambda parts: st.builds(Group, st.integers(1, len(parts)), st.just(parts)))


@compiled
def bits_of(bitmap, program, word):
    return evaluator.bits(bitmap, evaluator.program_at(program), word)


def evaluated(group: Group, values: dict[FeatureRef, np.ndarray]) -> list[bool]:
    """What the compiled program says at each bar."""
    size = values[column("a")].size
    feed = hand_feed([(1.0, 1.0, 1.0, 1.0, "")] * size, columns=values)
    linked = link_play(Play("rules", "1h", entry_long=group), feed)
    record, words = address_of(linked.record), range((size + 63) // 64)
    found, none = ([int(bits_of(int(linked.record[name][0]), record, word)) for word in words] for name in GROUPS)
    assert none == [0] * len(words)  # a group without rules
    assert found[-1] >> (size - 64 * (len(found) - 1)) == 0  # nothing after the last bar
    return [bool(found[k // 64] >> (k % 64) & 1) for k in range(size)]


def any_values(rng: np.random.Generator, size: int) -> np.ndarray:
    """Some values everywhere, so that whole words are true or false, and none at others."""
    return rng.choice(VALUES, size, p=rng.dirichlet(np.full(len(VALUES), 0.4)))


def integers(rng: np.random.Generator, size: int) -> np.ndarray:
    """What codes tell exactly."""
    return rng.integers(-3, 4, size).astype(float)


def wander(rng: np.random.Generator, size: int) -> np.ndarray:
    """Prices of one scale, so that their codes are compared with each other; often equal."""
    return 100.0 + np.round(np.cumsum(rng.choice([-0.5, 0.0, 0.5], size)), 1)


def wander_closely(rng: np.random.Generator, size: int) -> np.ndarray:
    """Prices whose codes are often equal and they themselves hardly ever."""
    return wander(rng, size) + rng.normal(0.0, 1e-7, size)


@settings(max_examples=250, deadline=None)
@given(
    st.data(),
    st.sampled_from([1, 2, 63, 64, 65, 200, 511, 512, 513, 1024, 1100]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([any_values, integers, wander, wander_closely]),
    st.booleans(),
)
def test_programs_say_what_their_rules_say(data, size, seed, kind, leads_in):
    rng = np.random.default_rng(seed)
    values = {column(name): kind(rng, size) for name in NAMES}
    if leads_in:
        for series in values.values():
            series[: rng.integers(0, size)] = math.nan
    values |= {column(name, "streak"): integers(rng, size) for name in NAMES}
    trends = st.builds(Trend, st.sampled_from(NAMES).map(column), st.sampled_from(["rising", "falling"]), st.just(2))
    seen = [value for value in rng.choice(np.concatenate(list(values.values())), 20) if math.isfinite(value)]
    part = comparisons([0.0, 0.5, *seen]) | trends
    group = data.draw(groups(part | groups(part | groups(part))))
    assert evaluated(group, values) == [true_at(group, values, k) for k in range(size)]


def test_rules_over_the_same_columns_share_one_comparison():
    rng = np.random.default_rng(11)
    values = {column(name): wander_closely(rng, 1_500) for name in NAMES}
    a, b = column("a"), column("b")
    pairs = [(a, b), (b, a), (a, 100.0), (a, 100.5)]
    operators = [*PLAIN, "crosses_above", "crosses_below"]
    every = [Compare(left, operator, right) for left, right in pairs for operator in operators]
    for rule in every:  # one after the other and all in one Play, where most are made out of others
        assert evaluated(Group(1, (rule,)), values) == [true_at(rule, values, k) for k in range(1_500)]
    for needed in (3, 8, 12, 20):
        group = Group(needed, tuple(every))
        assert evaluated(group, values) == [true_at(group, values, k) for k in range(1_500)]


def test_one_play_runs_on_several_feeds_at_a_time():
    rng = np.random.default_rng(5)
    rule = Compare(column("a"), "crosses_above", column("b"))
    play = Play("rules", "1h", entry_long=Group(1, (rule,)), exit_long=Group(1, (Compare(column("a"), "<", 99.0),)))

    def feed() -> Feed:
        prices = wander(rng, 1_200)
        values = {column(name): wander(rng, 1_200) for name in NAMES}
        return hand_feed([(price, price, price, price, "") for price in prices], columns=values)

    feeds = [feed() for _ in range(8)]
    alone = [simulate(replace(play), feed).metrics for feed in feeds]  # each with a bytecode of its own
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            together = pool.map(lambda feed: simulate(play, feed).metrics, feeds)
            np.testing.assert_array_equal(list(together), alone)
    assert len({metrics[0] for metrics in alone}) > 1  # they do not all trade alike


def test_a_rule_is_compared_once_a_feed_and_never_with_the_columns_of_another(monkeypatch):
    rng = np.random.default_rng(7)
    made = []
    original = program._compare_rules
    monkeypatch.setattr(program, "_compare_rules", lambda rules, feed: made.extend(rules) or original(rules, feed))

    def feed() -> Feed:
        return hand_feed([(1.0, 1.0, 1.0, 1.0, "")] * 700, columns={column(name): wander(rng, 700) for name in NAMES})

    first, second = feed(), feed()
    above = Compare(column("a"), ">", column("b"))
    below = Compare(column("b"), "<", column("a"))  # the same rule
    one = Play("one", "1h", entry_long=Group(1, (above, Compare(column("c"), ">", 100.0))))
    exits = Group(1, (above,))
    other = Play("other", "1h", entry_long=Group(2, (below, Compare(column("c"), "<", 100.0))), exit_long=exits)
    for play, runs_on, new in ((one, first, 2), (other, first, 1), (one, second, 2), (one, replace(first, start=1), 2)):
        made.clear()
        bitmaps = link_play(play, runs_on).bitmaps
        assert len(made) == new
        np.testing.assert_array_equal(bitmaps, link_play(play, replace(runs_on)).bitmaps)  # all made again


def test_a_rule_evicted_while_its_play_runs_lives_on(monkeypatch):
    monkeypatch.setattr("forge_core.feeds.feed._BITMAP_BYTES", 64)  # one bitmap of a block
    values = {column("a"): np.arange(300.0)}
    rules_ = tuple(Compare(column("a"), ">=", float(threshold)) for threshold in range(200))
    assert evaluated(Group(150, rules_), values) == [k >= 149 for k in range(300)]


@pytest.mark.parametrize("needed", [1, 2, 127, 128, 200, 254, 255])
def test_counts_reach_as_far_as_a_group_may(needed):
    values = {column("a"): np.arange(300.0)}
    rules_ = tuple(Compare(column("a"), ">=", float(threshold)) for threshold in range(MAX_RULES))
    assert evaluated(Group(needed, rules_), values) == [k >= needed - 1 for k in range(300)]


def test_larger_and_deeper_groups_are_refused():
    rule = Compare(column("a"), ">", 0.0)
    with pytest.raises(PlayError, match="a group of 256 rules; expected at most 255"):
        evaluated(Group(1, (rule,) * 256), {column("a"): np.zeros(3)})
    nested = Group(1, (rule,))
    for _ in range(MAX_DEPTH):
        nested = Group(1, (nested,))
    with pytest.raises(PlayError, match="nested too deeply; expected at most 8"):
        evaluated(nested, {column("a"): np.zeros(3)})


@compiled
def extremes_of(values, chosen):
    return lanes64.lowest(values, chosen), lanes64.highest(values, chosen), lanes64.trailing_zeros(chosen)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float64, 64, elements=st.floats(allow_nan=False)), st.integers(0, 2**64 - 1))
def test_extremes_of_the_chosen_bars(values, chosen):
    kept = values[[bool(chosen >> j & 1) for j in range(64)]]
    low, high, first = extremes_of(address(values, np.float64), np.uint64(chosen))
    assert low == kept.min(initial=math.inf)
    assert high == kept.max(initial=-math.inf)
    assert first == ((chosen & -chosen).bit_length() - 1 if chosen else 64)


def test_the_language_allows_no_more_rules_in_a_group_than_the_bit_counter_holds():
    assert MAX_RULES <= MAX_COUNT
