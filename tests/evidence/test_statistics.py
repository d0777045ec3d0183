"""Statistics of Sharpe ratios against published numbers and other implementations."""

import math

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap

from forge_core.evidence.statistics.bootstrap import bca_interval, interval, stationary_indexes
from forge_core.evidence.statistics.hac import hac_t
from forge_core.evidence.statistics.sharpe import (
    deflated_sharpe,
    expected_best_sharpe,
    expected_maximum,
    luck_line,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_p_value,
    sharpe_ratio,
)
from forge_core.evidence.statistics.spa import spa_test


@pytest.mark.parametrize(("count", "value"), [(400, 2.984802), (1_500, 3.368700), (7_500, 3.789738)])
def test_expected_maximum_of_normals(count: int, value: float) -> None:
    assert expected_maximum(count) == pytest.approx(value, abs=1e-6)


def test_expected_maximum_is_that_of_drawn_normals() -> None:
    drawn = np.random.default_rng(1).standard_normal((20_000, 400)).max(axis=1)
    assert expected_maximum(400) == pytest.approx(drawn.mean(), rel=0.01)


def test_luck_line_needs_two_trials_and_two_days() -> None:
    assert luck_line(1, 1000) == luck_line(0, 1000) == luck_line(400, 1) == 0.0
    assert luck_line(400, 1_001) == pytest.approx(2.984802 / math.sqrt(1_000), abs=1e-7)


@pytest.mark.parametrize(("trials", "value"), [(100, 0.9003968), (46, 0.9505017), (88, 0.9101530)])
def test_deflated_sharpe_of_the_paper(trials: int, value: float) -> None:
    """SR 2.5 a year over 1,250 days, skew -3, kurtosis 10, variance of the trials 0.5 a year."""
    ratio = 2.5 / math.sqrt(250)
    found = deflated_sharpe(ratio, 1_250, trials=trials, variance=0.5 / 250, skew=-3, kurtosis=10)
    assert found == pytest.approx(value, abs=1e-6)


def test_expected_best_sharpe_of_the_paper() -> None:
    assert expected_best_sharpe(100, 0.5 / 250) == pytest.approx(0.1131720, abs=1e-6)


def test_probabilistic_sharpe_of_the_paper() -> None:
    assert probabilistic_sharpe(0.458, 24, skew=-2.448, kurtosis=10.164) == pytest.approx(0.9133611, abs=1e-6)
    assert probabilistic_sharpe(0.458, 24) == pytest.approx(0.9816749, abs=1e-6)


@pytest.mark.parametrize(("a_year", "years"), [(252, 2.730984), (52, 2.828834), (12, 3.239800)])
def test_minimum_track_record_of_the_paper(a_year: int, years: float) -> None:
    root = math.sqrt(a_year)
    assert minimum_track_record(2 / root, benchmark=1 / root) / a_year == pytest.approx(years, abs=1e-6)


def test_no_track_record_tells_a_ratio_below_its_benchmark() -> None:
    assert minimum_track_record(0.1, benchmark=0.1) == math.inf


def test_sharpe_ratio_without_variance_is_zero_and_its_p_is_one() -> None:
    assert sharpe_ratio([0.01] * 9) == sharpe_ratio([0.01]) == 0.0
    assert sharpe_p_value([0.0] * 9) == 1.0


def test_p_of_the_sharpe_ratio_is_uniform_where_nothing_is_earned() -> None:
    rng = np.random.default_rng(5)
    found = np.array([sharpe_p_value(rng.standard_t(5, 500) * 0.01) for _ in range(1_000)])
    assert 0.03 < (found <= 0.05).mean() < 0.07
    assert 0.45 < (found <= 0.5).mean() < 0.55


def test_stationary_blocks_have_the_mean_length_asked_for() -> None:
    indexes = stationary_indexes(1_000, 200, block=10, seed=3)
    assert indexes.shape == (200, 1_000)
    continued = (np.diff(indexes, axis=1) % 1_000 == 1).mean()
    assert continued == pytest.approx(0.9, abs=0.005)


def test_intervals_hold_the_mean_of_dependent_returns_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    inside = 0
    for number in range(100):
        noise = rng.standard_normal(403)
        returns = noise[3:] + noise[2:-1] + noise[1:-2]  # depend on each other over three days
        low, high = interval(returns, np.mean, level=0.9, repeats=300, block=15, seed=number)
        inside += low <= 0.0 <= high
    assert 78 <= inside <= 98


def test_bca_interval_of_skewed_values_lies_higher_than_it_is_wide() -> None:
    values = np.random.default_rng(2).exponential(1.0, 60)
    low, high = bca_interval(values, np.mean, seed=1)
    assert low < values.mean() < high
    assert high - values.mean() > values.mean() - low


def test_reality_check_is_archs_upper_p_on_the_same_draws() -> None:
    """``arch`` takes losses and compares raw means: its upper p-value is White's reality check."""
    rng = np.random.default_rng(4)
    for edge in (0.0, 0.05, 0.1, 0.2):
        returns = rng.standard_normal((250, 40)) + edge * (np.arange(40) == 7)
        theirs = SPA(np.zeros(250), -returns, block_size=10, reps=500, bootstrap="stationary", seed=9)
        theirs.compute()
        draws = StationaryBootstrap(10, np.arange(250), seed=9)
        indexes = np.array([positional[0] for positional, _ in draws.bootstrap(500)])
        assert spa_test(returns, indexes=indexes).reality_check == theirs.pvalues["upper"]


def test_spa_has_its_size_on_independent_noise_and_finds_an_edge() -> None:
    rng = np.random.default_rng(6)
    small = [spa_test(rng.standard_normal((250, 20)), repeats=200, seed=k).consistent <= 0.05 for k in range(60)]
    assert sum(small) <= 9  # 3 expected
    planted = rng.standard_normal((250, 20)) + 0.4 * (np.arange(20) == 3)
    assert spa_test(planted, repeats=200).consistent <= 0.01


def test_a_noisy_strategy_cannot_hide_a_steady_one() -> None:
    """Studentized: raw means are ruled by whatever moves most."""
    rng = np.random.default_rng(7)
    steady = 0.001 + 0.003 * rng.standard_normal(300)
    wild = 0.5 * rng.standard_normal((300, 5))
    found = spa_test(np.column_stack([steady, wild - wild.mean(axis=0)]), repeats=400)
    assert found.upper < 0.01
    assert found.reality_check > 0.5


def test_hac_t_of_four_returns_by_hand() -> None:
    """Lags up to 4 (4 / 100)^(2/9) = 1.96: one, of weight one half."""
    moved = np.array([0.0, 1.0, -2.0, 1.0])
    variance = 6.0 + 2.0 * 0.5 * (0.0 - 2.0 - 2.0)
    assert hac_t(moved + 1.0) == pytest.approx(4.0 / math.sqrt(variance))


def test_hac_t_is_that_of_independent_returns_and_smaller_where_they_follow_each_other() -> None:
    rng = np.random.default_rng(6)
    single = 0.05 + rng.standard_normal(4_000)
    plain = sharpe_ratio(single) * math.sqrt(single.size)
    assert hac_t(single) == pytest.approx(plain, rel=0.05)
    assert hac_t(np.repeat(single, 4)) == pytest.approx(plain, rel=0.25)  # four times the days, and no more evidence
    assert sharpe_ratio(np.repeat(single, 4)) * math.sqrt(4 * single.size) == pytest.approx(2 * plain, rel=0.01)
    assert hac_t([0.01]) == hac_t([0.01, 0.01]) == 0.0
