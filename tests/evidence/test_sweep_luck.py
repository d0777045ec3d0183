"""The luck line of a mass test."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from forge_core.evidence.statistics.sharpe import expected_maximum
from forge_core.evidence.sweeps.luck_line import sweep_luck_line, sweep_luck_text


def plan(sets: int):
    return SimpleNamespace(spec=SimpleNamespace(variants=[None] * sets, symbols=["SP500"]))


def test_all_parameter_sets_count_whatever_the_ranking_shows() -> None:
    ranking = pd.DataFrame({"days": [1001, 1001], "sharpe": [0.4, 3.9]})
    line = sweep_luck_line(plan(92), ranking)
    assert line == pytest.approx(expected_maximum(92) / math.sqrt(1000) * math.sqrt(252))
    assert "the best of 92 parameter sets" in sweep_luck_text(plan(92), ranking)
    assert "3.90, lies above" in sweep_luck_text(plan(92), ranking)
    assert "0.40, lies below" in sweep_luck_text(plan(92), ranking.head(1))


def test_a_single_set_has_no_luck_line() -> None:
    ranking = pd.DataFrame({"days": [1001], "sharpe": [0.4]})
    assert sweep_luck_line(plan(1), ranking) is None
    assert sweep_luck_text(plan(9), ranking.head(0)) is None
