"""``forge study``: holdout, export, reset and the newer dataset that status tells of."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import StudyError
from forge_core.evolution.steps import (
    evaluate_front_on_holdout,
    list_studies,
    plan_study,
    run_island,
    run_study,
    study_status,
)
from forge_core.evolution.storage.ledger import Ledger, count_holdout_evaluations
from forge_core.files import read_json, write_json
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import load_play, parse_play

from .studies import small_spec


@pytest.fixture(scope="module")
def study(home: Home) -> Home:
    run_study(small_spec("commands", holdout=["NASDAQ_DOTCOM_BUST"]), home)
    return home


@pytest.fixture
def forge(study: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORGE_HOME", str(study.root))
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *arguments, **options: CliRunner().invoke(app, ["study", *arguments], **options)


def test_each_holdout_evaluation_is_counted_once(study: Home, forge) -> None:
    front = pq.read_table(study.study("commands") / "pareto_front.parquet").to_pandas()
    report = json.loads((study.study("commands") / "champion.json").read_text())
    table = evaluate_front_on_holdout("commands", study)
    assert list(table.play) == list(front.play)
    # the champion was evaluated when the study ended: it keeps its number, the others follow
    assert set(table.evaluation) == set(range(1, len(front) + 1))
    champion = table[table.play == report["play"]].iloc[0]
    held = report["holdout"]["NASDAQ_DOTCOM_BUST"]
    assert champion["evaluation"] == held["look"] == 1
    assert champion["sharpe"] == held["metrics"]["sharpe"]
    assert (table.evaluations == len(front)).all()

    said = forge("holdout", "commands", "--limit", "1")
    assert said.exit_code == 0, said.output
    assert f"NASDAQ_DOTCOM_BUST: {len(front)} holdout evaluations" in said.output
    assert count_holdout_evaluations(study.ledger, "NASDAQ_DOTCOM_BUST") == len(front)
    shown = forge("holdout", "commands", "--csv")
    assert len(shown.output.strip().splitlines()) == 1 + len(front)


def test_a_holdout_evaluation_recorded_under_the_older_key_keeps_its_number(home: Home) -> None:
    ledger = Ledger(home, "older", "manifest")
    assert [ledger.record_holdout_evaluation("OLDER", "hash", play) for play in "ab"] == [1, 2]
    for path in (home.ledger / "holdout" / "OLDER").glob("*.json"):
        entry = read_json(path)
        number = entry.pop("evaluation")
        write_json(path, {**entry, "look": number})
    assert [ledger.record_holdout_evaluation("OLDER", "hash", play) for play in "abc"] == [1, 2, 3]


def test_holdout_and_export_want_a_complete_study(study: Home, forge) -> None:
    run_island(plan_study(small_spec("begun"), study), 0, 1)
    for command in (("holdout", "begun"), ("export", "begun", "--out", "anywhere")):
        refused = forge(*command)
        assert refused.exit_code == 1
        assert "under way" in refused.output
    run_study(small_spec("unheld"), study)
    with pytest.raises(StudyError, match="no holdout"):
        evaluate_front_on_holdout("unheld", study)


def test_export(study: Home, forge, tmp_path) -> None:
    result = forge("export", "commands", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    front = pq.read_table(study.study("commands") / "pareto_front.parquet").to_pandas()
    assert pd.read_parquet(tmp_path / "out" / "pareto_front.parquet").equals(front)
    read = pd.read_csv(tmp_path / "out" / "pareto_front.csv")
    assert list(read["objective.sharpe"]) == list(front["objective.sharpe"])
    plays = sorted((tmp_path / "out" / "plays").iterdir())
    assert [path.stem.partition("_")[2] for path in plays] == list(front.play)
    assert [load_play(path) for path in plays] == [parse_play(text) for text in front.yaml]
    report = json.loads((study.study("commands") / "champion.json").read_text())
    assert play_hash(load_play(tmp_path / "out" / "champion.yaml")) == report["shown"]
    for part in ("train", "holdout"):
        for dataset, figures in report[part].items():
            trades = pd.read_csv(tmp_path / "out" / f"champion_trades_{dataset}.csv")
            equity = pd.read_csv(tmp_path / "out" / f"champion_equity_{dataset}.csv")
            assert len(trades) == figures["metrics"]["total_trades"]
            assert equity.iloc[-1, 1] / 100_000 - 1 == pytest.approx(figures["metrics"]["total_return"])


def test_reset_asks_first_and_keeps_everything(study: Home, forge) -> None:
    run_study(small_spec("resettable", generations=2), study)
    tables = len(list(study.study("resettable").rglob("*.parquet")))
    refused = forge("reset", "resettable", input="n\n")
    assert refused.exit_code == 1
    assert "archive it?" in refused.output
    assert study.study("resettable").exists()
    assert forge("reset", "resettable", input="y\n").exit_code == 0
    assert not study.study("resettable").exists()
    archived = list((study.root / "studies" / ".archive").glob("resettable-*"))
    assert len(list(archived[0].rglob("*.parquet"))) == tables
    assert list((study.ledger / "resettable").rglob("*.parquet"))
    run_study(small_spec("resettable", generations=2), study)
    assert forge("reset", "resettable", "--yes").exit_code == 0
    assert len(list((study.root / "studies" / ".archive").glob("resettable-*"))) == 2


def test_status_tells_of_a_newer_dataset(study: Home, forge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert study_status("commands", study).newer == {}
    pinned = json.loads((study.study("commands") / "manifest.json").read_text())["datasets"]["SP500_BULL_2013"]["hash"]
    shutil.copytree(study.study("commands"), study.study("outdated"))
    manifest = study.study("outdated") / "manifest.json"
    values = read_json(manifest)
    values["datasets"]["SP500_BULL_2013"]["hash"] = "0123456789abcdef"
    write_json(manifest, values)
    assert study_status("outdated", study).newer == {"SP500_BULL_2013": ("0123456789abcdef", pinned)}
    said = forge("status", "outdated").output
    assert f"SP500_BULL_2013: there is a newer version {pinned}" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [SP500_BEAR_208]\n", "did you mean 'SP500_BEAR_2008'"),
        ("train: [\n", "not valid YAML"),
        ("- a list\n", "a mapping of keys is expected"),
    ],
)
def test_an_invalid_study_file_is_listed_with_its_error(
    forge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str
) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    shutil.copy(list_studies()["quickstart"], studies / "quickstart.yaml")
    monkeypatch.setattr("forge_core.study_files.project_root", lambda: tmp_path)
    (studies / "broken.yaml").write_text(text)
    listed = forge("list")
    assert listed.exit_code == 0, listed.output
    assert "quickstart" in listed.output
    assert any(line.startswith("broken ") and "invalid" in line for line in listed.output.splitlines())
    assert f"{studies / 'broken.yaml'}" in listed.output
    assert message in listed.output
