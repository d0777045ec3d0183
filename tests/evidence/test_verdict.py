"""Verdicts, the forward test, and how trials are counted."""

import numpy as np
import pytest

from forge_core.evidence.robustness.examine import lottery_weaknesses, random_search_weaknesses
from forge_core.evidence.robustness.lottery import LotteryResult
from forge_core.evidence.searches.luck import LuckResult
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.trials import trading_trials
from forge_core.evidence.statistics.e_process import expected_days, follow
from forge_core.evidence.verdict.judge import OutOfSample, judge
from forge_core.files import read_table
from forge_core.paths import Home

LUCKY = LuckResult(3 / 9, 9, 3, True)
BETTER = LuckResult(0.05, 19, 0, False)
EARNS = OutOfSample("walk-forward", 0.01, 1.4)


@pytest.mark.parametrize(
    ("luck", "out_of_sample", "weak", "word"),
    [
        (None, EARNS, [], "untested"),
        (LUCKY, EARNS, [], "luck"),
        (LUCKY, None, ["x"], "luck"),
        (BETTER, None, [], "unconfirmed"),
        (BETTER, OutOfSample("walk-forward", 0.06, 0.5), [], "unconfirmed"),
        (BETTER, EARNS, ["at twice the costs it loses"], "fragile"),
        (BETTER, EARNS, [], "confirmed"),
    ],
)
def test_the_verdict_is_decided_by_luck_then_out_of_sample_then_probes(luck, out_of_sample, weak, word) -> None:
    verdict = judge(luck, out_of_sample, weak)
    assert verdict.word == word
    assert verdict.sentence.lower().startswith(word)


def test_the_sentence_says_what_was_done() -> None:
    assert judge(LUCKY, None, []).sentence == (
        "Luck: in 9 markets without memory the same search found a Play as good 3 times (p = 0.33)."
    )
    assert "none as good (p = 0.05)" in judge(BETTER, EARNS, []).sentence


ORDER = ("untested", "luck", "unconfirmed", "fragile", "confirmed")


@pytest.mark.parametrize("luck", [None, LUCKY, BETTER])
@pytest.mark.parametrize("out_of_sample", [None, EARNS, OutOfSample("holdout", 0.4, 0.2)])
def test_probes_and_controls_may_lower_a_verdict_and_never_raise_it(luck, out_of_sample) -> None:
    lottery = lottery_weaknesses(LotteryResult(0.001, np.array([0.0, 0.002, 0.003]), 0.75))
    drawing = random_search_weaknesses(1.4, 1.5, 0.6, 0.7)
    assert lottery
    assert drawing
    without = ORDER.index(judge(luck, out_of_sample, []).word)
    for weak in (lottery, drawing, [*lottery, *drawing]):
        word = judge(luck, out_of_sample, weak).word
        assert ORDER.index(word) <= without
        assert word != "confirmed"


def test_a_lottery_that_the_champion_beats_is_no_weakness() -> None:
    assert lottery_weaknesses(LotteryResult(0.01, np.zeros(99), 0.01)) == []
    (text,) = lottery_weaknesses(LotteryResult(0.001, np.array([0.0, 0.002, 0.003]), 0.75))
    assert text.startswith("67% of random entries")


@pytest.mark.parametrize(
    ("score", "drawn", "sharpe", "drawn_sharpe", "weak"),
    [
        (1.4, 1.3, 0.5, 0.9, False),  # evolution found more in training
        (1.4, 1.4, 0.5, 0.5, True),
        (1.4, 1.5, 0.5, 0.4, False),  # evolution earned more after it
        (1.4, 1.5, None, None, True),
        (1.4, None, 0.5, 0.9, False),  # drawing found nothing feasible
    ],
)
def test_drawing_is_a_weakness_where_it_is_as_good_in_training_and_after_it(
    score, drawn, sharpe, drawn_sharpe, weak
) -> None:
    assert bool(random_search_weaknesses(score, drawn, sharpe, drawn_sharpe)) is weak


@pytest.mark.parametrize(("evaluation", "level"), [(1, 0.025), (2, 0.05 / 6), (3, 0.05 / 12)])
def test_each_evaluation_on_a_holdout_has_a_smaller_share_of_the_5_percent(evaluation: int, level: float) -> None:
    test = OutOfSample("holdout", level, 1.0, evaluation)
    assert test.level == pytest.approx(level)
    assert test.holds
    assert not OutOfSample("holdout", level * 1.01, 1.0, evaluation).holds


def days(sharpe: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fat-tailed returns of clustered volatility with a constant Sharpe ratio."""
    level = np.zeros(count)
    for i in range(1, count):
        level[i] = 0.97 * level[i - 1] + rng.normal(0, 0.12)
    noise = rng.standard_t(5, count) / np.sqrt(5 / 3)
    return 0.01 * np.exp(level) * (sharpe / np.sqrt(365) + noise)


def test_a_living_strategy_is_seldom_called_dead_and_a_dead_one_is_found() -> None:
    rng = np.random.default_rng(5)
    alive = [follow(days(2.0, 1_095, rng), sharpe=2.0, annualization=365, volatility=0.01) for _ in range(150)]
    dead = [follow(days(0.0, 1_095, rng), sharpe=2.0, annualization=365, volatility=0.01) for _ in range(150)]
    assert sum(test.state == "dead" for test in alive) <= 16  # 5.5 % in three years: 8
    assert sum(test.state == "earns as promised" for test in dead) <= 16
    found = [test.decided_on for test in dead if test.state == "dead"]
    assert len(found) > 110
    assert np.median(found) == pytest.approx(440, rel=0.3)


def test_the_forward_test_can_be_restarted_from_the_days() -> None:
    returns = days(2.0, 300, np.random.default_rng(1))
    whole = follow(returns, sharpe=2.0, annualization=365, volatility=0.01)
    part = follow(returns[:200], sharpe=2.0, annualization=365, volatility=0.01)
    np.testing.assert_array_equal(whole.log_e[:200], part.log_e)


def test_days_it_takes_are_told_beforehand() -> None:
    assert expected_days(1.0, 365) == 2187  # six years
    assert expected_days(2.0, 365) == 547
    with pytest.raises(ValueError, match="sharpe is -1"):
        follow([0.0], sharpe=-1.0, annualization=365, volatility=0.01)


def test_trials_are_counted_over_all_studies_on_the_same_bars(proved_home: Home) -> None:
    two = Subject.of("two", proved_home)
    for dataset in two.spec.train:
        pinned = two.plan.manifest["datasets"][dataset]["hash"]
        plays = set()
        for path in proved_home.ledger.glob("*/*/island=*/generation=*.parquet"):
            table = read_table(path)
            for play, returns in zip(
                table["play"].to_pylist(), table[f"daily_returns.{dataset}"].to_pylist(), strict=True
            ):
                if returns and any(returns):
                    plays.add(play)
        assert trading_trials(pinned, proved_home) == len(plays) > 40
    assert trading_trials("0" * 16, proved_home) == 0


def test_the_ledger_carries_dates_feasibility_and_the_first_objective(proved_home: Home) -> None:
    subject = Subject.of("two", proved_home)
    table = read_table(next(iter(sorted(subject.plan.ledger.folder.glob("island=0/*.parquet")))))
    dataset = subject.spec.train[0]
    market = subject.markets[dataset]
    first = table[f"first_day.{dataset}"].to_pylist()
    assert {(day - type(day)(1970, 1, 1)).days for day in first} == {int(market.days[0])}
    assert {len(row) for row in table[f"daily_returns.{dataset}"].to_pylist() if row} == {market.days.size}
    assert set(table["feasible"].to_pylist()) <= {True, False}
    assert table["objective"].null_count == 0
