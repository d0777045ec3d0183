"""The ``prove`` job as a user runs it, and killed on the way."""

import contextlib
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from forge_core.evidence.verdict.export import export_evidence
from forge_core.evidence.verdict.text import evidence_text, read_verdict
from forge_core.evolution.steps import load_study, run_study
from forge_core.paths import Home
from tests.evolution.studies import content
from tests.pipelines.workspace import TINY, Workspace, load_definitions

STUDY = TINY + "evidence: {luck: 4, windows: 2}\n"
PROVE = "dagster job execute -j prove"
ASSETS = ("luck_test", "walk_forward", "robustness", "verdict")


@dataclass
class Proved:
    """A project whose study ``tiny`` is complete: what ran before, the luck line, and the first run of ``prove``."""

    workspace: Workspace
    unproved_text: str
    result: dg.ExecuteInProcessResult
    again: dg.ExecuteInProcessResult
    written: dict[str, str]
    stale: dict[str, list]


def laid_out(folder: Path, patch: pytest.MonkeyPatch, study: str = STUDY) -> Workspace:
    """Make a project whose study ``tiny`` is complete, for this process to work in."""
    workspace = Workspace.make(folder, study)
    for name, value in workspace.environment.items():
        patch.setenv(name, value)
    run_study(load_study("tiny"))
    return workspace


@pytest.fixture(scope="module")
def proved(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        workspace = laid_out(Path(tmp_path_factory.mktemp("prove")), patch)
        text = evidence_text("tiny")
        assert read_verdict("tiny", Home.current()) is None
        assert export_evidence("tiny", workspace.root / "none") == []
        first = prove(instance)
        graph = load_definitions().resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        stale = {name: list(resolver.get_stale_causes(dg.AssetKey(name), "tiny")) for name in ASSETS}
        yield Proved(workspace, text, first, prove(instance), evidence(workspace), stale)


def prove(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = load_definitions().resolve_job_def("prove")
    return job.execute_in_process(instance=instance, run_config={"study": "tiny"}, raise_on_error=False)


def evidence(workspace: Workspace) -> dict[str, str]:
    return content(workspace.study / "evidence")


def test_it_records_the_evidence_and_warns_on_the_champions_page(proved) -> None:
    result = proved.result
    assert result.success
    events = {e.asset_key.to_user_string(): e for e in result.get_asset_materialization_events()}
    assert set(events) == set(ASSETS)
    assert {event.partition for event in events.values()} == {"tiny"}
    document = read_verdict("tiny")
    assert document is not None
    for event in events.values():
        assert event.materialization.metadata["sentence"].value == document.sentence
    for name in ("luck_test", "walk_forward", "verdict"):
        assert any("data:image/png" in str(m.value) for m in events[name].materialization.metadata.values())
    (check,) = result.get_asset_check_evaluations()
    assert (check.asset_key.to_user_string(), check.check_name) == ("champion", "verdict")
    assert not check.passed  # four searches cannot reach 5 %
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert document.sentence in check.description
    assert proved.again.success
    assert not proved.again.get_asset_materialization_events()  # nothing that is not recorded
    assert evidence_text("tiny").startswith(document.sentence)
    exported = {path.name for path in export_evidence("tiny", proved.workspace.root / "out")}
    assert {
        "verdict.txt",
        "verdict.json",
        "probes.csv",
        "luck_test.csv",
        "walk_forward.png",
        "luck_test.png",
    } <= exported


def test_the_verdict_is_in_step_with_what_it_rests_on(proved) -> None:
    assert proved.stale == {name: [] for name in ASSETS}


def test_a_study_that_is_not_complete_is_refused(tmp_path, monkeypatch) -> None:
    for name, value in Workspace.make(tmp_path, STUDY).environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        result = prove(instance)
    (failure,) = result.get_step_failure_events()
    message = failure.step_failure_data.user_failure_data.description
    assert "study 'tiny' is not started" in message
    assert "make evolve STUDY=tiny" in message


def test_without_evidence_the_luck_line_is_shown_and_what_to_run(proved) -> None:
    assert "luck line of SP500_BEAR_2008: the best of" in proved.unproved_text
    assert "make prove STUDY=tiny" in proved.unproved_text


def killed_until_done(workspace: Workspace, kills: int, chance: random.Random) -> int:
    """Run ``prove`` as a command, kill a process of it at random moments, and run it again until it ends well."""
    done = 0
    for _ in range(kills + 3):
        run = workspace.start(PROVE)
        if done < kills:
            rows = len(list((workspace.study / "evidence").rglob("0*.json")))
            while run.poll() is None and len(list((workspace.study / "evidence").rglob("0*.json"))) <= rows:
                time.sleep(0.005)
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
                victims = {"one": [chance.choice(family)], "run": family[:1], "all": family}
                for process in victims[chance.choice(list(victims))]:
                    process.kill()
                done += 1
        output, _ = run.communicate(timeout=400)
        if run.returncode == 0:
            return done
    pytest.fail(f"it does not end well: {output}")


def test_killed_and_run_again_it_ends_with_the_same_tables(proved, tmp_path) -> None:
    workspace = Workspace.make(tmp_path, STUDY)
    shutil.copytree(proved.workspace.home, workspace.home, ignore=shutil.ignore_patterns(".claims"))  # of this process
    (workspace.study / "evidence").rename(workspace.root / "undisturbed")
    assert killed_until_done(workspace, 1, random.Random(5)) == 1
    assert evidence(workspace) == proved.written


@pytest.mark.long
def test_killed_twenty_times_it_ends_with_the_same_tables(tmp_path, monkeypatch) -> None:
    workspace = laid_out(tmp_path, monkeypatch, TINY + "evidence: {luck: 19, windows: 4}\n")
    with dg.DagsterInstance.ephemeral() as instance:
        assert prove(instance).success
    expected = evidence(workspace)
    chance, kills, folder = random.Random(7), 0, workspace.study / "evidence"
    for number in range(40):
        folder.rename(workspace.root / f"done-{number}")
        kills += killed_until_done(workspace, 5, chance)
        assert evidence(workspace) == expected
        if kills >= 20:
            break
    assert kills >= 20
