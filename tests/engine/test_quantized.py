"""Codes keep the order of the values they stand for, whatever these are."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forge_core.features.quantized import Quantized, block_size, code_of, open_quantized, quantize
from forge_core.feeds.feed import Feed
from forge_core.simd.memory import address
from tests.engine.hand_bars import hand_feed, signal

ANYTHING = hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(width=64))


def codes_of(values: np.ndarray) -> Quantized:
    block = quantize(values)
    assert block.size == block_size(values.size)
    codes = open_quantized(block, values.size)
    assert codes.data.size == values.size
    return codes


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_codes_keep_the_order_and_a_number_has_the_code_of_an_equal_value(values):
    codes = codes_of(values)
    known = ~np.isnan(values)
    order = np.argsort(values[known], kind="stable")
    assert (np.diff(codes.data[known][order].astype(int)) >= 0).all()
    for value, code in zip(values[known].tolist(), codes.data[known].tolist(), strict=True):
        if math.isfinite(value):
            assert code_of(value, codes.low, codes.step) == code


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_from_the_first_word_on_nothing_is_missing_nor_at_the_bar_before(values):
    first = codes_of(values).first_word
    assert first >= 1
    assert not np.isnan(values[first * 64 - 1 :]).any()
    assert first == 1 or np.isnan(values[(first - 1) * 64 - 1 :]).any()


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 100.0), (15_460.0, 108_353.0), (-1e-9, 1e-9), (-37.6, 4e5), (1e300, 1.1e300)]
)
def test_a_quarter_of_the_codes_at_least_is_used(low, high):
    values = np.linspace(low, high, 100_000)
    codes = codes_of(values)
    assert np.unique(codes.data).size >= 2**14
    assert math.log2(codes.step).is_integer()
    assert codes.low == codes.step * round(codes.low / codes.step)


def test_averages_of_one_price_can_be_compared_by_codes():
    close = 20_000.0 + np.cumsum(np.random.default_rng(4).normal(0.0, 60.0, 5_000))
    average = np.convolve(close, np.full(50, 1 / 50), mode="same")
    scales = [(codes.low, codes.step) for codes in map(codes_of, (close, average[100:-100], close / 1_000.0))]
    assert scales[0] == scales[1]
    assert scales[0] != scales[2]


def addresses(feed: Feed) -> list[int]:
    return [int(feed.bars[name][0]) for name in feed.bars.dtype.names if name not in ("size", "days")]


def test_what_is_copied_finds_its_own_arrays():
    feed = hand_feed([(1.0, 2.0, 0.5, 1.5, "L")] * 70)
    column = feed.columns.quantized_column(signal("L"))
    known = addresses(feed), column.address, column.quantized.address
    for copied in (copy.deepcopy((feed, column)), pickle.loads(pickle.dumps((feed, column)))):
        other, others = copied
        found = addresses(other), others.address, others.quantized.address
        assert not set(np.hstack(found)) & (set(np.hstack(known)) - {0})
        assert other.bars["open"][0] == address(other.open, np.float64)


@pytest.mark.parametrize("value", [0.0, -5.5, math.nan, math.inf, 1e-320])
def test_a_column_of_one_value_has_one_code(value):
    assert np.unique(codes_of(np.full(130, value)).data).size == 1


def test_small_integers_are_told_by_their_codes_alone():
    values = np.array([-100.0, 0.0, 0.0, 100.0, 3.0] * 40)
    codes = codes_of(values)
    assert codes.lossless
    assert (codes.low + codes.data * codes.step == values).all()
    assert not codes_of(np.append(values, 0.1)).lossless
    assert not codes_of(np.append(values, math.inf)).lossless
    assert codes_of(np.append(math.nan, values)).lossless
