"""What a person reads on the pages of generations, front and champion."""

import base64
from xml.etree import ElementTree

import dagster as dg
import pytest

from forge_core.evolution.run.status import study_status
from tests.pipelines.workspace import TINY, Workspace, load_definitions


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a study in a project of its own, in this process."""

    def evolve(study: str) -> dg.ExecuteInProcessResult:
        for name, value in Workspace.make(tmp_path, study).environment.items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.ephemeral() as instance:
            return (
                load_definitions()
                .resolve_job_def("evolve")
                .execute_in_process(instance=instance, run_config={"study": "tiny"})
            )

    return evolve


def pages(result: dg.ExecuteInProcessResult, asset: str) -> list[dict]:
    events = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    return [{key: value.value for key, value in e.materialization.metadata.items()} for e in events]


def svg(markdown: str) -> ElementTree.Element:
    return ElementTree.fromstring(base64.b64decode(markdown.partition("base64,")[2].rstrip(")")))


def test_pages_of_a_study(run):
    result = run(TINY)
    generations = pages(result, "generation_fitness")
    assert [page["generation"] for page in generations] == [1, 2, 3, 4, 5, 6]
    for page in generations:
        assert page["evaluated"] + page["duplicates"] == page["children"] == 16
        assert page["feasible"] <= page["survivors"]
        assert page["evaluations_per_second"] > 0
        assert {"hypervolume", "front", "best total_return", "best max_drawdown"} <= page.keys()
        circles = [shape for shape in svg(page["picture"]) if shape.tag.endswith("circle")]
        assert len(circles) == page["front"] + page["feasible"]

    (front,) = pages(result, "pareto_front")
    assert svg(front["front_over_generations"]) is not None
    assert "after generations 1, 3, 4, 6" in front["front_over_generations"]
    volumes = [
        float(row.split("|")[2].replace(",", "")) for row in front["hypervolume_over_generations"].split("\n")[2:]
    ]
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(generations[-1]["hypervolume"], rel=1e-3)

    (champion,) = pages(result, "champion")
    for dataset in ("train: SP500_BEAR_2008", "holdout: NASDAQ_BULL_2016"):
        assert "| reason |" in champion[f"trades, {dataset}"]
    assert "buy and hold, total return" in champion["metrics"]
    assert list(champion)[:2] == ["rules", "equity"]
    assert all(len(champion[key]) < 1000 for key in ("rules", "equity"))  # shown without a click
    assert champion["rules"].startswith(("- long: ", "- short: "))
    assert max(map(len, champion["rules"].splitlines())) <= 50  # what fits the page
    assert all(len(repr(value)) <= 13 for page in generations for value in page.values() if isinstance(value, float))
    report = study_status("tiny").champion
    held = report.holdout["NASDAQ_BULL_2016"].metrics
    for metric in ("total_return", "max_drawdown"):
        assert champion[f"train {metric}"] == pytest.approx(report.champion.objectives[metric], rel=1e-5)
        assert champion[f"holdout {metric}"] == pytest.approx(held[metric], rel=1e-5)
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert checks.keys() == {"not_empty", "profit_on_holdout", "better_than_holding", "trades_on_holdout"}
    assert {check.partition for check in checks.values()} == {"tiny"}
    better = checks["better_than_holding"]
    assert better.severity == dg.AssetCheckSeverity.WARN
    report = study_status("tiny").champion.holdout["NASDAQ_BULL_2016"]
    assert better.passed == (report.metrics["total_return"] > report.buy_and_hold)


def test_of_three_objectives_every_pair_is_drawn(run):
    three = TINY.replace("{metric: max_drawdown}]", "{metric: max_drawdown}, {metric: sharpe}]")
    (front,) = pages(run(three.replace("generations: 6", "generations: 2")), "pareto_front")
    pairs = {key for key in front if key.startswith("picture: ")}
    assert pairs == {
        "picture: total_return and max_drawdown",
        "picture: total_return and sharpe",
        "picture: max_drawdown and sharpe",
    }
    assert len({front[key] for key in pairs}) == 3


def test_a_study_that_stalls_stops_where_its_islands_meet(run):
    study = TINY.replace("generations: 6", "generations: 12").replace("epochs: 2", "epochs: 4\nstall: 3")
    stalling = study.replace("{level: 1}", "{level: 1, indicators: {rsi: {timeperiod: [14]}}, operators: [rising]}")
    result = run(stalling.replace("stall: 3", "stall: {generations: 3, gain: 0.9}"))
    assert [page["generation"] for page in pages(result, "generation_fitness")] == [1, 2, 3, 4, 5, 6]
    status = study_status("tiny")
    assert (status.state, status.generation, status.generations) == ("complete", 6, 12)
    assert len(pages(result, "champion")) == 1
