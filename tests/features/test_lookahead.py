"""No feature sees the future: what stands at bar i is the same whatever comes after it."""

import numpy as np
import pytest

from forge_core.features.definition import FeatureDefinition, Floats, Output, Params
from forge_core.features.registry import all_features
from forge_core.features.scale import Scale
from tests.features.sample_bars import Bars, choices, hostile, same, ticks, walk

CUTS = (60, 131, 215, 262, 333, 419)  # inside and after the stretches in which prices stand still


def first_difference(definition: FeatureDefinition, params: Params, bars: Bars, noise: Bars) -> str:
    """Return where a feature changes with the bars after it, '' where it never does."""
    whole = definition.compute(bars, params)
    for cut in CUTS:
        short = definition.compute({name: column[:cut].copy() for name, column in bars.items()}, params)
        mixed = {name: np.concatenate([column[:cut], noise[name][cut:]]) for name, column in bars.items()}
        changed = definition.compute(mixed, params)
        for name, column in whole.items():
            if not same(column[:cut], short[name]):
                return f"{name}{params} differs when the bars from {cut} on are cut off"
            if not same(column[:cut], changed[name][:cut]):
                return f"{name}{params} differs when the bars from {cut} on are others"
    return ""


OF_PRICES = [definition for definition in all_features() if definition.kind not in ("calendar", "relative")]


@pytest.mark.parametrize("definition", OF_PRICES, ids=lambda definition: definition.name)
def test_no_value_depends_on_later_bars(definition):
    noise = {name: 3.0 * column for name, column in walk(seed=9).items()}
    for params in choices(definition):
        for bars in (walk(), ticks(), hostile()):
            assert first_difference(definition, params, bars, noise) == ""


@pytest.mark.parametrize("ahead", [1, 26])
def test_the_check_finds_a_line_shifted_back_like_ichimokus_chikou(ahead):
    def chikou(bars: Bars, params: Params) -> tuple[Floats, ...]:
        return (np.concatenate([bars["close"][ahead:], np.full(ahead, np.nan)]),)

    definition = FeatureDefinition(
        "chikou", "indicator", "", (), (Output("real", Scale("price")),), "real", chikou, lambda params: 0
    )
    assert "cut off" in first_difference(definition, {}, walk(), walk(seed=9))


def test_the_check_finds_a_column_normalised_over_the_whole_series():
    def normalised(bars: Bars, params: Params) -> tuple[Floats, ...]:
        return ((bars["close"] - bars["close"].mean()) / bars["close"].std(),)

    definition = FeatureDefinition(
        "z", "indicator", "", (), (Output("real", Scale("centred")),), "real", normalised, lambda params: 0
    )
    assert first_difference(definition, {}, walk(), walk(seed=9)) != ""
