"""An epoch reads as much, however many there were before it, and the tables are the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from forge_core.errors import DataError
from forge_core.evolution.nsga.front import distinct_front
from forge_core.evolution.run import merge
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.spec.objectives import ConstraintSpec
from forge_core.evolution.steps import finish_study, merge_epoch, plan_study, run_island, run_study
from forge_core.evolution.storage import tables
from forge_core.evolution.storage.known_plays import KnownPlays, read_known_plays
from forge_core.evolution.storage.tables import read_front_losses
from forge_core.paths import Home

from .plays import made_up
from .studies import content, small_spec

EPOCHS = 6
SPEC = small_spec("grown", train=["SP500_BULL_2013"], generations=18, epochs=EPOCHS)


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Yield a list that every table of a study is added to as it is read."""
    found: list[Path] = []
    real = tables.read_table

    def read_table(path: Path, columns: list[str] | None = None):
        found.append(path)
        return real(path, columns)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "read_table", read_table)
        yield found


def test_the_tables_an_epoch_reads_do_not_grow(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_study(SPEC, home)
    counts = []
    for epoch in range(1, EPOCHS + 1):
        with reads(monkeypatch) as found:
            for island in (0, 1):
                run_island(plan, island, epoch)
            merge_epoch(plan, epoch)
        counts.append(sum(".known-" not in path.name for path in found))
    assert counts[1] == counts[2] == counts[-1]  # every epoch after the first reads the one before it
    finish_study(plan)


def test_each_epoch_in_a_process_of_its_own_or_not_the_tables_are_the_same(home: Home) -> None:
    run_study(SPEC.model_copy(update={"name": "once"}), home)
    expected, found = content(home.study("once")), content(home.study("grown"))
    assert found.keys() == expected.keys()
    for name in found:
        if name.endswith(".parquet") and not name.startswith("pareto"):
            assert found[name] == expected[name], name


def test_known_plays_are_those_of_the_tables(home: Home) -> None:
    study = StudyPlan.open("grown", home)
    ends = [study.last_generation(epoch) for epoch in range(1, EPOCHS + 1)]
    for last in (0, 1, 3, 4, 15, 18):
        known = read_known_plays(study.tables, study.folder, 0, last, ends)
        expected = {}
        for generation in range(1, last + 1):
            table = study.tables.read(study.folder.island_table(0, generation))
            expected |= {individual.play: individual.evaluation for individual in study.tables.individuals(table)}
        assert set(known) == expected.keys()
        assert len(known) == len(expected)
        for play, evaluation in expected.items():
            assert play in known
            assert known[play] == evaluation
            np.testing.assert_array_equal(known[play].metrics, evaluation.metrics)


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_a_file_of_known_plays_that_cannot_be_used_is_written_again(home: Home, damage: str) -> None:
    study = StudyPlan.open("grown", home)
    ends = [3, 6]
    path = study.folder.known_plays(1, 1, 3)
    expected = set(read_known_plays(study.tables, study.folder, 1, 6, ends))
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(whole[:100])
    else:
        path.write_bytes((study.folder.generation_table(1)).read_bytes())
        study.tables.manifest_hash = "of another study"
        with pytest.raises(DataError, match="was not written by this study"):
            read_known_plays(study.tables, study.folder, 1, 6, ends)
        return
    assert set(read_known_plays(study.tables, study.folder, 1, 6, ends)) == expected
    assert path.read_bytes() == whole


def test_the_front_of_a_merged_table_is_that_of_all_generations_up_to_it(home: Home) -> None:
    study = StudyPlan.open("grown", home)
    seen = np.empty((0, 2))
    for generation in range(1, 19):
        seen = distinct_front(np.vstack([seen, merge._merged_losses(study, generation)]))
        np.testing.assert_array_equal(read_front_losses(study.folder.generation_table(generation)), seen)


def test_a_front_without_any_play_is_read_back(home: Home) -> None:
    spec = SPEC.model_copy(update={"name": "empty", "constraints": {"min_trades": ConstraintSpec(value=1e6)}})
    plan = plan_study(spec, home)
    for epoch in (1, 2):
        for island in (0, 1):
            run_island(plan, island, epoch)
        assert merge_epoch(plan, epoch)[-1].front == 0


def test_a_play_stays_known(home: Home) -> None:
    known = KnownPlays()
    known["a"] = made_up("a")
    assert list(known) == ["a"]
    with pytest.raises(TypeError, match="stays known"):
        del known["a"]
    with pytest.raises(KeyError):
        known["b"]
    assert json.dumps(sorted(known)) == '["a"]'
