"""Whole studies on real bars: the same tables however they come about, whatever happens on the way."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from forge_core.errors import DataError, StudyError
from forge_core.evolution.nsga.nsga2 import PublicNsga2
from forge_core.evolution.run import champion, plan
from forge_core.evolution.run.island import IslandReport
from forge_core.evolution.run.memory_usage import Memory
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.steps import (
    finish_study,
    merge_epoch,
    plan_study,
    reset_study,
    run_island,
    run_study,
    study_status,
)
from forge_core.evolution.storage import known_plays, ledger, tables
from forge_core.evolution.storage.ledger import count_holdout_evaluations
from forge_core.evolution.storage.tables import TableFormat
from forge_core.paths import Home

from .studies import content, small_spec


def cleared(home: Home, name: str = "reference") -> Home:
    """Remove a study and its ledger from ``home``."""
    for path in (home.study(name), home.ledger / name, home.ledger / "holdout" / "SP500_BULL_2003"):
        shutil.rmtree(path, ignore_errors=True)
    return home


def run(spec: StudySpec, home: Home, *, workers: int = 1, order: Callable = lambda islands: islands) -> dict:
    document = json.loads(json.dumps(plan_study(spec, home)))  # a step gets it from another process
    for epoch in range(1, spec.epochs + 1):
        for island in order(range(spec.islands)):
            run_island(document, island, epoch, workers=workers)
        merge_epoch(document, epoch)
    return finish_study(document)


def test_what_a_study_leaves_behind(done: tuple) -> None:
    _home, report, found = done
    islands = [f"island={i}/generation={g:04d}.parquet" for i in (0, 1) for g in (1, 2, 3, 4)]
    merged = [f"generations/{g:04d}.parquet" for g in (1, 2, 3, 4)]
    ends = ["champion.json", "champion.yaml", "manifest.json", "pareto_front.parquet"]
    assert sorted(found) == sorted([*islands, *merged, *ends])
    assert report.front_size >= 1
    assert len(report.champion.train) == 2
    assert len(report.holdout) == 1


def test_tables_of_a_study(done: tuple) -> None:
    home, _, _ = done
    folder = home.study("reference")
    for generation in (1, 2, 3, 4):
        whole = pq.read_table(folder / f"generations/{generation:04d}.parquet").to_pandas()
        assert (whole.born <= generation).all()
        assert whole.id.is_unique or generation > 2  # a migrant is a parent on two islands
        for island, size in ((0, 5), (1, 4)):
            table = pq.read_table(folder / f"island={island}/generation={generation:04d}.parquet", partitioning=None)
            rows = table.to_pandas()
            assert rows.survivor.sum() <= size
            assert rows[rows.survivor].play.is_unique
            assert ((rows.born == generation) & (rows.island == island)).sum() == size
            assert sorted(rows["rank"][rows.survivor]) == list(range(rows.survivor.sum()))


def test_parents_are_the_survivors_of_the_table_before(done: tuple) -> None:
    home, _, _ = done
    folder = home.study("reference")

    def rows(island: int, generation: int):
        return pq.read_table(
            folder / f"island={island}/generation={generation:04d}.parquet", partitioning=None
        ).to_pandas()

    for island in (0, 1):
        for generation in (2, 4):
            before, after = rows(island, generation - 1), rows(island, generation)
            parents = after[after.born < generation]
            assert list(parents.id) == list(before[before.survivor].sort_values("rank").id)
        met = rows(island, 3)  # the islands have met after generation 2
        parents = met[met.born < 3]
        here, there = rows(island, 2), rows(1 - island, 2)
        assert set(parents.id) <= set(here[here.survivor].id) | set(there[there.survivor].id)
        assert len(parents) == min((5, 4)[island], len(parents))
        assert (parents.island != island).sum() <= 2
        assert parents.play.is_unique


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_no_table(done: tuple, workers: int) -> None:
    home, _, expected = done
    cleared(home)
    run(small_spec("reference"), home, workers=workers)
    assert content(home.study("reference")) == expected


def test_both_ways_to_optuna_write_the_same_tables(done: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _, expected = done
    cleared(home)
    monkeypatch.setattr(plan, "make_nsga2", PublicNsga2)
    run(small_spec("reference"), home)
    assert content(home.study("reference")) == expected


def test_the_order_of_islands_changes_no_table(done: tuple) -> None:
    home, _, expected = done
    cleared(home)
    run(small_spec("reference"), home, order=lambda islands: reversed(islands))
    assert content(home.study("reference")) == expected


def test_a_study_that_is_complete_stays_as_it_is(done: tuple) -> None:
    home, report, expected = done
    said: list[str] = []
    again = run_study(small_spec("reference"), home, said.append)
    assert again == report
    assert content(home.study("reference")) == expected
    assert not any("backtested" in line for line in said)
    assert count_holdout_evaluations(home.ledger, "SP500_BULL_2003") == 1


class Killed(Exception):
    """Stands for the end of the process."""


def kill_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Make the ``at``-th write of a file (from 1) of the study or its ledger the last thing that happens."""
    count = 0

    def dying(real: Callable) -> Callable:
        def write(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise Killed
            return real(*args, **kwargs)

        return write

    for module in (tables, known_plays, ledger, champion, plan):
        for name in ("write_table", "write_json", "write_text"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, dying(getattr(module, name)))


def test_killed_at_every_write_and_run_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was the last write before the end, the next run ends with the tables of an undisturbed one."""
    # quicker: neither durability nor memory is what this test is about
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("forge_core.evolution.run.island.unique_memory", lambda: Memory(0.0, 0.0))
    spec = small_spec("killed", train=["SP500_BULL_2013"], population=5, generations=3, holdout=["NASDAQ_BULL_2003"])
    report = run_study(spec, home)
    expected = content(home.study("killed"))
    evaluations = home.ledger / "holdout" / "NASDAQ_BULL_2003"
    at, finished = 0, False
    while not finished:
        at += 1
        for path in (home.study("killed"), home.ledger / "killed", evaluations):
            shutil.rmtree(path)
        with monkeypatch.context() as patch:
            kill_at(patch, at)
            try:
                run_study(spec, home)
                finished = True
            except Killed:
                pass
        for path in home.study("killed").glob("island=*/generation=*.parquet"):  # none without its Plays on record
            assert len(list(home.ledger.glob(f"killed/*/{path.parent.name}/{path.name}"))) == 1
        assert run_study(spec, home) == report, at
        assert content(home.study("killed")) == expected, at
        assert count_holdout_evaluations(home.ledger, "NASDAQ_BULL_2003") == 1
    assert at > 2 * 6 + 3 + 4  # ledger and table of each island's generation, merged tables, the end


def test_a_table_that_is_gone_is_made_again(done: tuple) -> None:
    home, _, expected = done
    cleared(home)
    run_study(small_spec("reference"), home)
    for name in ("island=0/generation=0002.parquet", "island=1/generation=0004.parquet", "generations/0003.parquet"):
        (home.study("reference") / name).unlink()
    run_study(small_spec("reference"), home)
    assert content(home.study("reference")) == expected


def test_a_damaged_table_is_named_with_what_to_do(done: tuple) -> None:
    home, _, expected = done
    path = home.study("reference") / "island=1/generation=0002.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    (home.study("reference") / "island=1/generation=0004.parquet").unlink()
    with pytest.raises(DataError, match=r"island=1/generation=0002\.parquet is damaged.*delete it and run"):
        run_study(small_spec("reference"), home)
    path.unlink()
    run_study(small_spec("reference"), home)
    assert content(home.study("reference")) == expected


def test_an_island_waits_for_the_epoch_before(home: Home) -> None:
    document = plan_study(small_spec("waits"), home)
    with pytest.raises(StudyError, match="island 0 has no generation 1 yet"):
        run_island(document, 0, 2)
    run_island(document, 0, 1)
    with pytest.raises(StudyError, match="island 1 has no generation 2 yet"):
        run_island(document, 0, 2)
    with pytest.raises(StudyError, match="generation 1 of island 1 is missing"):
        merge_epoch(document, 1)
    with pytest.raises(StudyError, match="not complete"):
        finish_study(document)
    for island, epoch, message in ((2, 1, "islands 0 to 1, not 2"), (0, 3, "epochs 1 to 2, not 3")):
        with pytest.raises(StudyError, match=message):
            run_island(document, island, epoch)


def test_one_process_an_island(home: Home) -> None:
    document = plan_study(small_spec("locked"), home)
    folder = StudyPlan.read(document).folder
    with FileLock(folder.island_lock(1)):
        run_island(document, 0, 1)
        with pytest.raises(StudyError, match="island 1 of study 'locked' is being evolved by another process"):
            run_island(document, 1, 1)
        with pytest.raises(StudyError, match="is being evolved; stop the run"):
            reset_study("locked", home)
    with FileLock(folder.run_lock), pytest.raises(StudyError, match="is being run by another process"):
        run_study(small_spec("locked"), home)
    run_island(document, 1, 1)


def test_leftovers_of_a_cut_off_write_are_cleared(home: Home) -> None:
    document = plan_study(small_spec("leftovers"), home)
    leftover = home.study("leftovers") / "island=0" / ".generation=0001.parquet.abc.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    run_island(document, 0, 1)
    assert not leftover.exists()


def test_what_an_island_reports(home: Home) -> None:
    said: list[str] = []
    document = plan_study(small_spec("reports"), home)
    figures = json.loads(json.dumps(run_island(document, 0, 1, said.append, workers=2).document()))
    assert figures["children"] == 10
    assert figures["generations"] == 2
    assert 0 < figures["evaluations"] <= 10
    assert figures["peak_memory_mb"] > 0
    assert IslandReport.read(figures).document() == figures
    assert set(figures["seconds"]) == {"ask", "backtest", "select", "total"}
    assert len(said) == 2
    assert "island 0, generation 1/4" in said[0]
    assert run_island(document, 0, 1).generations == 0


def test_figures_of_generations(done: tuple) -> None:
    home, _, _ = done
    document = plan_study(small_spec("reference"), home)
    figures = [*merge_epoch(document, 1), *merge_epoch(document, 2)]
    assert [f.generation for f in figures] == [1, 2, 3, 4]
    assert [f.children for f in figures] == [9] * 4
    assert all(f.evaluated + f.duplicates == f.children for f in figures)
    volumes = [f.hypervolume for f in figures]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0
    assert all(set(f.best) == {"sharpe", "max_drawdown"} for f in figures)
    assert len({f.content_hash for f in figures}) == 4
    assert figures[-1].front >= 1


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"seed": 12}, ["study.seed: was 11, is 12"]),
        ({"population": 10, "islands": 1}, ["study.islands: was 2, is 1", "study.population: was 9, is 10"]),
        ({"space": {"level": 1}}, ["space: was", "study.space.level: was 2, is 1"]),
        ({"costs": {"commission_bps": 5}}, ["costs.SP500.commission_bps: was", "study.costs: was null, is"]),
        ({"holdout": []}, ['datasets.SP500_BULL_2003: was {"hash":', "is gone"]),
        ({"constraints": {"min_trades": 4}}, ["study.constraints.min_trades.value: was 3.0, is 4.0"]),
    ],
)
def test_a_changed_study_is_refused_with_a_diff(done: tuple, change: dict, lines: list[str]) -> None:
    home, _, expected = done
    with pytest.raises(StudyError) as caught:
        plan_study(small_spec("reference", **change), home)
    message = str(caught.value)
    for line in [*lines, "another name", "forge study reset reference"]:
        assert line in message
    assert content(home.study("reference")) == expected


def test_changed_versions_are_refused(done: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _, _ = done
    monkeypatch.setattr("forge_core.evolution.storage.manifest.ENGINE_VERSION", "next")
    with pytest.raises(StudyError, match=r'versions.engine: was ".*", is "next"'):
        plan_study(small_spec("reference"), home)


def test_a_description_may_change(done: tuple) -> None:
    home, _, expected = done
    plan_study(small_spec("reference", description="said better"), home)
    assert content(home.study("reference")) == expected


def test_a_damaged_manifest_is_named(home: Home) -> None:
    plan_study(small_spec("damaged"), home)
    (home.study("damaged") / "manifest.json").write_text('{"format": 1')
    with pytest.raises(DataError, match=r"damaged/manifest\.json is damaged"):
        plan_study(small_spec("damaged"), home)


def test_the_manifest_pins_data_and_versions(done: tuple) -> None:
    _home, _, found = done
    manifest = json.loads(found["manifest.json"])
    assert manifest["datasets"].keys() == {"SP500_BEAR_2008", "SP500_BULL_2013", "SP500_BULL_2003"}
    assert manifest["reference_point"] == {"sharpe": 0.0, "max_drawdown": 1.0}
    assert {"engine", "features", "numba", "numpy", "optuna"} <= manifest["versions"].keys()
    assert manifest["instruments"].keys() == manifest["costs"].keys() == {"SP500"}


def test_reset_archives_and_keeps_the_ledger(home: Home) -> None:
    spec = small_spec("again")
    document = plan_study(spec, home)
    run_study(spec, home)
    before = content(home.study("again"))
    recorded = content(home.ledger / "again")
    archive = reset_study("again", home)
    assert content(Path(archive)) == before
    assert not home.study("again").exists()
    assert content(home.ledger / "again") == recorded
    with pytest.raises(StudyError, match="was reset or restarted"):
        run_island(document, 0, 1)
    with pytest.raises(StudyError, match="has not started"):
        reset_study("again", home)
    run_study(small_spec("again", seed=12), home)  # another manifest adds to the ledger
    assert content(home.ledger / "again").items() > recorded.items()
    assert reset_study("again", home) != archive


def test_a_dataset_that_is_gone_is_built_again(home: Home, tmp_path: Path) -> None:
    spec = small_spec("rebuilt", train=["SP500_RANGE_2015"], holdout=[])
    document = plan_study(spec, home)
    shutil.rmtree(home.dataset("SP500_RANGE_2015"))
    assert plan_study(spec, home)["datasets"] == document["datasets"]


def test_islands_need_each_other_only_when_they_meet(home: Home) -> None:
    """An island's first epoch is the same whether or not other islands ever ran."""
    alone = plan_study(small_spec("alone"), home)
    run_island(alone, 1, 1)
    study = StudyPlan.read(alone)
    run_study(small_spec("together"), home)
    other = StudyPlan.read(plan_study(small_spec("together"), home))
    for generation in (1, 2):
        a = study.tables.read(study.folder.island_table(1, generation))
        b = other.tables.read(other.folder.island_table(1, generation))
        assert a.replace_schema_metadata() == b.replace_schema_metadata()


def test_a_single_island_and_a_single_epoch(home: Home) -> None:
    report = run_study(small_spec("single", islands=1, epochs=1, population=4, generations=2), home)
    assert report.front_size >= 0
    assert study_status("single", home).islands == [2]


def test_a_format_that_changed_is_not_read_as_ones_own(done: tuple) -> None:
    home, _, _ = done
    study = StudyPlan.read(plan_study(small_spec("reference"), home))
    other = TableFormat("other", study.genome.genes, study.spec.train, study.objectives)
    with pytest.raises(DataError, match="delete it and run the study again"):
        other.read(study.folder.generation_table(1))


def test_a_plan_is_plain_data(home: Home) -> None:
    document = plan_study(small_spec("plain"), home)
    assert json.loads(json.dumps(document)) == document
    assert StudyPlan.read(document).spec == small_spec("plain")
    assert document["island_sizes"] == [5, 4]
    assert document["generations_per_epoch"] == [2, 2]
    assert replace(StudyPlan.read(document)).hash == document["manifest_hash"]
