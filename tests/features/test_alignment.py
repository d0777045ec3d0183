"""What an execution bar may see of a coarser timeframe, against the rule itself applied bar by bar."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forge_core.features.alignment import aligned_index, first_visible, take_aligned
from forge_core.market.reference.timeframes import Timeframe

MINUTE = 60_000_000


def minutes(*values):
    return np.array(values, dtype=np.int64) * MINUTE


def visible(execution_open, execution, higher_open, higher):
    """The contract, word for word: the newest bar opened at T with T + H <= t_i + tf."""
    newest = []
    for t in execution_open:
        closed = [j for j, opened in enumerate(higher_open) if opened + higher <= t + execution]
        newest.append(max(closed, default=-1))
    return newest


@st.composite
def open_times(draw, most):
    """Ascending open times with gaps, sessions and an irregular start: any distinct minutes at all."""
    return minutes(*sorted(draw(st.sets(st.integers(-500, 2_000), max_size=most))))


@settings(deadline=None)  # the first call compiles
@given(
    execution_open=open_times(60),
    higher_open=open_times(30),
    execution=st.sampled_from([1, 5, 15, 60]),
    higher=st.sampled_from([1, 5, 15, 30, 60, 240, 1440]),
)
@example(minutes(), minutes(), 15, 60)
@example(minutes(0, 15, 30), minutes(), 15, 60)
def test_newest_closed_bar_and_no_other(execution_open, higher_open, execution, higher):
    index = aligned_index(execution_open, execution * MINUTE, higher_open, higher * MINUTE)
    assert index.dtype == np.int64
    assert index.tolist() == visible(execution_open, execution * MINUTE, higher_open, higher * MINUTE)


@settings(deadline=None)
@given(open_times(60), st.sampled_from(["1m", "15m", "4h", "1w"]))
def test_same_timeframe_is_the_identity(opens, label):
    length = Timeframe.parse(label).microseconds
    assert aligned_index(opens, length, opens, length).tolist() == list(range(opens.size))


def test_an_hour_is_visible_at_the_bar_that_closes_with_it_and_not_before():
    quarters = minutes(0, 15, 30, 45, 60, 75, 90, 105, 120)
    hours = minutes(0, 60)
    assert aligned_index(quarters, 15 * MINUTE, hours, 60 * MINUTE).tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1]


def test_a_gap_in_the_execution_bars_shifts_nothing():
    quarters = minutes(*range(0, 600, 15))
    hours = minutes(*range(0, 600, 60))
    whole = aligned_index(quarters, 15 * MINUTE, hours, 60 * MINUTE)
    kept = (quarters < 130 * MINUTE) | (quarters >= 400 * MINUTE)
    assert aligned_index(quarters[kept], 15 * MINUTE, hours, 60 * MINUTE).tolist() == whole[kept].tolist()


def test_a_gap_in_the_higher_bars_keeps_the_last_one_that_closed():
    quarters = minutes(*range(0, 300, 15))
    index = aligned_index(quarters, 15 * MINUTE, minutes(0, 180), 60 * MINUTE)
    assert index[quarters == 45 * MINUTE] == 0
    assert set(index[(quarters >= 45 * MINUTE) & (quarters < 225 * MINUTE)]) == {0}
    assert set(index[quarters >= 225 * MINUTE]) == {1}


def test_an_hour_that_its_session_cuts_short_is_seen_late_never_early():
    # The session ends at minute 90: the second hour holds bars of 30 minutes only, and the next session opens at 300.
    quarters = minutes(0, 15, 30, 45, 60, 75, 300, 315, 330, 345)
    assert aligned_index(quarters, 15 * MINUTE, minutes(0, 60, 300), 60 * MINUTE).tolist() == [
        *(-1, -1, -1, 0, 0, 0),
        *(1, 1, 1, 2),
    ]


@settings(deadline=None)
@given(open_times(60), open_times(30), st.integers(0, 29))
def test_first_visible_is_where_the_index_first_reaches_the_bar(execution_open, higher_open, position):
    if position >= higher_open.size:
        return
    index = aligned_index(execution_open, 15 * MINUTE, higher_open, 60 * MINUTE)
    reached = np.flatnonzero(index >= position)
    expected = reached[0] if reached.size else execution_open.size
    assert first_visible(execution_open, 15 * MINUTE, int(higher_open[position]) + 60 * MINUTE) == expected


def test_take_aligned_has_no_value_where_no_bar_has_closed():
    taken = take_aligned(np.array([1.0, np.nan, 3.0]), np.array([-1, 0, 0, 1, 2]))
    np.testing.assert_array_equal(taken, [np.nan, 1.0, 1.0, np.nan, 3.0])
