"""What a study ends with: the ledger, the front, the champion and one counted evaluation on the holdout; its status."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from forge_core.errors import StudyError
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import ChampionReport
from forge_core.evolution.steps import plan_study, read_front, run_island, run_study, status_text, study_status
from forge_core.evolution.storage.ledger import count_holdout_evaluations
from forge_core.files import read_json
from forge_core.metrics.catalog import METRICS
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import load_play, parse_play

from .studies import small_spec


def test_the_ledger_has_every_play_with_its_daily_returns(done: tuple) -> None:
    home, _, _ = done
    study = StudyPlan.read(plan_study(small_spec("results"), home))
    backtested = recorded = 0
    for generation in range(1, 5):
        for island in (0, 1):
            rows = pq.read_table(study.folder.island_table(island, generation), partitioning=None).to_pandas()
            fresh = rows[(rows.born == generation) & ~rows.is_duplicate]
            trials = pq.read_table(study.ledger.trials(island, generation), partitioning=None)
            assert trials["play"].to_pylist() == list(fresh.play)
            backtested += len(fresh)
            recorded += trials.num_rows
            for name in study.spec.train:
                returns = trials[f"daily_returns.{name}"]
                assert returns.type.value_type == "float"
                days = fresh[f"{name}.days"].to_numpy()
                assert [len(r) for r in returns.to_pylist()] == days.tolist()
            for play, document in zip(trials["play"].to_pylist(), trials["document"].to_pylist(), strict=True):
                assert play_hash(parse_play(json.loads(document))) == play
    assert backtested == recorded > 9
    assert read_json(study.ledger.folder / "manifest.json") == study.manifest


def test_daily_returns_are_those_the_metrics_come_from(done: tuple) -> None:
    home, _, _ = done
    study = StudyPlan.read(plan_study(small_spec("results"), home))
    trials = pq.read_table(study.ledger.trials(0, 1), partitioning=None).to_pandas()
    rows = pq.read_table(study.folder.island_table(0, 1), partitioning=None).to_pandas()
    for _i, name in enumerate(study.spec.train):
        total = [np.prod(1 + r.astype(float)) - 1 for r in trials[f"daily_returns.{name}"]]
        np.testing.assert_allclose(total, rows[f"{name}.total_return"].to_numpy(), atol=1e-4)


def test_the_front_is_feasible_and_undominated(done: tuple) -> None:
    home, report, _ = done
    folder = home.study("results")
    front = pq.read_table(folder / "pareto_front.parquet").to_pandas()
    every = [pq.read_table(folder / f"generations/{g:04d}.parquet").to_pandas() for g in (1, 2, 3, 4)]
    assert len(front) == report.front_size == len(set(front.play))
    for row in front.itertuples():
        sharpe, drawdown = front.loc[row.Index, ["objective.sharpe", "objective.max_drawdown"]]
        for table in every:
            feasible = table[table.feasible]
            better = (feasible["objective.sharpe"] >= sharpe) & (feasible["objective.max_drawdown"] <= drawdown)
            equal = (feasible["objective.sharpe"] == sharpe) & (feasible["objective.max_drawdown"] == drawdown)
            assert not (better & ~equal).any()
    assert list(front["objective.sharpe"]) == sorted(front["objective.sharpe"], reverse=True)
    metrics = [column for column in front if column.startswith("SP500")]
    assert not front[metrics].duplicated().any()
    shown = read_front("results", home)
    assert list(shown.columns[:3]) == ["play", "sharpe", "max_drawdown"]
    assert len(shown) == len(front)


def test_the_champion_is_on_the_front_and_can_be_traded(done: tuple) -> None:
    home, report, _ = done
    folder = home.study("results")
    front = pq.read_table(folder / "pareto_front.parquet").to_pandas()
    assert report.play in set(front.play)
    play = load_play(folder / "champion.yaml")
    assert play.name == "results_champion"
    assert play_hash(play) == report.champion.shown
    for figures in (*report.champion.train.values(), *report.holdout.values()):
        assert figures.metrics.keys() == {metric.name for metric in METRICS}
        assert all(figures.metrics[name] is None for name in figures.undefined)


def test_the_champion_by_an_objective(done: tuple, home: Home) -> None:
    report = run_study(small_spec("loudest", champion="best:sharpe"), home)
    front = pq.read_table(home.study("loudest") / "pareto_front.parquet").to_pandas()
    assert report.play == front.play[0]
    assert report.champion.objectives["sharpe"] == front["objective.sharpe"].max()


def test_the_champion_is_fixed_and_the_look_counted_before_the_holdout_is_opened(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = StudyPlan.open_feed

    def watch(self: StudyPlan, dataset: str):
        if dataset in self.spec.holdout:
            opened.append((self.folder.champion_play.is_file(), count_holdout_evaluations(self.home.ledger, dataset)))
        return real(self, dataset)

    monkeypatch.setattr(StudyPlan, "open_feed", watch)
    before = count_holdout_evaluations(home.ledger, "NASDAQ_BULL_2016")
    for number, name in enumerate(("evaluated_once", "evaluated_twice"), start=1):
        report = run_study(small_spec(name, holdout=["NASDAQ_BULL_2016"]), home)
        assert report.holdout["NASDAQ_BULL_2016"].evaluation == before + number
    assert opened == [(True, before + 1), (True, before + 2)]


def test_the_stored_champion_is_read_as_it_was_written(done: tuple) -> None:
    home, report, _ = done
    stored = read_json(home.study("results") / "champion.json")
    assert ChampionReport.read(stored).document() == stored
    assert json.loads(json.dumps(report.document())) == stored
    assert stored["holdout"]["SP500_BULL_2003"].keys() >= {"metrics", "undefined", "buy_and_hold", "look", "relation"}


def test_holdout_bars_have_no_part_in_the_search(done: tuple, home: Home) -> None:
    _, report, _expected = done
    blind = run_study(small_spec("blind", holdout=[]), home)
    assert blind.play == report.play
    assert blind.holdout == {}


def test_a_study_without_any_feasible_play(home: Home) -> None:
    report = run_study(small_spec("hopeless", constraints={"min_trades": 100_000}), home)
    assert report.play is None
    assert report.front_size == 0
    assert pq.read_table(home.study("hopeless") / "pareto_front.parquet").num_rows == 0
    assert not (home.study("hopeless") / "champion.yaml").exists()
    stored = read_json(home.study("hopeless") / "champion.json")
    assert (stored["play"], stored["reason"]) == (None, report.reason)
    assert ChampionReport.read(stored) == report
    assert study_status("hopeless", home).state == "complete"
    assert "no Play met every constraint" in status_text("hopeless", home)
    assert len(read_front("hopeless", home)) == 0


def test_when_no_play_at_all_can_be_backtested(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*args: object, **settings: object) -> None:
        raise RuntimeError("the engine is broken")

    monkeypatch.setattr("forge_core.evolution.search.evaluation.simulate", breaks)
    with pytest.raises(StudyError, match=r"no Play could be backtested.*the engine is broken"):
        run_study(small_spec("broken"), home)
    assert not list(home.study("broken").glob("island=*/*.parquet"))


def test_status(done: tuple) -> None:
    home, report, _ = done
    status = study_status("results", home)
    assert (status.state, status.generation, status.generations) == ("complete", 4, 4)
    assert status.champion.play == report.play
    text = status_text("results", home)
    assert "generation 4 of 4" in text
    assert "train" in text
    assert "holdout   SP500_BULL_2003" in text
    assert "SP500 at another time" in text
    assert "evaluation 1 of" in text


def test_status_of_what_has_not_begun(home: Home) -> None:
    assert study_status("quickstart", home).state == "not started"
    assert status_text("quickstart", home) == "study quickstart: not started, generation 0 of 30"
    with pytest.raises(StudyError, match="unknown study 'nothing'"):
        study_status("nothing", home)
    with pytest.raises(StudyError, match="has a front once it is complete"):
        read_front("quickstart", home)


def test_status_on_the_way(home: Home) -> None:
    document = plan_study(small_spec("half_way"), home)
    run_island(document, 0, 1)
    status = study_status("half_way", home)
    assert (status.state, status.generation, status.islands) == ("under way", 0, [2, 0])
