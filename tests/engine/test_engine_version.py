"""Results change only with ENGINE_VERSION: stored results of mass tests and studies depend on it."""

import json

import pytest

from forge_core.engine.simulate import ENGINE_VERSION
from tests.engine.golden import FILE, golden_file, golden_results


def test_results_change_only_with_the_engine_version():
    recorded, found = json.loads(FILE.read_text()), golden_results()
    changed = sorted(name for name in recorded["results"] | found if recorded["results"].get(name) != found.get(name))
    assert recorded["engine_version"] == ENGINE_VERSION, (
        f"{FILE.name} has results of engine version {recorded['engine_version']}, the engine is {ENGINE_VERSION}; "
        "record those of the new version: python -m tests.engine.golden"
    )
    assert not changed, (
        f"these results of engine version {ENGINE_VERSION} changed: {changed}; if that is meant, raise "
        "ENGINE_VERSION in forge_core/engine/simulate.py, describe the change in CHANGELOG.md, and "
        "record the new results: python -m tests.engine.golden"
    )


def test_the_hashes_notice_a_change_of_results():
    plain = golden_results()
    assert all(found != plain[name] for name, found in golden_results(cash=50_001.0).items())


def test_other_results_of_a_version_are_not_recorded_over_it():
    recorded = {"engine_version": "1", "results": {"a": "x"}}
    with pytest.raises(SystemExit, match="results of engine version 1 changed: a; raise ENGINE_VERSION"):
        golden_file(recorded, "1", {"a": "y"})
    assert golden_file(recorded, "1", {"a": "x", "b": "z"})["results"] == {"a": "x", "b": "z"}
    assert golden_file(recorded, "2", {"a": "y"}) == {"engine_version": "2", "results": {"a": "y"}}
