"""Assessment in processes gives what this process gives: hashes, evaluations, returns, the ledger's JSON."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from forge_core.errors import DataError
from forge_core.evolution.run import island as island_module
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.search import evaluation, forked_assessor
from forge_core.evolution.search.assessment import Assessment, LocalAssessor
from forge_core.evolution.search.forked_assessor import ForkedAssessor, SharedHashes
from forge_core.evolution.steps import plan_study, run_island
from forge_core.forked_workers import WorkerDied, can_fork
from forge_core.paths import Home

from .studies import small_spec

pytestmark = pytest.mark.skipif(not can_fork(), reason="processes are forked on Linux only")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> StudyPlan:
    return StudyPlan.make(small_spec("forked"), Home(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def genomes(plan: StudyPlan) -> list:
    rng = np.random.default_rng(4)
    sizes = [gene.size for gene in plan.genome.genes]
    drawn = [tuple(int(v) for v in rng.integers(0, sizes)) for _ in range(24)]
    return [*drawn, drawn[3], drawn[0]]


def same(a: Assessment, b: Assessment) -> bool:
    if a.evaluation is None or b.evaluation is None:
        return a == b
    assert all(daily.dtype == np.float32 for daily in (*a.daily_returns, *b.daily_returns))
    return (
        (a.play, a.document, a.evaluation) == (b.play, b.document, b.evaluation)
        and np.array_equal(a.evaluation.metrics, b.evaluation.metrics, equal_nan=True)
        and all(np.array_equal(x, y) for x, y in zip(a.daily_returns, b.daily_returns, strict=True))
    )


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_nothing(plan: StudyPlan, genomes: list, workers: int) -> None:
    evaluator = plan.evaluator(plan.spec.train)
    local = LocalAssessor(plan.genome, evaluator.evaluate)
    known = {local.assess(0, genomes[5:6], ())[0].play}
    expected = local.assess(0, genomes, known)
    with ForkedAssessor(plan.genome, evaluator, workers, 10, name="a test") as forked:
        forked.learn(0, known)
        found = forked.assess(0, genomes, known)
        assert found[5] == Assessment(expected[5].play)
        for a, b in zip(expected[:24], found[:24], strict=True):
            assert same(a, b)
        assert [a.play for a in found[24:]] == [found[3].play, found[0].play]
        again = forked.assess(0, genomes, {a.play for a in found})
        assert all(a == Assessment(b.play) for a, b in zip(again, found, strict=True))
        other = forked.assess(1, genomes[:1], ())  # another island does not know it
        assert same(other[0], expected[0])


def test_a_failed_play_and_a_long_document(plan: StudyPlan, genomes: list, monkeypatch: pytest.MonkeyPatch) -> None:
    real = evaluation.simulate

    def fails(play, feed, **settings):
        if play.risk.stop is None:
            raise FloatingPointError("ö" * 400)
        return real(play, feed, **settings)

    monkeypatch.setattr(evaluation, "simulate", fails)
    monkeypatch.setattr(forked_assessor, "_DOCUMENT_BYTES", 600)  # less than some documents have
    evaluator = plan.evaluator(plan.spec.train)
    expected = LocalAssessor(plan.genome, evaluator.evaluate).assess(0, genomes[:24], ())
    assert 0 < sum(bool(a.evaluation.error) for a in expected) < 24
    assert min(len(a.document) for a in expected) < 600 < max(len(a.document) for a in expected)
    with ForkedAssessor(plan.genome, evaluator, 2, 24, name="a test") as forked:
        for a, b in zip(expected, forked.assess(0, genomes[:24], ()), strict=True):
            assert same(a, b)


def test_shared_hashes_are_a_set_that_stops_at_half_its_size() -> None:
    rng = np.random.default_rng(1)
    numbers = [int(n) for n in rng.integers(1, 2**63, 40)] + [2**64 - 1, 7, 7 + 64, 7 + 128]
    hashes = SharedHashes(64)
    for number in (*numbers[-10:], *numbers):
        hashes.add(number)
    kept = [number for number in numbers if number in hashes]
    assert set(numbers[-10:]) <= set(kept)
    assert len(kept) == 32
    assert 12345 not in hashes


def test_a_killed_worker_ends_the_island_and_the_next_run_ends_with_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables(home: Home) -> dict[str, bytes]:
        folder = home.study("killed")
        return {p.name: p.read_bytes() for p in sorted(folder.glob("island=0/generation=*.parquet"))}

    spec = small_spec("killed")
    whole, cut = Home(tmp_path / "whole"), Home(tmp_path / "cut")
    run_island(plan_study(spec, whole), 0, 1, workers=1)
    document = plan_study(spec, cut)
    real = island_module._check_any_worked

    workers: list[int] = []

    def enter(assessor: ForkedAssessor) -> ForkedAssessor:
        workers.extend(assessor.processes)
        return assessor

    def kill(*arguments: object) -> None:
        real(*arguments)
        os.kill(workers[0], signal.SIGKILL)

    monkeypatch.setattr(ForkedAssessor, "__enter__", enter)
    monkeypatch.setattr(island_module, "_check_any_worked", kill)
    with pytest.raises(WorkerDied, match=r"island 0 of study 'killed': worker process .* SIGKILL"):
        run_island(document, 0, 1, workers=2)
    assert len(workers) == 2
    assert not any(psutil.pid_exists(worker) for worker in workers)
    monkeypatch.undo()
    assert run_island(document, 0, 1, workers=2).generations == 1
    assert tables(cut) == tables(whole)


def test_missing_data_in_a_worker_end_the_island_with_their_message(
    plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise DataError("close.npy is damaged")

    monkeypatch.setattr(evaluation, "simulate", breaks)
    before = set(psutil.Process().children())
    with pytest.raises(DataError, match=r"^close.npy is damaged$"):
        run_island(plan.document(), 0, 1, workers=2)
    assert set(psutil.Process().children()) <= before
