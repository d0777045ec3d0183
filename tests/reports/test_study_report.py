"""The report of a study: verdict first, every trade of the champion, every holdout evaluation."""

import re

import pytest

from forge_core.errors import StudyError
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import work
from forge_core.evidence.verdict.conclude import conclude
from forge_core.evolution.steps import evaluate_front_on_holdout, export_study, run_study
from forge_core.evolution.storage.ledger import count_holdout_evaluations
from forge_core.files import read_json
from forge_core.judging.study_report import study_page, write_study_report
from forge_core.paths import Home
from tests.evolution.studies import small_spec
from tests.reports.test_pages import checked


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    run_study(small_spec("paged", holdout=["SP500_BULL_2003"], evidence={"luck": 2, "windows": 2}), home)
    return home


def test_a_page_without_evidence_shows_the_luck_line_first(home):
    page = study_page("paged", home)
    texts = checked(page).texts
    (lead,) = re.findall(r"<p class=.lead.>([^<]*)</p>", page)
    assert lead.startswith("luck line of ")
    assert any("is it luck?" in text for text in texts)


def test_every_trade_and_every_holdout_evaluation_is_on_the_page(home):
    evaluate_front_on_holdout("paged", home)
    counted = count_holdout_evaluations(home.ledger, "SP500_BULL_2003")
    page = write_study_report("paged", home=home).read_text()
    assert count_holdout_evaluations(home.ledger, "SP500_BULL_2003") == counted  # reading is no evaluation
    assert f"SP500_BULL_2003: {counted} evaluations, of all studies" in page
    champion = read_json(home.study("paged") / "champion.json")
    for part in ("train", "holdout"):
        for figures in champion[part].values():
            count = figures["metrics"]["total_trades"]
            (listed, *_) = page.split(f"All {count:,} trades")[1].split("</table>")
            assert listed.count("<tr>") == count + 1
    assert "Features used most" in page
    assert "Hypervolume of the front" in page
    assert f"{champion['front_size']} Plays" in page


def test_the_verdict_is_the_first_sentence_of_a_proved_study(home):
    subject = Subject.of("paged", home)
    work(subject)
    evidence = conclude(subject)
    page = study_page("paged", home)
    checked(page)
    (lead,) = re.findall(r"<p class=.lead.>([^<]*)</p>", page)
    assert lead == evidence.sentence
    assert "The same search in markets without memory" in page
    assert "Walk-forward: growth of 1" in page
    assert "Probes of the champion" in page


def test_a_study_that_is_not_complete_has_no_report(home):
    with pytest.raises(StudyError, match="unknown study 'page'"):
        study_page("page", home)
    assert export_study("paged", home.root / "out", home)
