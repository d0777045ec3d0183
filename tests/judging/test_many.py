"""``backtest_many``: the same numbers as ``backtest``, one table, whatever the number of workers."""

import numpy as np
import pandas as pd
import pytest

import forge_core
from forge_core.errors import ConfigError, PlayError
from forge_core.market.datasets.build import ensure_dataset

PLAYS = ["studies/plays/ema_cross.yaml", "studies/plays/band_breakout.yaml"]
DATASETS = ["SP500_BEAR_2008", "SP500_BULL_2013"]


def test_every_pair_has_the_metrics_of_its_backtest():
    seen = []
    table = forge_core.backtest_many(
        PLAYS, DATASETS, workers=2, progress=lambda done, total: seen.append((done, total))
    )
    assert list(table["play"]) == ["ema_cross"] * 2 + ["band_breakout"] * 2
    assert list(table["data"]) == DATASETS * 2
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for row in table.iloc[:2].to_dict("records"):
        single = forge_core.backtest(PLAYS[0], row["data"]).metrics
        assert {name: None if np.isnan(row[name]) else row[name] for name in single} == dict(single)
    assert table["error"].iloc[2] == "dataset SP500_BEAR_2008 has no 1h bars; it has 1d, 1w"
    pd.testing.assert_frame_equal(table, forge_core.backtest_many(PLAYS, DATASETS, workers=1))


def test_frames_are_named_and_may_have_a_column_of_times():
    bars = ensure_dataset("SP500_BEAR_2008").bars("1d")
    column = bars.reset_index()
    table = forge_core.backtest_many(PLAYS[0], {"index": bars, "column": column, "other": column.iloc[:300]})
    assert list(table["data"]) == ["index", "column", "other"]
    assert table["total_return"].iloc[0] == table["total_return"].iloc[1] != table["total_return"].iloc[2]


@pytest.mark.parametrize(
    ("plays", "data", "options", "error", "message"),
    [
        ("name: x\n", DATASETS, {}, PlayError, "timeframe"),
        (PLAYS, ["SP500_BEAR_208"], {}, ConfigError, "did you mean 'SP500_BEAR_2008' or 'SP500_BEAR_2000'"),
        (PLAYS, DATASETS[:1] * 2, {}, ConfigError, "given twice"),
        (PLAYS, DATASETS, {"workers": 0}, ConfigError, "workers is 0"),
        (PLAYS, DATASETS, {"policy": "replay"}, ConfigError, "finer bars"),
    ],
)
def test_bad_input_is_refused_before_any_backtest(plays, data, options, error, message):
    with pytest.raises(error, match=message):
        forge_core.backtest_many(plays, data, progress=lambda *_: pytest.fail("a backtest ran"), **options)


def test_the_public_names_are_listed():
    assert set(forge_core.__all__) <= set(dir(forge_core))
    assert all(getattr(forge_core, name) is not None for name in dir(forge_core))
