"""The registry: features by name, parameters checked by name, grids that a search can use as they stand."""

import itertools
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.errors import ConfigError, PlayError
from forge_core.features.registry import all_features, get_feature, make_reference, searchable
from tests.features.sample_bars import walk

DOCS = Path(__file__).resolve().parents[2] / "docs"
ALL = all_features()
SEARCHABLE = searchable()


def by_name(definition):
    return definition.name


def test_names_are_unique_and_of_five_kinds():
    assert len({definition.name for definition in ALL}) == len(ALL)
    assert {definition.kind for definition in ALL} == {"indicator", "structure", "price", "calendar", "relative"}
    assert [get_feature(definition.name) for definition in ALL] == list(ALL)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("rsii", "rsi"), ("bollinger", None), ("supertrnd", "supertrend"), ("zone", "zones")]
)
def test_an_unknown_feature_is_refused_with_the_nearest_name(name, suggestion):
    with pytest.raises(PlayError) as caught:
        get_feature(name)
    assert repr(name) in str(caught.value)
    assert suggestion is None or f"did you mean {suggestion!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("rsi", {"timeperiods": 14}, r"rsi: unknown parameter 'timeperiods' \(did you mean 'timeperiod'\?\)"),
        ("close", {"timeperiod": 14}, r"close: unknown parameter 'timeperiod'; known: none"),
        ("rsi", {"timeperiod": 14.5}, "rsi: timeperiod is 14.5; it must be a whole number from 2 to 100000"),
        ("rsi", {"timeperiod": 1}, "rsi: timeperiod is 1; it must be a whole number from 2 to 100000"),
        ("rsi", {"timeperiod": 100_001}, "rsi: timeperiod is 100001; "),
        ("rsi", {"timeperiod": math.nan}, "rsi: timeperiod is nan; "),
        ("rsi", {"timeperiod": math.inf}, "rsi: timeperiod is inf; "),
        ("rsi", {"timeperiod": "14"}, "rsi: timeperiod is '14'; "),
        ("mom", {"timeperiod": True}, "mom: timeperiod is True; it must be a whole number from 1 to 100000"),
        ("rsi", {"timeperiod": None}, "rsi: timeperiod is None; "),
        ("bbands", {"nbdevup": math.nan}, "bbands: nbdevup is nan; it must be a number from 0 to"),
        ("bbands", {"matype": 14}, "bbands: matype is 14; it must be a whole number from 0 to 13"),
        ("mama", {"fastlimit": 1.5}, "mama: fastlimit is 1.5; it must be a number from 0.01 to 0.99"),
        ("macd", {"fastperiod": 30}, "macd: fastperiod < slowperiod must hold, but fastperiod 30, slowperiod 26"),
        ("ichimoku", {"kijun_period": 60}, "tenkan_period 9, kijun_period 60, senkou_period 52"),
        ("swings", {"right": 0}, "swings: right is 0; "),
        ("zones", {"strength": 100}, "zones: strength < lookback must hold"),
    ],
)
def test_an_impossible_parameter_is_refused_by_name(name, params, message):
    definition = get_feature(name)
    for use in (definition.resolve, definition.lookback, lambda params: definition.compute(walk(), params)):
        with pytest.raises(PlayError, match=message):
            use(params)


def test_an_unknown_output_is_refused_with_the_nearest_name():
    with pytest.raises(PlayError, match=r"bbands: unknown output 'upper'.*known: upperband, middleband, lowerband"):
        make_reference("bbands", {}, output="upper", timeframe="1h")


def test_a_reference_is_complete_and_equal_for_equal_numbers():
    short = make_reference("bbands", {"nbdevup": 2, "timeperiod": 20.0}, timeframe="1h")
    full = make_reference(
        "bbands",
        {"matype": 0, "nbdevdn": 2.0, "nbdevup": np.float64(2.0), "timeperiod": np.int64(20)},
        output="middleband",
        timeframe="1h",
    )
    assert short == full
    assert short.canonical == "bbands.middleband(timeperiod=20,nbdevup=2.0,nbdevdn=2.0,matype=0)@1h"
    with pytest.raises(ConfigError, match="'1hour'"):
        make_reference("rsi", {}, timeframe="1hour")


@pytest.mark.parametrize("definition", ALL, ids=by_name)
def test_a_definition_holds_together(definition):
    assert definition.description.endswith(".")
    assert definition.output().name == definition.default_output
    assert len({output.name for output in definition.outputs}) == len(definition.outputs)
    defaults = definition.resolve({})
    assert [name for name, _ in defaults] == [parameter.name for parameter in definition.parameters]
    assert definition.resolve(dict(defaults)) == defaults
    assert all(type(value) in (int, float) for _, value in defaults)
    for parameter in definition.parameters:
        assert list(parameter.grid) == sorted(set(parameter.grid))
        assert all(type(parameter.check(value, "")) is type(value) for value in parameter.grid)
    for output in definition.outputs:
        assert list(output.thresholds) == sorted(set(output.thresholds))
        if output.scale.kind == "bounded":
            assert all(output.scale.low <= value <= output.scale.high for value in output.thresholds)
        if output.scale.kind == "price":
            assert output.thresholds == ()  # a constant price means nothing elsewhere


def test_enough_is_searchable_and_all_six_structures_are():
    assert sum(any(parameter.grid for parameter in definition.parameters) for definition in SEARCHABLE) >= 40
    structures = {definition.name for definition in SEARCHABLE if definition.kind == "structure"}
    assert structures == {"swings", "trend", "breaks", "zones", "fibonacci", "range"}


@pytest.mark.parametrize("definition", SEARCHABLE, ids=by_name)
def test_the_grids_give_few_valid_distinct_neighbouring_combinations(definition):
    combinations = definition.combinations()
    assert 1 <= len(combinations) <= 200
    assert len({tuple(choice.items()) for choice in combinations}) == len(combinations)
    for choice in combinations:
        assert definition.resolve(choice) == tuple(choice.items())
        assert all(choice[follower] == choice[leader] for follower, leader in definition.tied)
    if not definition.ascending:
        followers = dict(definition.tied)
        for one, other in itertools.pairwise(combinations):
            moved = [p for p in definition.parameters if p.name not in followers and one[p.name] != other[p.name]]
            assert len(moved) == 1
            grid = moved[0].grid
            assert abs(grid.index(one[moved[0].name]) - grid.index(other[moved[0].name])) == 1


@pytest.mark.parametrize("definition", SEARCHABLE, ids=by_name)
def test_a_search_can_make_a_rule_of_it(definition):
    assert any(output.scale.kind == "price" or output.thresholds for output in definition.outputs)


def test_combinations_are_handed_out_as_copies():
    get_feature("macd").combinations()[0]["fastperiod"] = 99
    assert get_feature("macd").combinations()[0]["fastperiod"] == 5


@settings(deadline=None, derandomize=True)
@given(st.integers(2, 60), st.integers(2, 60))
def test_fast_periods_at_or_above_slow_ones_never_pass(fast, slow):
    macd = get_feature("macd")
    if fast < slow:
        assert dict(macd.resolve({"fastperiod": fast, "slowperiod": slow}))["fastperiod"] == fast
    else:
        with pytest.raises(PlayError):
            macd.resolve({"fastperiod": fast, "slowperiod": slow})


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
def test_a_bar_field_is_a_feature(name):
    bars = walk()
    definition = get_feature(name)
    assert definition.kind == "price"
    assert definition.lookback({}) == 0
    assert definition.output().scale.kind == ("volume" if name == "volume" else "price")
    np.testing.assert_array_equal(definition.compute(bars, {})["real"], bars[name])


def test_the_manual_lists_the_features_as_they_are():
    text = (DOCS / "features.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(DOCS / "feature_table.py"))["page"](text) == text, "run python docs/feature_table.py"


def test_the_manual_shows_and_explains_every_structure():
    text = (DOCS / "features.md").read_text(encoding="utf-8")
    for definition in ALL:
        if definition.kind == "structure":
            assert f"### {definition.name}\n\n![{definition.name}](pictures/{definition.name}.svg)" in text
            assert (DOCS / "pictures" / f"{definition.name}.svg").is_file()
            assert all(f"`{parameter.name}`" in text for parameter in definition.parameters)


def test_the_pictures_can_be_drawn_again(tmp_path):
    runpy.run_path(str(DOCS / "pictures" / "draw_structures.py"))["main"](tmp_path)
    assert len(list(tmp_path.glob("*.svg"))) == 6
