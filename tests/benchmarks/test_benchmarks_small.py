"""The engine benchmark on a few simulated bars: its results, and that all engines make the same trades."""

import json
import math

import pytest

from benchmarks import history, plays
from benchmarks.agreement import compare_trades
from benchmarks.engines.inputs import play_references
from benchmarks.workspace import simulated_bars
from forge_core.evolution.spec.space import LEVELS, MTF_PRESETS
from forge_core.features.registry import get_feature
from forge_core.market.bars.model import validate_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.parser import parse_play
from tests.extras import import_extra

BARS = 4_200  # no position is open at their end
ENGINES = ("forge", "vectorbt_rust", "vectorbt_numba", "backtesting_py")  # and raptorbt, where there is a wheel
TRADES = {
    "entry_time": [1, 5],
    "exit_time": [4, 9],
    "side": [1, -1],
    "entry_price": [10.0, 12.0],
    "exit_price": [11.0, 12.5],
}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    for peer in ("vectorbt", "vectorbt_rust", "backtesting"):
        import_extra(peer, extra="bench")
    from benchmarks.options import Options
    from benchmarks.suites import engine

    out = tmp_path_factory.mktemp("out")
    return engine.run(
        Options(out=out, length=BARS, rounds=1, seconds=0.0, growth=(), levels=("1 trivial",), cold=False)
    )


@pytest.mark.extras
def test_the_row_of_level_5_has_a_time_for_every_engine(result):
    names = [f"{name}_ms" for name in (*ENGINES, "floor")]
    assert all(result[name] > 0 and math.isfinite(result[name]) for name in names)
    assert result["floor_ms"] < result["forge_ms"] < result["backtesting_py_ms"]
    assert all(result[f"{name}_cold_bank_ms"] > 0 for name in ENGINES)


@pytest.mark.extras
def test_a_run_is_appended_to_the_history(result, tmp_path):
    path = tmp_path / "out" / "history.jsonl"
    for _ in range(2):
        history.append(path, history.entry(result))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    ratio = pytest.approx(result["forge_ms"] / result["floor_ms"], 1e-3)
    assert [line["ratios"]["forge"] for line in lines] == [ratio, ratio]
    assert lines[0]["processor"] == result["machine"]["processor"]


def test_a_ratio_25_percent_above_its_baseline_fails():
    baseline = dict.fromkeys(history.ROWS, 4.0)
    assert history.slower_rows(baseline, dict.fromkeys(history.ROWS, 4.99)) == []
    (message,) = history.slower_rows(baseline, baseline | {"forge_stops": 5.2})
    assert message == "forge_stops: 5.20 times the floor, baseline 4.00 (+30%, limit +25%)"


def test_baselines_are_kept_per_processor(tmp_path):
    path = tmp_path / "baseline.json"
    assert history.read_baseline("A", path) is None
    history.record_baseline("A", {"forge": 4.0}, path)
    history.record_baseline("B", {"forge": 3.0}, path)
    history.record_baseline("A", {"forge": 2.0}, path)
    assert (history.read_baseline("A", path), history.read_baseline("B", path)) == ({"forge": 2.0}, {"forge": 3.0})


def test_the_committed_baseline_has_every_row():
    processors = json.loads(history.BASELINE.read_text())["processors"]
    assert processors
    assert all(set(ratios) == set(history.ROWS) for ratios in processors.values())


@pytest.mark.extras
def test_all_engines_make_the_same_trades(result):
    assert result["trades"] > 10
    assert result["trades_equal"] is True, result["agreement"]


@pytest.mark.extras
def test_their_metrics_are_the_same(result):
    for name, found in result["agreement"].items():
        assert found["open_at_end"] == 0, "choose a length at whose end no position is open"
        assert found["by_share"] < 1e-9, (name, found)


@pytest.mark.extras
def test_the_data_says_that_it_is_simulated(result):
    assert result["bars"] == BARS
    assert "SIM" in result["data"]


@pytest.mark.extras
def test_a_level_has_its_design_budget(result):
    (level,) = result["levels"]
    assert (level["budget_mb"], level["budget_seconds"]) == (20, 0.5)
    assert level["trades_equal"] is True, level["differing"]
    assert all(level[f"{name}_ms"] > 0 for name in ENGINES)


def test_equal_trades_are_equal():
    assert compare_trades(TRADES, {name: list(values) for name, values in TRADES.items()})["equal"]


@pytest.mark.parametrize(
    ("field", "value", "differing"), [("exit_price", 11.5, {"exit_price": 1}), ("exit_time", 3, {"exit_time": 1})]
)
def test_a_trade_that_differs_is_named(field, value, differing):
    found = compare_trades(TRADES, TRADES | {field: [value, TRADES[field][1]]})
    assert not found["equal"]
    assert found["differing"] == differing


def test_a_trade_missing_in_one_engine_is_counted():
    found = compare_trades(TRADES, {name: values[:1] for name, values in TRADES.items()})
    assert (found["equal"], found["only_forge"], found["only_theirs"]) == (False, 1, 0)


def test_no_trades_at_all_prove_nothing():
    none = {name: [] for name in TRADES}
    assert not compare_trades(none, none)["equal"]


@pytest.mark.parametrize("level", plays.LEVELS, ids=lambda level: level.name)
def test_a_levels_play_reads_the_number_of_columns_of_its_level(level):
    references = play_references(parse_play(plays.level_play(level)))
    kinds = [get_feature(reference.name).kind for reference in references]
    assert (kinds.count("indicator"), kinds.count("structure")) == (level.indicators, level.structures)
    assert len({reference.timeframe for reference in references}) == level.timeframes


@pytest.mark.parametrize("level", plays.LEVELS, ids=lambda level: level.name)
def test_levels_are_those_of_the_search_spaces(level):
    preset = MTF_PRESETS[level.name] if level.name in MTF_PRESETS else LEVELS[int(level.name.split()[0])]
    indicators = preset.indicators * (preset.timeframes if preset.per_timeframe else 1)
    assert (indicators, preset.structures, preset.timeframes) == (level.indicators, level.structures, level.timeframes)


def test_simulated_bars_are_sound_and_always_the_same():
    bars = simulated_bars(BARS)
    validate_bars(
        bars, symbol="SIMUSDT", timeframe="15m", instrument=Instrument(symbol="SIMUSDT", kind="spot", tick=0.01)
    )
    assert bars.equals(simulated_bars(BARS))
