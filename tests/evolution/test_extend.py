"""A study that is extended has the tables of one that was asked for at once."""

import shutil

import pytest
import yaml

from forge_core.errors import StudyError
from forge_core.evolution.run.estimate import estimate_study
from forge_core.evolution.run.extend import extend_study
from forge_core.evolution.spec.study import load_study
from forge_core.evolution.spec.template import new_study
from forge_core.evolution.steps import run_study, study_status
from forge_core.market.datasets.build import ensure_dataset
from forge_core.paths import Home, project_root

from .studies import content, small_spec


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the shipped datasets and no study."""
    shutil.copytree(project_root() / "datasets", tmp_path / "datasets")
    (tmp_path / "studies").mkdir()
    monkeypatch.setenv("FORGE_PROJECT", str(tmp_path))
    return tmp_path


def tables(home: Home, name: str) -> dict[str, str]:
    return {path: value for path, value in content(home.study(name)).items() if path.endswith(".parquet")}


def trials(home: Home, name: str) -> list[str]:
    return sorted(path.relative_to(home.ledger / name).as_posix() for path in (home.ledger / name).rglob("*.parquet"))


def test_an_extended_study_has_the_tables_of_a_longer_one(home: Home) -> None:
    run_study(small_spec("grown"), home)
    longer = extend_study("grown", 4, home)
    assert (longer.generations, longer.epochs) == (8, 4)
    assert study_status("grown", home).state == "under way"
    run_study(longer, home)
    grown, recorded = tables(home, "grown"), trials(home, "grown")

    (home.study("grown")).rename(home.study("kept"))
    shutil.move(home.ledger / "grown", home.ledger / "kept")
    run_study(small_spec("grown", generations=8, epochs=4), home)
    assert grown == tables(home, "grown")
    assert recorded == trials(home, "grown")  # filed under the same manifest: each trial once


def test_the_lengths_of_epochs_decide_by_how_much(home: Home) -> None:
    run_study(small_spec("uneven", generations=5), home)  # epochs of 3 and 2
    with pytest.raises(StudyError, match="by whole epochs of 2 generations: 2, 4, 6"):
        extend_study("uneven", 3, home)
    assert extend_study("uneven", 2, home).epoch_generations == [3, 2, 2]
    with pytest.raises(StudyError, match="'uneven' is under way; run it to its end"):
        extend_study("uneven", 2, home)


def test_a_study_that_stopped_early_is_not_extended(home: Home) -> None:
    spec = small_spec("stalled", generations=6, epochs=3, stall={"generations": 1, "gain": 0.99})
    run_study(spec, home)
    with pytest.raises(StudyError, match="stopped early after generation"):
        extend_study("stalled", 2, home)


def test_the_file_of_an_extended_study_says_so(home: Home, project) -> None:
    path, _ = new_study("mine", ["SP500_BEAR_2008"], level=1, population=8, generations=2)
    path.write_text(path.read_text().replace("epochs: 2\n", "epochs: 1\n"))
    run_study(load_study("mine"), home)
    path.write_text(path.read_text().replace("seed: 1", "seed: 2"))
    with pytest.raises(StudyError, match="was changed since study 'mine' started"):
        extend_study("mine", 2, home)
    path.write_text(path.read_text().replace("seed: 2", "seed: 1"))
    before = path.read_text()
    extend_study("mine", 2, home)
    assert path.read_text() == before.replace("generations: 2\n", "generations: 4\n").replace("epochs: 1", "epochs: 2")
    run_study(load_study("mine"), home)
    assert study_status("mine", home).generation == 4


def test_a_new_study_is_valid_and_takes_no_name_twice(project) -> None:
    path, spec = new_study("mine", ["SP500_2000_2011"], ["SP500_2012_2018"])
    assert yaml.safe_load(path.read_text())["train"] == ["SP500_2000_2011"]
    assert load_study("mine") == spec
    with pytest.raises(StudyError, match="already"):
        new_study("mine", ["SP500_2000_2011"])
    with pytest.raises(ValueError, match="overlaps"):
        new_study("other", ["SP500_2000_2011"], ["SP500_BEAR_2008"])
    assert not (project / "studies" / "other.yaml").exists()


def test_an_estimate_counts_what_the_study_does_and_records_nothing(home: Home) -> None:
    spec = small_spec("estimated", population=40, generations=10)
    versions = [ensure_dataset(name, home) for name in spec.train]
    one = estimate_study(spec, versions, workers=1, seconds=0.1, home=home)
    two = estimate_study(spec, versions, workers=2, seconds=0.1, home=home)
    assert one.evaluations == 400
    assert one.sampled >= 4
    assert 0 < one.columns <= one.columns_in_space
    assert one.seconds > 0
    assert two.memory_mb > one.worker_mb
    assert one.disk_mb > one.bank_mb > 0
    assert not home.study("estimated").exists()
