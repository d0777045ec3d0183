"""Search spaces: the mission's tables as presets, and own spaces."""

import re

import pytest
import yaml
from pydantic import ValidationError

from forge_core.errors import ConfigError
from forge_core.evolution.search.search_space import build_space, space_timeframes
from forge_core.evolution.spec.space import SpaceSpec

# level: indicators, structures, timeframes
LEVELS = {
    1: (2, 0, 1),
    2: (4, 0, 1),
    3: (6, 1, 1),
    4: (8, 1, 2),
    5: (12, 2, 2),
    6: (15, 2, 3),
    7: (20, 3, 3),
    8: (25, 4, 3),
    9: (30, 5, 3),
    10: (40, 6, 4),
}
# preset: indicators a timeframe, structures, timeframes
PRESETS = {
    "mtf_light": (6, 1, 3),
    "mtf_standard": (10, 2, 3),
    "mtf_advanced": (15, 3, 3),
    "mtf_heavy": (20, 4, 3),
    "mtf_full": (15, 4, 4),
}
AVAILABLE = ["15m", "1h", "4h", "1d"]


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: int) -> None:
    space = build_space(SpaceSpec(level=level), timeframe="15m", sides="both", available=AVAILABLE)
    indicators, structures, timeframes = LEVELS[level]
    assert [slot.kind for slot in space.slots] == ["indicator"] * indicators + ["structure"] * structures
    assert space.timeframes == tuple(AVAILABLE[:timeframes])
    assert all(slot.timeframes == space.timeframes for slot in space.slots)


@pytest.mark.parametrize("preset", PRESETS)
def test_multi_timeframe_presets(preset: str) -> None:
    space = build_space(SpaceSpec(preset=preset), timeframe="15m", sides="both", available=AVAILABLE)
    each, structures, timeframes = PRESETS[preset]
    indicators = [slot for slot in space.slots if slot.kind == "indicator"]
    for label in AVAILABLE[:timeframes]:
        assert sum(slot.timeframes == (label,) for slot in indicators) == each
    assert len(indicators) == each * timeframes
    assert len(space.slots) - len(indicators) == structures


@pytest.mark.parametrize("available", [["1d"], ["1d", "1w"], ["4h", "1d", "1w"]])
@pytest.mark.parametrize("name", [*LEVELS, *PRESETS])
def test_too_few_timeframes_are_refused_with_what_works(name: int | str, available: list[str]) -> None:
    kind = "level" if isinstance(name, int) else "preset"
    spec = SpaceSpec.model_validate({kind: name})
    if spec.base.timeframes <= len(available):
        return
    with pytest.raises(ConfigError, match=f"{kind} {name} reads {spec.base.timeframes} timeframes") as caught:
        build_space(spec, timeframe=available[0], sides="both", available=available)
    message = str(caught.value)
    first, last = map(int, re.findall(r"choose a level of (\d+) to (\d+)", message)[0])
    for level in (first, last):
        build_space(SpaceSpec(level=level), timeframe=available[0], sides="both", available=available)
    slots = yaml.safe_load(re.findall(r"\(space: (\{.*?\})\)", message)[0])
    space = build_space(SpaceSpec.model_validate(slots), timeframe=available[0], sides="both")
    indicators = spec.base.indicators * (len(available) if kind == "preset" else 1)
    assert [slot.kind for slot in space.slots].count("indicator") == indicators
    assert space.timeframes == tuple(available)
    if last < 10:
        assert LEVELS[last + 1][2] > len(available)


def test_timeframes_are_those_given_or_the_next_coarser() -> None:
    assert space_timeframes(SpaceSpec(level=4), "1h", ["4h", "15m", "1d", "1h"]) == ("1h", "4h")
    assert space_timeframes(SpaceSpec(level=5, timeframes=["4h", "15m", "1h"]), "15m", []) == ("15m", "1h", "4h")
    with pytest.raises(ConfigError, match=r"level 4 reads 2 .* names 1 \(4h\); name 1 more"):
        space_timeframes(SpaceSpec(level=4, timeframes=["4h"]), "1h", ["1h", "4h"])
    with pytest.raises(ConfigError, match="15m is finer than the execution timeframe 1h"):
        space_timeframes(SpaceSpec(level=3, timeframes=["15m"]), "1h", [])


def test_an_own_space() -> None:
    spec = SpaceSpec(
        indicator_slots=3,
        timeframes=["1h"],
        indicators={"rsi": {"timeperiod": [7, 21]}, "ema": {}},
        operators=[">", "<"],
        combinations=4,
    )
    space = build_space(spec, timeframe="1h", sides="long")
    assert len(space.slots) == 3
    ema, rsi = space.slots[0].columns  # in the order of their names
    assert rsi.choices == ((("timeperiod", 7),), (("timeperiod", 21),))
    assert len(ema.choices) == 4
    assert ema.comparisons == ("close", "partner")
    assert rsi.comparisons == ("constant",)
    assert space.operators == (">", "<")


def test_a_list_of_names_is_enough() -> None:
    named = SpaceSpec(level=2, indicators=["rsi", "ema"])
    assert named == SpaceSpec(level=2, indicators={"rsi": {}, "ema": {}})
    assert {c.definition.name for c in build_space(named, timeframe="1d", sides="long").slots[0].columns} == {
        "rsi",
        "ema",
    }


def test_siblings_share_a_scale() -> None:
    spec = SpaceSpec(level=1, indicators=["macd", "ichimoku", "supertrend", "stoch"])
    columns = {
        (c.definition.name, c.output.name): c for c in build_space(spec, timeframe="1d", sides="long").slots[0].columns
    }
    assert columns["macd", "macd"].siblings == ("macdsignal",)
    assert columns["stoch", "slowk"].siblings == ("slowd",)
    assert columns["supertrend", "trend"].siblings == ()


def test_columns_in_a_fixed_order_are_not_set_against_each_other() -> None:
    spec = SpaceSpec(level=1, indicators=["bbands", "donchian", "ha", "macd", "percentile"], combinations=40)
    columns = {
        (c.definition.name, c.output.name): c for c in build_space(spec, timeframe="1d", sides="long").slots[0].columns
    }
    upper = columns["bbands", "upperband"]
    assert upper.siblings == ()
    assert upper.comparisons == ("close", "partner")
    for number, partners in enumerate(upper.partners):  # bands of one period never cross
        period = dict(upper.choices[number])["timeperiod"]
        assert partners == tuple(n for n, c in enumerate(upper.choices) if dict(c)["timeperiod"] != period)
    assert columns["macd", "macdhist"].siblings == ()
    assert columns["macd", "macdhist"].comparisons == ("constant",)
    assert columns["ha", "hahigh"].siblings == ("haopen", "haclose")  # a bar may open at its high
    assert columns["donchian", "upperband"].comparisons == ("close", "partner")


def test_a_column_whose_choices_are_all_in_order_has_no_partner() -> None:
    grids = {"bbands": {"timeperiod": [20], "nbdevup": [1.5, 2, 3], "nbdevdn": [2]}}
    spec = SpaceSpec.model_validate({"indicator_slots": 1, "timeframes": ["1d"], "indicators": grids})
    columns = build_space(spec, timeframe="1d", sides="long").slots[0].columns
    assert {column.output.name: column.comparisons for column in columns} == {
        "upperband": ("close",),
        "middleband": ("close",),
        "lowerband": ("close",),
    }


def test_the_fingerprint_tells_spaces_apart() -> None:
    def fingerprint(**spec: object) -> str:
        return build_space(SpaceSpec(**spec), timeframe="1d", sides="long", available=["1d", "1w"]).fingerprint()

    assert fingerprint(level=3) == fingerprint(level=3)
    others = [
        fingerprint(level=2),
        fingerprint(level=3, combinations=3),
        fingerprint(level=3, timeframes=["1d", "1w"]),
        fingerprint(level=3, operators=[">", "<"]),
        fingerprint(level=3, indicators=["rsi"]),
        fingerprint(level=3, risk={"max_bars": [7]}),
    ]
    assert len({fingerprint(level=3), *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "level .* or indicator_slots is needed"),
        ({"level": 0}, "greater than or equal to 1"),
        ({"level": 11}, "less than or equal to 10"),
        ({"level": 3, "preset": "mtf_light"}, "exclude each other"),
        ({"preset": "mtf_huge"}, "mtf_light"),
        ({"level": 3, "indicators": ["rsy"]}, "did you mean 'rsi'"),
        ({"level": 3, "indicators": ["zones"]}, "only indicators can stand here; zones is of kind structure"),
        ({"level": 3, "indicators": {"rsi": {"period": [14]}}}, "unknown parameter 'period'"),
        ({"level": 3, "indicators": {"rsi": {"timeperiod": []}}}, "the grid of timeperiod is empty"),
        ({"level": 3, "indicators": {"rsi": {"timeperiod": [0]}}}, "timeperiod is 0"),
        ({"level": 3, "indicators": {"macd": {"fastperiod": [30], "slowperiod": [10]}}}, "no combination"),
        ({"level": 3, "timeframes": ["1h", "1h"]}, "duplicate timeframe"),
        ({"level": 3, "timeframes": ["1x"]}, "timeframe '1x'"),
        ({"level": 3, "operators": ["="]}, "crosses_above"),
        ({"level": 3, "risk": {"max_bars": []}}, "at least 1 item"),
        ({"level": 3, "risk": {"stop": {"percent": [3.0]}}}, "less than 1"),
        ({"level": 3, "depth": 2}, "Extra inputs"),
    ],
)
def test_refused(spec: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SpaceSpec.model_validate(spec)
