"""Declared orders of columns: they hold on random bars, and no other two outputs of a feature are always ordered."""

from itertools import combinations, permutations

import numpy as np
import pytest

from forge_core.features.definition import FeatureDefinition
from forge_core.features.order import column_order, difference_of
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import all_features, get_feature, make_reference, searchable
from forge_core.plays.constant import constant_result
from tests.features.sample_bars import Bars, hostile, ticks, walk

MOVING = [walk(seed, 1500) for seed in (1, 2, 3)]
ANY = [*MOVING, ticks(4, 1500), hostile(5, 1500)]
BAR_FIELDS = [make_reference(name, {}, timeframe="1h") for name in ("open", "high", "low", "close")]
CLOSE = BAR_FIELDS[-1]
WITH_RELATIONS = [definition for definition in all_features() if definition.relations.orders]
OPERATORS = (">", ">=", "<", "<=", "crosses_above", "crosses_below")


def columns_of(definition: FeatureDefinition, most: int = 9) -> list[FeatureRef]:
    """Every output with its defaults and with choices spread over the grids, the first and the last among them."""
    grid = definition.combinations()
    chosen = [{}, *(grid[i] for i in np.unique(np.linspace(0, len(grid) - 1, most).round().astype(int)))]
    references = [
        make_reference(definition.name, params, output=output.name, timeframe="1h")
        for params in chosen
        for output in definition.outputs
    ]
    return list(dict.fromkeys(references))


def related() -> list[tuple[FeatureRef, FeatureRef]]:
    """Pairs of columns with an order: within features and against bars, and across features of one period."""
    pairs = []
    for definition in all_features():
        own = columns_of(definition)
        pairs += [*combinations(own, 2), *((column, field) for column in own for field in BAR_FIELDS)]
    for period in (5, 34):
        same = [
            make_reference(d.name, {"timeperiod": period}, output=output.name, timeframe="1h")
            for d in WITH_RELATIONS
            if any(parameter.name == "timeperiod" for parameter in d.parameters)
            for output in d.outputs
        ]
        pairs += combinations(same, 2)
    return [pair for pair in dict.fromkeys(pairs) if column_order(*pair) is not None]


PAIRS = related()


def values(reference: FeatureRef, bars: Bars, cache: dict) -> np.ndarray:
    key = (reference.name, reference.params, id(bars))
    if key not in cache:
        cache[key] = get_feature(reference.name).compute(bars, dict(reference.params))
    return cache[key][reference.output]


def outcomes(left: np.ndarray, operator: str, right: np.ndarray) -> np.ndarray:
    """The rule's results where both columns have values, now and, for a crossing, at the bar before."""
    defined = ~(np.isnan(left) | np.isnan(right))
    if not operator.startswith("crosses"):
        compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[operator]
        return compare(left, right)[defined]
    above = np.greater if operator == "crosses_above" else np.less
    return (above(left, right)[1:] & ~above(left, right)[:-1])[defined[1:] & defined[:-1]]


def test_there_are_orders_of_every_kind():
    kinds = {column_order(*pair) for pair in PAIRS} | {column_order(b, a) for a, b in PAIRS}
    assert kinds == {"below", "at most", "equal", "at least", "above"}
    assert len(PAIRS) > 500
    ordered = {name for pair in PAIRS for name in (pair[0].name, pair[1].name)}
    assert {"bbands", "kc", "donchian", "accbands", "ha", "range", "eri", "percentile", "swings", "sma"} <= ordered


def test_a_rule_called_constant_is_constant_on_random_bars():
    cache: dict = {}
    for left, right in PAIRS:
        for bars in ANY:
            a, b = values(left, bars, cache), values(right, bars, cache)
            if np.isnan(a).all() or np.isnan(b).all():
                continue
            # equal columns of different features are sums in another order: equal up to rounding
            b = np.where(np.isclose(a, b, rtol=1e-11, atol=1e-11), a, b)
            still = bars is not MOVING[0] and not any(bars is each for each in MOVING)
            for operator in OPERATORS:
                verdict = constant_result(left, operator, right)
                if verdict is None or (still and column_order(left, right) in ("below", "above")):
                    continue  # strictly ordered columns meet where nothing moves
                result = outcomes(a, operator, b)
                assert not result.any() if verdict == "never" else result.all(), (str(left), operator, str(right))


def test_a_strict_order_is_a_weak_one_where_nothing_moves():
    cache: dict = {}
    for left, right in PAIRS:
        order = column_order(left, right)
        if order not in ("below", "above") or "accbands" in (left.name, right.name):  # of prices above zero alone
            continue
        low, high = (left, right) if order == "below" else (right, left)
        for bars in ANY:
            a, b = values(low, bars, cache), values(high, bars, cache)
            defined = ~(np.isnan(a) | np.isnan(b))
            assert (a <= b + 1e-9 * np.abs(b) + 1e-9)[defined].all(), (str(low), str(high))


OF_PRICES = [each for each in all_features() if each.kind not in ("calendar", "relative")]


@pytest.mark.parametrize("definition", OF_PRICES, ids=lambda definition: definition.name)
def test_outputs_that_are_ordered_on_random_bars_are_declared_so(definition):
    cache: dict = {}
    if definition.name == "swings":  # the exception is an outside bar, which random bars hardly have
        return
    columns = columns_of(definition, most=3)
    pairs = [pair for pair in permutations(columns, 2) if pair[0].params == pair[1].params]
    pairs += [pair for column in columns for pair in ((column, CLOSE), (CLOSE, column))]
    for low, high in pairs:
        if low == high or definition.output(low.output if low.name == definition.name else high.output).scale.kind in (
            "volume",
            "unbounded",
        ):
            continue
        scales = {get_feature(each.name).output(each.output).scale for each in (low, high)}
        below = []
        for bars in ANY:
            a, b = values(low, bars, cache), values(high, bars, cache)
            defined = ~(np.isnan(a) | np.isnan(b))
            if defined.sum() > 200:
                below.append((a <= b)[defined].all())
        if len(scales) == 1 and below and all(below) and np.ptp(values(low, MOVING[0], cache)[-500:]) > 0:
            assert column_order(low, high) in ("below", "at most", "equal"), (str(low), str(high))


def test_columns_of_different_timeframes_have_no_order():
    upper = make_reference("donchian", {}, output="upperband", timeframe="4h")
    assert column_order(make_reference("close", {}, timeframe="1h"), upper) is None
    assert column_order(make_reference("close", {}, timeframe="4h"), upper) == "at most"


def test_a_difference_is_the_difference():
    for definition in all_features():
        for each in definition.relations.differences:
            computed = definition.compute(MOVING[0], {})
            difference = computed[each.minuend] - computed[each.subtrahend]
            assert np.allclose(computed[each.output], difference, equal_nan=True)
    histogram = make_reference("macd", {}, output="macdhist", timeframe="1h")
    line = make_reference("macd", {}, output="macd", timeframe="1h")
    signal = make_reference("macd", {}, output="macdsignal", timeframe="1h")
    assert difference_of(histogram, line) == difference_of(signal, histogram) == (line, signal)
    assert difference_of(line, signal) is None


@pytest.mark.parametrize("definition", searchable(), ids=lambda definition: definition.name)
def test_declared_relations_name_what_there_is(definition):
    outputs = {output.name for output in definition.outputs}
    parameters = {parameter.name for parameter in definition.parameters}
    relations = definition.relations
    for order in relations.orders:
        for column in (order.low, order.high):
            name, dot, output = column.partition(".")
            assert (get_feature(name).output(output).name == output) if dot else column in outputs
        assert order.positive is None or order.positive in parameters
    assert {each.output for each in relations.monotone} <= outputs
    assert {each.parameter for each in relations.monotone} <= parameters
    assert set(relations.unaffected) <= outputs
