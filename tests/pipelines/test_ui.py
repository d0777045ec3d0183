"""The asset pages as a browser drives them: GraphQL of a running ``dagster dev``, from nothing to a champion."""

import contextlib
import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import dagster as dg
import psutil
import pytest

from forge_core.evolution.steps import load_study, run_study
from tests.pipelines.workspace import TINY, Workspace, wait_for

pytestmark = pytest.mark.long

STUDY = TINY.replace("generations: 6", "generations: 60")
LOCATION = "forge_pipelines.definitions"
LAUNCH = """mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
PARTITIONS = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  isMaterializable partitionKeys assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions
  unmaterializedPartitions } } } } }"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
RUNS = "query { runsOrError { ... on Runs { results { runId status } } } }"


class Page:
    """The GraphQL endpoint of a web server."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the only field of the answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        (field,) = answer["data"].values()
        return field

    def is_up(self) -> bool:
        """Whether the server answers and has loaded the definitions."""
        with contextlib.suppress(OSError, AssertionError):
            return self.ask(PARTITIONS, key={"path": ["champion"]}).get("partitionKeys") is not None
        return False

    def asset(self, name: str) -> dict[str, Any]:
        """Return what the page of an asset shows of its partitions."""
        return self.ask(PARTITIONS, key={"path": [name]})

    def materialize(self, asset: str, partition: str) -> str:
        """Press Materialize for one partition; return the run."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": LOCATION,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        }
        tags = [{"key": "dagster/partition", "value": partition}]
        params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
        answer = self.ask(LAUNCH, params=params)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def status(self, run: str) -> str:
        """Return the status of a run."""
        return self.ask(RUN, id=run)["status"]


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    made = Workspace.make(tmp_path, STUDY)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def page(workspace: Workspace) -> Iterator[Page]:
    """A ``dagster dev`` of the workspace."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(workspace.root / "dev.log", "w") as log:
        server = workspace.start(f"dagster dev --port {port}", output=log)
        try:
            opened = Page(port)
            wait_for(opened.is_up, 300)
            yield opened
        finally:
            family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            server.wait()


def test_from_nothing_to_a_champion_with_a_kill_in_the_middle(workspace, page):
    keys = [f"tiny-g{number:04d}" for number in range(1, 61)]
    generations = page.asset("generation_fitness")
    assert generations["isMaterializable"]
    assert generations["assetPartitionStatuses"] == {"materializedPartitions": [], "unmaterializedPartitions": keys}
    assert page.asset("champion")["partitionKeys"] == ["tiny"]

    chosen = {"assetSelection": [{"path": ["generation_fitness"]}], "partitionNames": keys[:3]}
    assert page.ask(BACKFILL, params=chosen)["__typename"] == "LaunchBackfillSuccess"
    wait_for(lambda: [r["status"] for r in page.ask(RUNS)["results"]] == ["SUCCESS"], 240)
    assert page.asset("generation_fitness")["assetPartitionStatuses"]["materializedPartitions"] == keys[:3]
    assert not (workspace.study / "island=0" / "generation=0004.parquet").exists()

    killed = page.materialize("champion", "tiny")
    wait_for(lambda: (workspace.study / "generations" / "0010.parquet").exists(), 240)
    live = page.asset("generation_fitness")["assetPartitionStatuses"]["materializedPartitions"]
    assert 3 < len(live) < 60  # they show while the islands evolve
    with workspace.instance() as instance:
        os.kill(int(instance.get_run_by_id(killed).tags["forge/process"]), signal.SIGKILL)
    wait_for(lambda: page.status(killed) == "FAILURE", 90)

    resumed = page.materialize("champion", "tiny")
    wait_for(lambda: page.status(resumed) not in ("QUEUED", "STARTING", "STARTED", "NOT_STARTED"), 400)
    assert page.status(resumed) == "SUCCESS"
    assert page.asset("generation_fitness")["assetPartitionStatuses"]["unmaterializedPartitions"] == []
    with workspace.instance() as instance:
        records = instance.fetch_materializations(dg.AssetKey("generation_fitness"), limit=1000).records
        assert sorted(record.partition_key for record in records) == keys  # each once, the killed run's too

    tables, champion = workspace.tables(), workspace.champion()
    workspace.study.rename(workspace.root / "from_pages")
    run_study(load_study("tiny"))
    assert (workspace.tables(), workspace.champion()) == (tables, champion)
