"""A search in memory against the study on disk, and the luck searches made of it."""

import numpy as np
import pytest

from forge_core.errors import StudyError
from forge_core.evidence.searches.luck import STOP, luck_market, luck_result, luck_search, luck_seeds
from forge_core.evidence.searches.subject import Subject
from forge_core.evolution.steps import plan_study
from forge_core.files import read_table
from forge_core.paths import Home
from tests.evolution.studies import small_spec


@pytest.mark.parametrize("study", ["one", "two"])
def test_a_search_in_memory_finds_the_studys_own_champion_and_front(proved_home: Home, study: str) -> None:
    subject = Subject.of(study, proved_home)
    found = subject.experiment.run(subject.markets, workers=2)
    assert found.champion is not None
    assert found.champion.play == subject.report.play
    values = [subject.report.champion.objectives[objective.name] for objective in subject.plan.objectives.terms]
    assert list(found.champion.evaluation.objectives) == values
    front = read_table(subject.folder.pareto_front)
    assert [individual.id for individual in found.front] == front["id"].to_pylist()
    assert found.score == subject.score
    assert found.generations == subject.plan.final_generation


def test_the_same_search_on_other_coins_finds_something_else(proved_home: Home) -> None:
    subject = Subject.of("two", proved_home)
    first, again, other = (luck_search(subject.experiment, subject.markets, number) for number in (1, 1, 2))
    assert first.score == again.score
    assert first.score != other.score
    assert first.score != subject.score


def test_luck_markets_of_a_number_are_always_the_same_and_share_their_coins_over_datasets(proved_home: Home) -> None:
    subject = Subject.of("two", proved_home)
    first, again = (luck_market(subject.markets, 11, 4) for _ in range(2))
    for name in subject.markets:
        assert first[name].bars.equals(again[name].bars)
    assert luck_seeds(11, 4)[1] == luck_seeds(11, 4)[1] != luck_seeds(11, 5)[1]


def test_random_search_draws_as_many_plays_without_breeding(proved_home: Home) -> None:
    subject = Subject.of("two", proved_home)
    drawn, again = (subject.experiment.draw(subject.markets) for _ in range(2))
    assert drawn.evaluated <= subject.search.budget == 36
    assert drawn.evaluated >= 30
    assert [i.play for i in drawn.front] == [i.play for i in again.front]


def test_the_p_value_counts_the_searches_that_were_as_good() -> None:
    assert luck_result(1.0, [0.5] * 19, 19).p == pytest.approx(1 / 20)
    assert luck_result(1.0, [0.5] * 18 + [1.0], 19).p == pytest.approx(2 / 20)
    assert luck_result(1.0, [None] * 19, 19).p == pytest.approx(1 / 20)
    assert luck_result(1.0, [0.5] * 18, 19) is None
    assert luck_result(1.0, [], 0) is None


def test_it_stops_at_the_third_as_good_whatever_has_ended_after_it() -> None:
    scores = [2.0, 0.5, 2.0, 0.5, 2.0]
    result = luck_result(1.0, scores, 19)
    assert (result.p, result.searches, result.as_good, result.stopped) == (STOP / 5, 5, 3, True)
    assert luck_result(1.0, [*scores, 2.0, 0.1], 19) == result
    assert luck_result(1.0, scores[:4], 19) is None


def test_p_of_exchangeable_scores_has_its_size_with_the_sequential_stop() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(2_000):
        own, *others = rng.standard_normal(20)
        found.append(luck_result(own, others, 19).p)
    assert 0.038 < (np.array(found) <= 0.05).mean() < 0.062
    assert (np.array(found) <= 0.2).mean() < 0.23


def test_evidence_is_no_part_of_a_manifest(home: Home) -> None:
    """So that it can be added to a study that is complete."""
    plan_study(small_spec("later"), home)
    folder = home.study("later")
    before = (folder / "manifest.json").read_bytes()
    plan_study(small_spec("later", evidence={"luck": 99, "windows": 0}), home)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_study_that_is_not_complete_has_nothing_to_prove(home: Home) -> None:
    plan_study(small_spec("begun"), home)
    with pytest.raises(StudyError, match="make evolve STUDY=begun"):
        Subject.of("begun", home)


def test_the_markets_of_a_search_share_one_cache_that_holds_all_columns(proved_home: Home) -> None:
    """With too small a cache of its own each feed would compute its columns again for every generation."""
    subject = Subject.of("two", proved_home)
    evaluator = subject.experiment.evaluator(subject.markets)
    caches = {id(feed.columns._recent) for feed in evaluator.feeds.values()}
    (cache,) = {feed.columns._recent for feed in evaluator.feeds.values()}
    assert len(subject.markets) > len(caches) == 1
    assert cache.max_bytes > 2**28 or cache.max_bytes > 740 * 8 * sum(len(m.bars) for m in subject.markets.values())
