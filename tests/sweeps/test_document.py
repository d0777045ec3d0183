"""The manual of mass tests says what is so: its examples are read and run."""

import re

import pytest

from forge_core.configuration import parse_yaml, validate_model
from forge_core.engine.backtest import backtest
from forge_core.features.reference import price_field
from forge_core.market.futures.roll_dates import read_roll_file
from forge_core.market.reference.instruments import Instrument
from forge_core.paths import project_root
from forge_core.plays.classic import classic_strategies, strategy
from forge_core.plays.classic.strategy import Options
from forge_core.plays.model import Group
from forge_core.plays.validation import check_play
from forge_core.sweeps.results import RESULT_SCHEMA
from forge_core.sweeps.spec import SweepSpec
from tests.market.bar_tables import walk

PAGE = (project_root() / "docs" / "mass_test.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def table(heading: str) -> dict[str, str]:
    """The first and last cell of each row of the table that begins with ``heading``."""
    rows = re.search(rf"^\| {heading} .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)[1].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row[-1] for row in cells}


def test_the_example_of_a_sweep_is_one():
    value, lines = parse_yaml("name: page\n" + blocks("yaml")[0], "page")
    spec = validate_model(SweepSpec, value, source="page", lines=lines)
    assert len(spec.variants) == (3 * 2 * 2 + 4 + 1) * 2
    assert spec.refusals == ()


def test_every_key_is_explained():
    assert set(table("key")) == set(SweepSpec.model_fields) - {"name", "description"}
    assert set(table("option")) == set(Options.model_fields)


def test_every_strategy_is_listed_with_its_defaults():
    listed = table("strategy")
    for name in ("rsi", "ema", "macd", "bollinger", "ichimoku"):
        shown = dict(re.findall(r"`(\w+)` ([\w.]+)", listed[name]))
        assert shown == {
            key: f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in classic_strategies()[name]().parameters.items()
        }


def test_the_example_of_a_new_strategy_is_one():
    names = {"ClassVar": __import__("typing").ClassVar, "Group": Group, "price_field": price_field}
    names |= {name: getattr(strategy, name) for name in ("ClassicStrategy", "Period", "column", "when")}
    exec(blocks("python")[0], names)
    play = names["Breakout"](period=10).play("1h")
    check_play(play)
    trades = backtest(play, walk(800, "1h"), instrument=Instrument(symbol="SIM", kind="spot", tick=0.01)).trades
    assert len(trades) > 10
    assert set(trades["side"]) == {1, -1}


def test_the_example_of_roll_dates_is_read(tmp_path):
    path = tmp_path / "dates.yaml"
    path.write_text(blocks("yaml")[1])
    assert len(read_roll_file(path).of("ZS")) == 2


@pytest.mark.parametrize("name", [n for n in RESULT_SCHEMA.names if n not in ("cell", "test")])
def test_every_column_of_the_results_is_named(name):
    metrics = (project_root() / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert f"`{name}`" in PAGE or f"| `{name}` |" in metrics
