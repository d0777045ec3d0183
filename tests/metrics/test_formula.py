"""Formulas of metrics: parsed from a whitelist, with the values that Python gives."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forge_core.errors import ConfigError
from forge_core.evolution.search.evaluation import Objectives
from forge_core.metrics.catalog import METRIC_INDEX, METRICS
from forge_core.metrics.formula import Formula
from forge_core.metrics.summary import objective_value
from tests.evolution.studies import small_spec


def vector(**values: float) -> np.ndarray:
    found = np.full(len(METRICS), np.nan)
    for name, value in {"total_trades": 0.0, "total_return": 0.0, **values}.items():
        found[METRIC_INDEX[name]] = value
    return found


NAMES = ("sharpe", "max_drawdown", "total_trades", "exposure")
leaves = st.sampled_from([*NAMES, "2", "0.5", "3e-2", "10"])
texts = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["sqrt", "log", "exp", "abs"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=8,
)


@given(texts, st.floats(-5, 5), st.floats(0, 1), st.integers(0, 500), st.floats(0, 1))
def test_a_formula_has_the_value_that_python_gives(text, sharpe, drawdown, trades, exposure):
    given = {"sharpe": sharpe, "max_drawdown": drawdown, "total_trades": float(trades), "exposure": exposure}
    if not any(name in text for name in NAMES) or len(text) > 300:
        return
    functions = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp, "abs": abs, "min": min, "max": max}
    try:
        expected = eval(text, functions, given)
    except (ArithmeticError, ValueError):
        expected = math.nan
    found = Formula(text).value(vector(**given))
    if isinstance(expected, complex) or not math.isfinite(expected):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sharp * 2", r"unknown metric 'sharp' \(did you mean 'sharpe'\?\)"),
        ("sqroot(sharpe)", r"unknown function 'sqroot' \(did you mean 'sqrt'\?\)"),
        ("__import__('os').system('true')", "is not allowed in a formula: use metrics, numbers"),
        ("sharpe.__class__", "is not allowed"),
        ("[sharpe]", "is not allowed"),
        ("sharpe if exposure else 1", "is not allowed"),
        ("sharpe > 1", "is not allowed"),
        ("'sharpe'", "is not allowed"),
        ("True * sharpe", "'True' is not allowed"),
        ("sqrt(sharpe, 2)", "sqrt takes one argument, got 2"),
        ("max(sharpe)", "max takes two or more arguments, got 1"),
        ("1 + 1", "names no metric"),
        ("sharpe *", "is no formula; write one such as"),
        ("", "is no formula"),
        ("sharpe + " * 40 + "1", "has 361 characters; at most 300"),
        ("1e400 * sharpe", "is not allowed"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Formula(text)


def test_undefined_metrics_have_their_values_as_objectives():
    empty = vector()
    assert Formula("2 * sharpe").value(empty) == 2 * objective_value(empty, "sharpe") == -40
    assert math.isnan(Formula("average_bars_held * 2").value(empty))
    assert math.isnan(Formula("log(total_trades)").value(empty))
    assert Formula("sharpe + max_drawdown + sharpe").names == ("sharpe", "max_drawdown")
    assert pickle.loads(pickle.dumps(Formula("sharpe"))) == Formula("sharpe")


def test_objectives_and_constraints_of_formulas():
    spec = small_spec(
        "formulas",
        objectives=[
            {"formula": "sharpe * sqrt(total_trades)", "direction": "maximize"},
            {"formula": "log(sharpe)", "direction": "minimize", "metric": "odd", "worst": 50.0, "scale": 2.0},
        ],
        constraints={"max_pain": {"formula": "max_drawdown / 0.5", "value": 1.0}},
    )
    objectives = Objectives.of(spec)
    assert [term.name for term in objectives.terms] == ["sharpe_sqrt_total_trades", "odd"]
    rows = np.array(
        [vector(sharpe=1.0, total_trades=16, max_drawdown=0.2), vector(sharpe=-2.0, total_trades=4, max_drawdown=0.75)]
    )
    found = objectives.score(rows)
    assert found.objectives == (-4.0, 50.0)  # the worst of two datasets; no logarithm of -2
    by_name = dict(zip((c.name for c in objectives.constraints), found.violations, strict=True))
    assert by_name["max_pain"] == pytest.approx(0.5)
    assert objectives.terms[1].definition.scale == 2.0
    assert objectives.failed(2, "x").objectives == (-1e9, 50.0)
    document = spec.model_dump(mode="json")
    assert document["objectives"][0] == {
        "metric": "sharpe_sqrt_total_trades",
        "direction": "maximize",
        "aggregate": "worst",
        "formula": "sharpe * sqrt(total_trades)",
    }
    assert type(spec).model_validate(document) == spec
    assert "formula" not in str(small_spec("plain").model_dump(mode="json"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": [{"formula": "sharp", "direction": "maximize"}]}, "did you mean 'sharpe'"),
        ({"objectives": [{"formula": "sharpe"}]}, "a formula needs one: maximize or minimize"),
        ({"objectives": [{"formula": "sharpe", "direction": "maximize", "metric": "calmar"}]}, "needs a new name"),
        ({"objectives": [{"metric": "sharpe", "worst": 1.0}]}, "only a formula has it"),
        ({"objectives": [{"metric": "sharpy"}]}, "did you mean 'sharpe'"),
        ({"constraints": {"min_x": {"formula": "sharp", "value": 1}}}, "did you mean 'sharpe'"),
        ({"constraints": {"x": {"formula": "sharpe", "value": 1}}}, "'x' is no constraint: write min_ or max_"),
    ],
)  # fmt: skip
def test_wrong_formulas_of_a_study_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        small_spec("wrong", **changes)
