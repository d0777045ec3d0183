"""The catalogue is complete and finite, and its page is up to date."""

import math
from pathlib import Path

import pytest

from forge_core.errors import ConfigError
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, get_metric
from forge_core.metrics.document import metrics_page


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_is_fit_for_the_optimizer(metric):
    assert math.isfinite(metric.worst)
    assert metric.description.endswith(".")
    assert METRICS[METRIC_INDEX[metric.name]] is metric
    if metric.cap is not None:
        assert math.isfinite(metric.cap)
        assert metric.cap > metric.worst
        assert metric.better == "maximize"


def test_names_are_unique():
    assert len(METRIC_INDEX) == len(METRICS)


def test_an_unknown_metric_is_met_with_the_nearest():
    assert get_metric("calmar").unit == "ratio a year"
    with pytest.raises(ConfigError, match=r"unknown metric 'sortina' \(did you mean 'sortino'\?\)"):
        get_metric("sortina")


def test_the_page_is_up_to_date():
    page = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_page(), (
        "docs/metrics.md is stale: run `python -m forge_core.metrics.document > docs/metrics.md`"
    )
