"""The trials of a study as an Optuna study."""

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import StudyError
from forge_core.evolution.steps import read_front, run_study
from forge_core.exporting.optuna_study import export_optuna
from forge_core.files import read_table
from forge_core.paths import Home
from tests.evolution.studies import small_spec


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    run_study(small_spec("trials"), home)
    return home


def test_every_backtested_play_is_a_trial_with_the_same_front(home, tmp_path):
    path = tmp_path / "trials.log"
    count = export_optuna("trials", path, home)
    study = optuna.load_study(study_name="trials", storage=JournalStorage(JournalFileBackend(str(path))))
    assert len(study.trials) == count
    assert study.metric_names == ["sharpe", "max_drawdown"]
    tables = [read_table(p) for p in sorted((home.study("trials") / "generations").glob("*.parquet"))]
    rows = [row for n, table in enumerate(tables, start=1) for row in table.to_pylist() if row["born"] == n]
    rows = [row for row in rows if not row["is_duplicate"]]
    assert [trial.user_attrs["play"] for trial in study.trials] == [row["play"] for row in rows]
    for trial, row in zip(study.trials, rows, strict=True):
        assert trial.values == [row["objective.sharpe"], row["objective.max_drawdown"]]
        assert list(trial.params.values()) == row["genes"]
    front = set(read_front("trials", home)["play"])
    assert front <= {trial.user_attrs["play"] for trial in study.best_trials}


def test_the_command_replaces_the_file(home, tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(home.root))
    path = tmp_path / "trials.log"
    sizes = []
    for _ in range(2):
        outcome = CliRunner().invoke(app, ["study", "export", "trials", "--to", "optuna", "--out", str(path)])
        assert outcome.exit_code == 0, outcome.output
        sizes.append(len(path.read_text().splitlines()))
    assert sizes[0] == sizes[1]


def test_a_study_that_was_not_run_has_no_trials(home, tmp_path):
    with pytest.raises(StudyError, match="unknown study 'trial'"):
        export_optuna("trial", tmp_path / "x.log", home)
