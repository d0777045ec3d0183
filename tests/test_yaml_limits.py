"""YAML that is too large, too deep or no file at all: one clear message, before anything is built from it."""

import os
import tracemalloc

import pytest
import yaml
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.configuration import parse_yaml
from forge_core.errors import ConfigError, ForgeError, PlayError, StudyError
from forge_core.evolution.spec.study import load_study
from forge_core.market.reference.instruments import load_instruments
from forge_core.plays.parser import load_play, parse_play
from forge_core.study_files import study_files
from forge_core.sweeps.spec import MonthRange, load_sweep
from forge_core.yaml_limits import MOST_BYTES, MOST_CHARACTERS, MOST_DEPTH, MOST_NODES

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGED = "m0: &m0 {k: v}\n" + "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
ATTACKS = {
    "anchors": (BOMB, r":6: more than 100,000 values"),
    "merged mappings": (MERGED, "more than 100,000 values"),
    "long list": ("a: [" + "x, " * MOST_NODES + "]", "more than 100,000 values"),
    "recursion": ("a: &a [*a]", r":1: \*a is used inside its own value"),
    "recursive mapping": ("a: &a {b: [1, {c: *a}]}", r"\*a is used inside its own value"),
    "brackets": ("[" * 5_000, r":1: nested more than 40 levels deep"),
    "braces": ("{a: " * 5_000 + "}" * 5_000, "nested more than 40 levels deep"),
    "indentation": ("\n".join("  " * i + f"k{i}:" for i in range(600)), "nested more than 40 levels deep"),
    "depth by aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)),
        "nested more than 40 levels deep",
    ),
    "rules": (
        "name: x\ntimeframe: 1h\nentry: {long: " + "{all: [" * 1_500 + "'close > open'" + "]}" * 1_500 + "}\n",
        r":3: nested more than 40 levels deep",
    ),
    "scalar": (f"name: {'x' * (MOST_CHARACTERS + 1)}", "more than 20,000 characters"),
    "digits": (f"seed: 0x{'f' * 5_000}", "a number has more than 1,000 digits"),
    "sexagesimal": (f"seed: 1{':59' * 5_000}", "a number has more than 1,000 digits"),
    "size": ("# " + "x" * MOST_BYTES, "larger than 1,000,000"),
}
LOADERS = {
    "play": (load_play, PlayError),
    "study": (load_study, (ConfigError, StudyError)),
    "sweep": (load_sweep, (ConfigError, StudyError)),
    "instruments": (load_instruments, ConfigError),
}


@pytest.fixture(params=sorted(LOADERS))
def loader(request):
    return LOADERS[request.param]


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_each_attack_is_refused_before_anything_is_built(tmp_path, attack):
    load, error = LOADERS["study"] if attack == "anchors" else LOADERS["play"]
    text, message = ATTACKS[attack]
    path = tmp_path / "attack.yaml"
    path.write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message) as raised:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 400 + len(str(path))


def test_what_is_no_regular_file_is_refused(tmp_path, loader):
    load, error = loader
    fifo, device, folder = tmp_path / "fifo.yaml", tmp_path / "device.yaml", tmp_path / "folder.yaml"
    os.mkfifo(fifo)
    device.symlink_to("/dev/zero")
    folder.mkdir()
    for path in (fifo, device, folder):
        with pytest.raises(error, match=r"not a regular file|cannot be read|is missing"):
            load(path)


def test_a_file_of_50_mb_is_not_read_to_its_end(tmp_path, loader):
    load, error = loader
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.write(b"name: ")
        file.truncate(50_000_000)
    with pytest.raises(error, match="larger than 1,000,000 bytes"):
        load(path)


def test_the_commands_show_one_line(tmp_path):
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "bomb.yaml").write_text(BOMB)
    for name in ("fifo.yaml", "bomb.yaml"):
        outcome = CliRunner().invoke(app, ["play", "check", str(tmp_path / name)])
        assert outcome.exit_code == 1
        assert isinstance(outcome.exception, SystemExit)
        assert len(outcome.output.strip().splitlines()) <= 3


def test_a_pipe_among_the_studies_does_not_hold_up_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("FORGE_PROJECT", str(tmp_path))
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.yaml").write_text("strategies: []\n")
    os.mkfifo(tmp_path / "studies" / "pipe.yaml")
    assert list(study_files("sweep")) == ["mine"]
    assert list(study_files("evolution")) == ["pipe"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mutation", {"kind": "polynomial", "eta": float("inf")}, r"mutation\.eta: .*finite"),
        ("crossover", {"kind": "sbx", "eta": float("inf")}, r"crossover\.eta: .*finite"),
        ("crossover", {"kind": "sbx", "eta": float("nan")}, r"crossover\.eta: .*"),
        ("cash", float("inf"), "cash: .*finite"),
    ],
)
def test_values_that_are_not_finite(tmp_path, key, value, message):
    study = {
        "train": ["SP500_BEAR_2008"],
        "timeframe": "1d",
        "space": {"level": 1},
        "objectives": [{"metric": "sharpe"}],
        "population": 8,
        "generations": 2,
        "islands": 1,
        "seed": 1,
        key: value,
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(ConfigError, match=message):
        load_study(path)


def test_months_backwards():
    with pytest.raises(ValueError, match="from 2024-05 is after to 2024-01"):
        MonthRange.model_validate({"from": "2024-05", "to": "2024-01"})
    assert MonthRange.model_validate({"from": "2024-05", "to": "2024-05"}).holds("2024-05")


@pytest.mark.parametrize("key", ["maintenance_margin_rate", "liquidation_fee_rate"])
def test_a_rate_is_a_share_of_the_notional(tmp_path, key):
    path = tmp_path / "instruments.yaml"
    path.write_text(f"instruments:\n  X: {{kind: perpetual, tick: 1, {key}: 2}}\n")
    with pytest.raises(ConfigError, match=rf"{key}: .*less than 1, got 2"):
        load_instruments(path)


def test_mappings_from_a_program_have_the_same_depth():
    rule = "close > open"
    for _ in range(1_500):
        rule = {"all": [rule]}
    circle = {}
    circle["entry"] = circle
    for value in ({"name": "x", "timeframe": "1h", "entry": {"long": rule}}, circle):
        with pytest.raises(PlayError, match=f"nested more than {MOST_DEPTH} levels"):
            parse_play(value)


def test_what_is_within_the_limits_is_read():
    anchored = "base: &base {cash: 1, list: [1, 2]}\n" + "".join(f"k{i}: *base\n" for i in range(500))
    value, lines = parse_yaml(anchored, "x")
    assert value["k499"] == {"cash": 1, "list": [1, 2]}
    assert lines[("k499",)] == 501
    deep = "x"
    for _ in range(MOST_DEPTH - 2):
        deep = [deep]
    assert parse_yaml(yaml.safe_dump({"a": deep}), "x")[0] == {"a": deep}


def test_many_faults_are_counted_not_all_listed(tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text("name: many\n" + "".join(f"unknown_{i}: {i}\n" for i in range(3_000)))
    with pytest.raises(ForgeError, match=r"\.\.\. and \d,\d+ more") as raised:
        load_study(path)
    assert len(str(raised.value).splitlines()) < 50
