"""A sweep's file: its grids, what is refused with file, line and reason, and what is only odd."""

import json

import pytest

from forge_core.configuration import parse_yaml, validate_model
from forge_core.errors import ConfigError, StudyError
from forge_core.evolution.spec.study import list_studies
from forge_core.market.reference.instruments import get_instrument
from forge_core.sweeps.spec import SweepSpec, list_sweeps, load_sweep, month_label


def read(text: str) -> SweepSpec:
    value, lines = parse_yaml("name: test\nsymbols: [SP500]\n" + text, "test.yaml")
    return validate_model(SweepSpec, value, source="test.yaml", lines=lines)


def labels(spec: SweepSpec) -> list[str]:
    return [variant.label for variant in spec.variants]


def test_every_combination_of_a_grid_is_a_variant():
    spec = read("strategies:\n  rsi: {period: [7, 14], lower: 30, upper: [70, 80]}\n  macd:\n")
    assert labels(spec) == [
        "macd_12_26_9", "rsi_7_30_70_sma", "rsi_7_30_80_sma", "rsi_14_30_70_sma", "rsi_14_30_80_sma",
    ]  # fmt: skip
    assert json.loads(spec.variants[1].parameters_json) == {"period": 7, "lower": 30, "upper": 70, "smoothing": "sma"}


def test_several_grids_of_a_strategy_and_options_multiply_and_nothing_is_there_twice():
    spec = read(
        "strategies:\n  ema:\n"
        "  - {short_period: [5, 9], long_period: 20}\n"
        "  - {short_period: 9, long_period: [20, 50]}\n"
        "options: {trailing_stop: [null, 0.03], sides: [both, long]}\n"
    )
    assert len(spec.variants) == 3 * 4
    assert labels(spec)[:4] == [
        "ema_5_20", "ema_5_20 sides=long", "ema_5_20 trailing_stop=0.03", "ema_5_20 trailing_stop=0.03 sides=long"
    ]  # fmt: skip


def test_combinations_that_make_no_sense_are_left_out_and_said():
    spec = read("strategies:\n  ema: {short_period: [5, 20, 30], long_period: [20, 25]}\n")
    assert labels(spec) == ["ema_5_20", "ema_5_25", "ema_20_25"]
    assert spec.refusals == (
        "ema: 3 of 6 combinations are invalid: short_period 20 must be below long_period 20 (and 2 more)",
    )
    assert spec.oddities == ("ema: averages of 20 and 25 bars are so close that they cross on noise",)


def test_what_is_odd_is_said_once_with_how_often():
    spec = read("strategies: {rsi: {period: [2, 3], upper: [70, 80]}}\noptions: {trailing_stop: [0.001, 0.02]}\n")
    assert spec.oddities == (
        "rsi: an RSI over 2 bars is all noise (2 combinations)",
        "rsi: an RSI over 3 bars is all noise (2 combinations)",
        "options: a trailing stop of 0.10% is within the noise of most bars",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategies: {rsi: {period: [14, 0]}}", "test.yaml:3: strategies.rsi.period.1: Input should be greater than"),
        ("strategies:\n  rsi:\n    perid: 14", "test.yaml:5: strategies.rsi.perid: unknown parameter 'perid' (did you"),
        ("strategies: {rsi: {lower: 80, upper: 70}}", "no valid combination: lower 80 must be below upper 70"),
        ("strategies: {rssi: {}}", "strategies.rssi: unknown strategy 'rssi' (did you mean 'rsi'?)"),
        ("strategies: {rsi: {period: []}}", "strategies.rsi.period: the list of values is empty"),
        ("strategies: {ema: [{}, {short_period: x}]}", "strategies.ema.1.short_period: Input should be a"),
        ("strategies: {}", "strategies: Dictionary should have at least 1 item"),
        ("strategies: {rsi: {}}\noptions: {trailing_stop: 3}", "test.yaml:4: options.trailing_stop: a fraction"),
        ("strategies: {rsi: {}}\noptions: {sides: short_only}", "options.sides: Input should be 'both', 'long'"),
        ("strategies: {rsi: {}}\noptions: {slipage: 1}", "options.slipage: unknown parameter"),
        ("strategies: {rsi: {}}\ncosts: {slippage_tick: 1}", "costs.slippage_tick' (did you mean 'slippage_ticks'"),
        ("strategies: {rsi: {}}\nmonths: [2024-01, 2024-13]", "months.1: month '2024-13': expected the form 2024-01"),
        ("strategies: {rsi: {}}\nmonths: []", "months: the list is empty: add values, or write `all`"),
        ("strategies: {rsi: {}}\nmonths: some", "months: Input should be 'all', got 'some'"),
        ("strategies: {rsi: {}}\nintervals: [1h, 1x]", "intervals.1: timeframe '1x' is not one of the form"),
        ("strategies: {rsi: {}}\nintervals: [1h, 1h]", "intervals.1: duplicate value"),
        ("strategies: {rsi: {}}\ncash: 0", "cash: Input should be greater than 0"),
        ("strategies: {rsi: {}}\nadjust: back", "adjust: Input should be 'forward' or 'none'"),
        ("strategies: {rsi: {}}\npolicy: replay", "policy: Input should be 'pessimistic' or 'ohlc_path'"),
        ("strategies: {rsi: {}}\nworker: 3", "unknown key 'worker'"),
        ("strategies: {ema: {short_period: [" + "5, " * 1001 + "5], long_period: [" + "9, " * 1001 + "9]}}",
         "1,004,004 combinations; expected at most 1,000,000"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text, message):
    with pytest.raises(ConfigError) as error:
        read(text)
    assert message in str(error.value)


def test_an_unknown_symbol_is_refused():
    with pytest.raises(ConfigError, match=r"symbols.0: unknown symbol 'SP50' \(did you mean 'SP500'"):
        validate_model(SweepSpec, {"name": "x", "symbols": ["SP50"], "strategies": {"rsi": {}}}, source="x")


@pytest.mark.parametrize("value", ["2024-01", "202401", 202401])
def test_months_are_read_as_people_write_them(value):
    assert month_label(value) == "2024-01"


@pytest.mark.parametrize("value", [20240101, "2024", "2024-00", True, None, "2024-1"])
def test_what_is_no_month_is_refused(value):
    with pytest.raises(ConfigError, match="expected the form 2024-01"):
        month_label(value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all", {"2023-12", "2024-01", "2024-02", "2024-03"}),
        ("[2024-01, 202403]", {"2024-01", "2024-03"}),
        ("{from: 2024-01, to: 2024-02}", {"2024-01", "2024-02"}),
        ("{from: 2024-02}", {"2024-02", "2024-03"}),
        ("{to: 202401}", {"2023-12", "2024-01"}),
    ],
)
def test_months_are_all_some_or_from_one_to_another(text, wanted):
    spec = read(f"strategies: {{rsi: }}\nmonths: {text}\n")
    assert {m for m in ("2023-12", "2024-01", "2024-02", "2024-03") if spec.wants_month(m)} == wanted


def test_costs_that_are_not_named_stay_the_instruments():
    zs = get_instrument("ZS")
    costs = read("strategies: {rsi: }\ncosts: {slippage_ticks: 0, slippage_bps: 3}\n").costs.of(zs)
    assert (costs.slippage_ticks, costs.slippage_bps) == (0, 3)
    assert costs.commission_per_contract == zs.commission_per_contract


def test_the_projects_sweeps_are_sound_and_no_studies():
    assert {"mass_test", "mass_test_futures"} <= set(list_sweeps())
    assert not set(list_sweeps()) & set(list_studies())
    for name in list_sweeps():
        spec = load_sweep(name)
        assert {variant.strategy.name for variant in spec.variants} == {"rsi", "ema", "macd", "bollinger", "ichimoku"}
        assert spec == SweepSpec.model_validate(spec.model_dump(mode="json", by_alias=True))


def test_a_sweep_is_named_or_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("symbols: [SP500]\nstrategies: {rsi: }\n")
    assert load_sweep(path).name == "mine"
    with pytest.raises(StudyError, match=r"unknown sweep 'mass_tset' \(did you mean 'mass_test'"):
        load_sweep("mass_tset")
    with pytest.raises(StudyError, match="no sweep file"):
        load_sweep(tmp_path / "absent.yaml")
