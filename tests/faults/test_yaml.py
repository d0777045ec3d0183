"""400 bad YAML files from seeds: a value, or one of Forge's errors in few lines; never a traceback."""

import random
from collections import Counter

import pytest
import yaml

from forge_core.errors import ForgeError
from forge_core.evolution.spec.study import load_study
from forge_core.market.futures.roll_dates import read_roll_file
from forge_core.market.reference.catalog import load_catalog
from forge_core.market.reference.instruments import load_instruments
from forge_core.paths import project_root
from forge_core.plays.parser import load_play
from forge_core.sweeps.spec import load_sweep
from tests.faults.limits import within_limits
from tests.test_yaml_limits import ATTACKS

pytestmark = pytest.mark.long

CASES = 400
ODD = [
    None, True, 0, -1, 10**30, 1e308, float("inf"), float("-inf"), float("nan"), "", "x" * 1_000, "\u202e", [], {},
    [[]], {"": None}, "2024-13-45", "1:59:59", "0o8", "!!python/object:os.system", ["a"] * 500, {"a": {"b": {"c": 1}}},
]  # fmt: skip
PIECES = [*"{}[]:|>%@'\"\t\x00\ufeff", "- ", "&a ", "*a", "!!binary ", "<<: "]
ROOT = project_root()
FILES = {
    "play": (load_play, sorted((ROOT / "studies" / "plays").glob("*.yaml"))),
    "study": (load_study, [ROOT / "studies" / f"{name}.yaml" for name in ("quickstart", "sweet_spot")]),
    "sweep": (load_sweep, [ROOT / "studies" / f"{name}.yaml" for name in ("mass_test", "mass_test_futures")]),
    "instruments": (load_instruments, [ROOT / "datasets" / "instruments.yaml"]),
    "catalog": (load_catalog, [ROOT / "datasets" / "catalog.yaml"]),
    "roll dates": (read_roll_file, [ROOT / "datasets" / "roll_dates.yaml"]),
}


def damaged_text(text: str, dice: random.Random) -> str:
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(text) + 1)
        match dice.randrange(4):
            case 0:
                text = text[:at] + dice.choice(PIECES) * dice.choice([1, 1, 3, 200]) + text[at:]
            case 1:
                text = text[:at] + text[at + dice.randint(1, 40) :]
            case 2:
                text = text[:at] + text[at : at + 60] * dice.choice([2, 50]) + text[at:]
            case _:
                text = text[:at]
    return text


def odd_value(value, dice: random.Random):
    """Return ``value`` with one of its parts, at any depth, replaced by an odd one."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(sorted(value, key=str))
        return {**value, key: odd_value(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.7:
        place = dice.randrange(len(value))
        return [*value[:place], odd_value(value[place], dice), *value[place + 1 :]]
    return dice.choice(ODD)


def cases():
    dice = random.Random(400)
    for number in range(CASES - len(ATTACKS)):
        kind = dice.choice(sorted(FILES))
        load, files = FILES[kind]
        source = dice.choice(files)
        text = source.read_text(encoding="utf-8")
        if dice.random() < 0.5:
            text = damaged_text(text, dice)
        else:
            text = yaml.safe_dump(odd_value(yaml.safe_load(text), dice))
        yield f"{kind} {number}", load, source.name, text
    for name, (text, _) in ATTACKS.items():
        kind = dice.choice(sorted(FILES))
        yield f"{kind} {name}", FILES[kind][0], FILES[kind][1][0].name, text


def test_bad_yaml(tmp_path):
    counts: Counter[str] = Counter()
    for number, (subject, load, name, text) in enumerate(cases()):
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with within_limits(subject):
            try:
                load(path)
                counts["read"] += 1
                message = ""
            except ForgeError as error:
                counts["refused"] += 1
                message = str(error)
        assert len(message.splitlines()) <= 40, subject
        assert len(message) < 40_000, subject
    print(f"bad YAML: {dict(counts)}")
    assert sum(counts.values()) == CASES
    assert counts["refused"] > CASES // 2
