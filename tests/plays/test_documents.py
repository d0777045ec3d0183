"""What docs/ and studies/ show of Plays is true: every example loads, every refusal is one, the schema is fresh."""

import json
import re
from pathlib import Path

import pytest
import yaml

from forge_core.features.registry import all_features
from forge_core.plays.canonical import play_hash
from forge_core.plays.json_schema import play_json_schema
from forge_core.plays.parser import load_play, parse_play, play_to_dict, play_to_yaml
from forge_core.plays.schema import FEATURE_KINDS
from tests.plays.example import refusal, with_rule

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs" / "plays.md").read_text(encoding="utf-8")
SCHEMA = ROOT / "docs" / "play.schema.json"
EXAMPLES = sorted((ROOT / "studies" / "plays").glob("*.yaml"))
BLOCKS = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
REFUSALS = re.findall(r"^\| `(.+?)` \| (.+?) \|$", MANUAL.split("## Errors")[1], re.MULTILINE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads_and_is_named_after_its_file(path):
    play = load_play(path)
    assert play.name == path.stem
    assert play_hash(parse_play(play_to_yaml(play))) == play_hash(play)
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../../docs/play.schema.json\n")


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: yaml.safe_load(text)["name"])
def test_every_play_of_the_manual_loads(text):
    parse_play(text)


def test_the_python_of_the_manual_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for block in re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL):
        exec(compile(block, "plays.md", "exec"), {})
    assert capsys.readouterr().out.startswith("long: ema(12) crosses_above ema(48)\n")


def test_the_manual_shows_refusals():
    assert len(REFUSALS) >= 12


@pytest.mark.parametrize(("rule", "why"), REFUSALS)
def test_every_refusal_of_the_manual_is_one(rule, why):
    message = refusal(with_rule(rule))
    assert why.replace("never true", "this is never true").replace("always true", "this is always true") in message


def test_the_manual_names_every_key():
    shape = play_json_schema()
    risk = shape["$defs"]["RiskShape"]["properties"]
    for key in [*shape["properties"], *risk]:
        assert f"`{key}`" in MANUAL


def test_the_schema_that_plays_point_to_is_fresh():
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == play_json_schema(), (
        "run: python -m forge_core.plays.json_schema > docs/play.schema.json"
    )


# --- the schema, as an editor applies it ------------------------------------------------------------------------------


def complaints(value: object) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    return [error.message for error in jsonschema.Draft202012Validator(play_json_schema()).iter_errors(value)]


def example() -> dict:
    return yaml.safe_load(next(path for path in EXAMPLES if path.stem == "ema_rsi_zones").read_text(encoding="utf-8"))


def test_the_schema_is_a_schema():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(play_json_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_example_as_written_by_hand_and_by_forge(path):
    assert complaints(yaml.safe_load(path.read_text(encoding="utf-8"))) == []
    assert complaints(play_to_dict(load_play(path))) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda play: play.pop("name"), "'name' is a required property"),
        (lambda play: play.update(timefame="1h"), "'timefame' was unexpected"),
        (lambda play: play["features"]["fast"].update(timeperoid=3), "'timeperoid' is not one of"),
        (lambda play: play["features"]["fast"].update(timeperiod=0), "0 is less than the minimum of 1"),
        (lambda play: play["features"]["fast"].update(indicator="emma"), "'emma' is not one of"),
        (lambda play: play["features"]["zone"].update(output="suport"), "'suport' is not one of"),
        (lambda play: play["entry"].update(lnog="fast > slow"), "'lnog' was unexpected"),
        (lambda play: play["entry"].update(long={"all": []}), "is not valid under any of the given schemas"),
        (lambda play: play["risk"].update(stop={"atr": 2, "ticks": 4}), "is valid under each of"),
        (lambda play: play["risk"].update(stop={"percent": 3}), "3 is greater than or equal to the maximum of 1"),
        (lambda play: play["risk"].update(max_bars=None), "None is not of type 'integer'"),
    ],
)
def test_the_schema_tells_an_editor_what_is_wrong(change, complaint):
    play = example()
    change(play)
    assert any(complaint in message for message in complaints(play)), complaints(play)


def test_the_schema_knows_every_feature():
    feature = play_json_schema()["$defs"]["FeatureShape"]
    known = {name for kind in FEATURE_KINDS for name in feature["properties"][kind].get("enum", [kind])}
    assert known == {definition.name for definition in all_features()}
