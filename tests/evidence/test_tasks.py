"""The searches of a study's evidence: written as they end, the same whoever does them and whenever it is killed."""

import json
import multiprocessing
from pathlib import Path

import pytest

from forge_core.errors import StudyError
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import Bench, Task, work
from forge_core.evidence.verdict.conclude import conclude
from forge_core.evidence.verdict.section import evidence_section
from forge_core.evidence.verdict.text import read_verdict, verdict_path
from forge_core.evolution.spec.evidence import EvidenceSpec
from forge_core.files import read_json, write_json
from forge_core.paths import Home
from forge_core.sql.query import run_query
from tests.evolution.studies import content


def subject(home: Home, luck: int = 4, windows: int = 2, study: str = "two") -> Subject:
    return Subject(Subject.of(study, home).plan, EvidenceSpec(luck=luck, windows=windows))


@pytest.fixture(scope="module")
def proved(proved_home: Home) -> dict[str, str]:
    """What an undisturbed proof of ``two`` leaves behind."""
    each = subject(proved_home)
    lines: list[str] = []
    done = work(each, log=lines.append)
    assert done == len(lines)
    assert not Bench(each).pending()
    conclude(each)
    return content(Bench(each).folder)


def test_what_is_left_behind(proved: dict[str, str]) -> None:
    tables = {name for name in proved if "/" not in name}
    assert tables == {
        "luck_test.parquet",
        "walk_forward.parquet",
        "walk_forward_days.parquet",
        "probes.parquet",
        "verdict.json",
    }
    verdict = json.loads(proved["verdict.json"])
    assert verdict["verdict"] in ("luck", "unconfirmed")  # four searches cannot reach 5 %
    assert verdict["luck"]["p"] >= 0.2
    assert verdict["sentence"]
    assert {"costs", "delay", "start", "noise", "neighbour", "trades", "drawdown"} <= set(verdict["probes"])


def test_a_report_gets_its_section_in_one_object(proved: dict[str, str], proved_home: Home) -> None:
    section = evidence_section("two", proved_home)
    assert section is not None
    assert section.evidence.document().items() <= json.loads(proved["verdict.json"]).items()
    luck, walk = section.evidence.luck, section.evidence.walk_forward
    assert luck is not None
    assert walk is not None
    assert list(section.luck_scores) == [score for score in luck.scores if score is not None]
    assert section.score == section.evidence.score
    assert section.equity is not None
    assert section.equity["champions"].iloc[-1] == pytest.approx(1.0 + walk.total_return)
    assert len(section.equity) == walk.days
    assert section.windows is not None
    assert len(section.windows) == walk.windows
    assert section.probes is not None
    assert set(section.probes["kind"]) == set(section.evidence.probes)
    assert evidence_section("one", proved_home) is None


def test_a_verdict_of_another_format_does_not_count(proved: dict[str, str], proved_home: Home) -> None:
    path = verdict_path("two", proved_home)
    kept = path.read_text()
    write_json(path, read_json(path) | {"format": 1})
    assert read_verdict("two", proved_home) is None
    path.write_text(kept)


def test_sql_shows_the_evidence(proved: dict[str, str], proved_home: Home) -> None:
    evidence = read_verdict("two", proved_home)
    assert evidence is not None
    found = run_query("SELECT * FROM verdicts WHERE study = 'two'", proved_home).to_dict("records")
    assert [row["sentence"] for row in found] == [evidence.sentence]
    assert evidence.luck is not None
    assert (found[0]["luck_p"], found[0]["luck_as_good"]) == (evidence.luck.p, evidence.luck.as_good)
    scores = run_query("SELECT score FROM luck_searches WHERE study = 'two' ORDER BY search", proved_home)
    assert tuple(scores["score"].astype(object).where(scores["score"].notna(), None)) == evidence.luck.scores
    windows = "SELECT \"window\", test_last, trades FROM walk_forward_windows WHERE study = 'two' ORDER BY ALL"
    assert len(run_query(windows, proved_home)) == 2


def test_a_second_proof_does_nothing_and_ends_alike(proved: dict[str, str], proved_home: Home) -> None:
    each = subject(proved_home)
    assert work(each) == 0
    conclude(each)
    assert content(Bench(each).folder) == proved


def test_the_last_searches_take_the_cores_that_are_left_over(
    proved: dict[str, str], proved_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = subject(proved_home)
    bench = Bench(each)
    for task in (Task("luck", 1), Task("window", 1), Task("drawn_window", 2)):
        bench.path(task).unlink()
    monkeypatch.setenv("FORGE_WORKERS", "4")
    real, seen = Bench.run, []

    def run(self: Bench, task: Task, workers: int = 1) -> object:
        seen.append((len(self.pending()), workers))
        return real(self, task, workers)

    monkeypatch.setattr(Bench, "run", run)
    assert work(each) == 3
    assert [workers for _, workers in seen] == [max(1, 4 // pending) for pending, _ in seen]
    assert seen[-1] == (1, 4)
    conclude(each)
    assert content(bench.folder) == proved


def test_rows_done_in_any_order_give_the_same(proved: dict[str, str], proved_home: Home) -> None:
    each = subject(proved_home)
    bench = Bench(each)
    for path in bench.folder.rglob("*.json"):
        path.unlink()
    for task in reversed(bench.tasks):
        if task.kind == "luck" or task.number == 2:
            bench.run(task)
    work(each)
    conclude(each)
    assert content(bench.folder) == proved


def test_a_proof_with_a_search_missing_is_not_concluded(proved: dict[str, str], proved_home: Home) -> None:
    bench = Bench(subject(proved_home))
    row = bench.path(Task("window", 1))
    kept = row.read_text()
    row.unlink()
    with pytest.raises(StudyError, match=r"1 searches of its evidence are missing.*window 1.*make prove STUDY=two"):
        conclude(bench.subject)
    row.write_text(kept)


def test_rows_of_another_manifest_do_not_count(proved: dict[str, str], proved_home: Home) -> None:
    bench = Bench(subject(proved_home))
    path = bench.path(Task("luck", 1))
    kept = path.read_text()
    write_json(path, read_json(path) | {"manifest_hash": "0" * 16})
    assert bench.row(Task("luck", 1)) is None
    path.write_text(kept)


def test_more_searches_keep_those_there_are(proved: dict[str, str], proved_home: Home) -> None:
    more = Bench(subject(proved_home, luck=6))
    left = [task for task in more.pending() if task.kind == "luck"]
    decided = more.luck() is not None
    assert decided or [task.number for task in left] == [5, 6]


def test_parts_can_be_left_out(proved_home: Home) -> None:
    each = subject(proved_home, luck=0, windows=0, study="one")
    assert Bench(each).tasks == []
    document = conclude(each)
    assert (document.verdict, document.luck, document.walk_forward) == ("untested", None, None)


def _worker(root: Path, study: str) -> None:
    work(subject(Home(root), luck=4, windows=2, study=study))


def test_workers_killed_again_and_again_leave_the_same_tables(proved: dict[str, str], proved_home: Home) -> None:
    """Two processes, killed with SIGKILL at the moment a row appears, and started again until nothing is left."""
    each = subject(proved_home)
    bench = Bench(each)
    for path in bench.folder.rglob("*.json"):
        path.unlink()
    start = multiprocessing.get_context("fork").Process
    kills = 0
    while pending := bench.pending():
        workers = [start(target=_worker, args=(proved_home.root, "two")) for _ in range(2)]
        for worker in workers:
            worker.start()
        victim = workers[kills % 2]
        while victim.is_alive() and len(bench.pending()) >= len(pending):
            victim.join(0.001)
        if victim.is_alive():
            victim.kill()
            kills += 1
        for worker in workers:
            worker.join()
    conclude(each)
    assert kills >= 1
    assert content(bench.folder) == proved
