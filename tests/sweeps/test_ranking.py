"""The ranking: pooled returns and not means of ratios, steadiness over months, neighbours on the grid, files."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import quantstats

from forge_core.errors import ConfigError, StudyError
from forge_core.sweeps.loading import Filters, load_results, month_hashes
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.ranking import parameter_map, rank, rank_strategies
from forge_core.sweeps.report import export, heat_maps, month_figures, sweep_status, write_ranking
from tests.sweeps.made import all_rows, finished, quiet, sweep

GROUP = ["strategy", "parameters", "options"]


@pytest.fixture(scope="module")
def rows(plan) -> pd.DataFrame:
    frame = all_rows(plan.home).to_pandas()
    return frame.astype({name: str for name in frame.select_dtypes("category")})


def of_row(rows: pd.DataFrame, line: pd.Series) -> pd.DataFrame:
    """The tests that a line of the ranking is made of."""
    return rows[(rows[GROUP] == line[GROUP].to_numpy()).all(axis=1)]


def test_ratios_are_of_all_daily_returns_together(plan, rows):
    ranking = rank(plan)
    assert len(ranking) == len(plan.spec.variants)
    means = []
    for _, line in ranking.iloc[::5].iterrows():
        tests = of_row(rows, line)
        daily = pd.Series(np.concatenate(tests["daily_returns"].to_numpy()).astype(float))
        assert (line["tests"], line["days"]) == (len(tests), len(daily))
        assert line["sharpe"] == pytest.approx(quantstats.stats.sharpe(daily, periods=252), rel=1e-9)
        assert line["sortino"] == pytest.approx(quantstats.stats.sortino(daily, periods=252), rel=1e-9)
        assert line["volatility"] == pytest.approx(daily.std() * math.sqrt(252), rel=1e-9)
        assert line["var_95"] == pytest.approx(daily.quantile(0.05), rel=1e-9)
        assert line["total_trades"] == tests["total_trades"].sum()
        assert line["win_rate"] == pytest.approx(tests["wins"].sum() / tests["total_trades"].sum())
        assert line["net_profit"] == pytest.approx(tests["net_profit"].sum())
        assert line["expectancy"] == pytest.approx(tests["net_profit"].sum() / tests["total_trades"].sum())
        assert line["profit_factor"] == pytest.approx(tests["gross_profit"].sum() / -tests["gross_loss"].sum())
        assert line["max_drawdown"] == tests["max_drawdown"].max()
        means.append(abs(line["sharpe"] - tests["sharpe"].mean()))
    assert np.median(means) > 0.03  # a mean of ratios is something else


def test_steadiness_is_over_months(plan, rows):
    ranking = rank(plan)
    for _, line in ranking.iloc[::7].iterrows():
        months = of_row(rows, line).groupby("month")["total_return"].mean()
        assert line["months"] == len(months)
        assert line["positive_months"] == pytest.approx((months > 0).mean())
        found = [line[f"month_return_{name}"] for name in ("mean", "median", "std", "worst", "best")]
        assert found == pytest.approx([months.mean(), months.median(), months.std(), months.min(), months.max()])


def test_the_best_come_first_by_whatever_is_asked_for(plan):
    assert rank(plan)["sharpe"].is_monotonic_decreasing
    assert rank(plan, sort="net_profit")["net_profit"].is_monotonic_decreasing
    assert rank(plan, sort="max_drawdown")["max_drawdown"].is_monotonic_increasing
    with pytest.raises(ConfigError, match=r"unknown column to sort by 'sharp' \(did you mean 'sharpe'"):
        rank(plan, sort="sharp")


def test_filters_choose_tests_and_few_trades_are_left_out(plan, rows):
    filters = Filters(symbols=["ZS"], intervals=["4h"], strategies=["ema"], first_month="2023-03", last_month="202305")
    chosen = rows.query("symbol == 'ZS' and interval == '4h' and strategy == 'ema' and '2023-03' <= month <= '2023-05'")
    ranking = rank(plan, filters)
    assert ranking["tests"].sum() == len(chosen)
    assert ranking["total_trades"].sum() == chosen["total_trades"].sum()
    assert set(ranking["months"]) == {3}
    least = int(rank(plan)["total_trades"].median())
    enough = rank(plan, Filters(min_trades=least))
    assert enough["total_trades"].min() >= least
    assert 0 < len(enough) < len(rank(plan))
    assert rank(plan, Filters(min_trades=10**9)).empty
    for wrong in (Filters(symbols=["CL"]), Filters(intervals=["1h"]), Filters(strategies=["rso"])):
        with pytest.raises(ConfigError, match="unknown"):
            rank(plan, wrong)
    with pytest.raises(ConfigError, match="expected the form 2024-01"):
        rank(plan, Filters(first_month="March"))


def test_symbols_and_intervals_can_be_ranked_apart(plan, rows):
    apart = rank(plan, split=("symbol", "interval"))
    assert len(apart) == 4 * len(plan.spec.variants)
    line = apart.iloc[0]
    tests = of_row(rows, line).query("symbol == @line.symbol and interval == @line.interval")
    assert line["total_trades"] == tests["total_trades"].sum()
    with pytest.raises(ConfigError, match="unknown split 'month'"):
        rank(plan, split=("month",))


def test_neighbours_are_the_parameter_sets_one_step_away(plan):
    ranking = rank(plan)
    usual = ranking["options"] == ranking["options"].iloc[0]
    rsi = ranking[usual & (ranking["strategy"] == "rsi")].copy()
    rsi["place"] = [(p["period"], p["lower"]) for p in map(json.loads, rsi["parameters"])]
    sharpe = rsi.set_index("place")["sharpe"]
    line = rsi.set_index("place").loc[[(5, 30.0)]].iloc[0]
    near = [sharpe[(9, 30.0)], sharpe[(5, 40.0)]]
    assert line["neighbours"] == 2
    assert line["neighbour_sharpe"] == pytest.approx(np.mean(near))
    assert line["neighbours_positive"] == np.mean(np.array(near) > 0)
    alone = ranking[ranking["strategy"] == "ichimoku"]
    assert (alone["neighbours"] == 0).all()
    assert alone["neighbour_sharpe"].isna().all()


def test_a_strategy_is_judged_by_all_its_parameter_sets(plan):
    ranking = rank(plan)
    table = rank_strategies(ranking)
    assert len(table) == 5 * 2
    line = table.iloc[0]
    sets = ranking[(ranking["strategy"] == line["strategy"]) & (ranking["options"] == line["options"])]
    assert line["parameter_sets"] == len(sets)
    assert line["sharpe_median"] == pytest.approx(sets["sharpe"].median())
    assert line["positive_sets"] == (sets["sharpe"] > 0).mean()
    assert line["best_sharpe"] == sets["sharpe"].max()
    assert line["best_parameters"] == sets.loc[sets["sharpe"].idxmax(), "parameters"]


def test_strategies_are_told_apart_by_what_the_ranking_is_split_by(plan):
    ranking = rank(plan, split=["symbol"])
    table = rank_strategies(ranking)
    assert len(table) == 5 * 2 * 2
    for _, line in table.iterrows():
        keys = ["strategy", "options", "symbol"]
        sets = ranking[(ranking[keys] == line[keys].to_numpy()).all(axis=1)]
        assert line["parameter_sets"] == len(sets) == sets["parameters"].nunique()
        assert line["best_sharpe"] == sets["sharpe"].max()
    assert len(rank_strategies(rank(plan, split=["symbol", "interval"]))) == 5 * 2 * 4


def test_the_map_of_two_parameters_holds_the_others_as_in_the_best(plan):
    ranking = rank(plan)
    best = ranking[ranking["strategy"] == "ema"].iloc[0]
    grid = parameter_map(ranking, "ema")
    assert (grid.index.name, grid.columns.name) == ("long_period", "short_period")
    assert (list(grid.index), list(grid.columns)) == ([13, 21], [3, 5, 8])
    place = json.loads(best["parameters"])
    assert grid.loc[place["long_period"], place["short_period"]] == best["sharpe"]
    rsi = parameter_map(ranking, "rsi")
    assert rsi.attrs["fixed"] == {"upper": 65.0, "smoothing": "sma"}
    assert parameter_map(ranking, "macd") is None  # one parameter takes several values
    with pytest.raises(ConfigError, match="unknown strategy"):
        parameter_map(ranking, "emma")
    pictures = heat_maps(ranking)
    assert set(pictures) == {"ema", "rsi"}
    assert all(png.startswith(b"\x89PNG") for png in pictures.values())


def test_only_what_the_plan_asks_for_is_ranked(futures):
    """Results of other costs lie beside those of the sweep, and do not mix with them."""
    mine = finished(sweep("mine", strategies={"ema": {"short_period": [3, 5], "long_period": 13}}), futures)
    before = rank(mine)
    other = sweep("dear", strategies={"ema": {"short_period": 3, "long_period": 13}}, costs={"slippage_ticks": 9})
    dear = rank(finished(other, futures))
    pd.testing.assert_frame_equal(rank(mine), before)
    assert dear["net_profit"].iloc[0] < before["net_profit"].min()


def test_nothing_done_yet_is_an_empty_ranking(futures):
    plan = SweepPlan.make(sweep(), futures, quiet())
    assert rank(plan).empty
    assert rank_strategies(rank(plan)).empty
    assert heat_maps(rank(plan)) == {}
    assert write_ranking(plan).empty
    assert len(load_results(plan, Filters(), ["sharpe"])) == 0
    assert (sweep_status(plan)["done"] == 0).all()
    assert month_figures(plan) == {}
    assert month_hashes(plan) == {}
    with pytest.raises(StudyError, match="no ranking of that kind"):
        export(plan, "ranking", futures.root / "x.csv")


def test_status_counts_what_is_done(plan, rows):
    table = sweep_status(plan)
    assert table["tests"].sum() == table["done"].sum() == plan.tests == len(rows)
    assert (table["failed"] == 0).all()
    assert set(table["symbol"] + table["interval"]) == {"ZS4h", "ZS1d", "GC4h", "GC1d"}


def test_months_tell_what_they_hold(plan, rows):
    figures = month_figures(plan)
    assert list(figures) == plan.months
    by_month = rows.groupby("month")
    for month, found in figures.items():
        tests = by_month.get_group(month)
        assert (found["tests"], found["failed"]) == (len(tests), 0)
        assert found["total_trades"] == tests["total_trades"].sum()
        ema = tests[tests["strategy"] == "ema"]
        shown = found["strategies"]["ema"]
        assert (shown["tests"], shown["total_trades"]) == (len(ema), ema["total_trades"].sum())
        assert shown["profitable"] == pytest.approx((ema["total_return"] > 0).mean())
        assert shown["mean_return"] == pytest.approx(ema["total_return"].mean())
        assert found["symbols"] == sorted(set(tests["symbol"]))
    hashes = month_hashes(plan)
    assert list(hashes) == plan.months
    assert len(set(hashes.values())) == len(hashes)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_are_exported_whole(plan, rows, tmp_path, suffix):
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    path = tmp_path / f"table.{suffix}"
    assert export(plan, "ranking", path) == len(plan.spec.variants)
    assert list(read(path)["strategy"]) == list(rank(plan)["strategy"])
    assert export(plan, "strategies", path) == 10
    assert export(plan, "results", path, Filters(symbols=["GC"], strategies=["rsi"])) == len(
        rows.query("symbol == 'GC' and strategy == 'rsi'")
    )
    table = read(path)
    assert set(table["key"]) <= set(rows["key"])
    assert ("daily_returns" in table.columns) == (suffix == "parquet")
    with pytest.raises(StudyError, match="verbose: true"):
        export(plan, "trades", path)
    with pytest.raises(ConfigError, match=r"ends in .csv or .parquet"):
        export(plan, "ranking", tmp_path / "table.xlsx")
    with pytest.raises(ConfigError, match="cannot export"):
        export(plan, "everything", path)


def test_the_ranking_is_kept_as_files(plan):
    ranking = write_ranking(plan)
    folder = plan.home.mass_tests / "rankings" / "made"
    kept = pd.read_parquet(folder / "ranking.parquet")
    pd.testing.assert_frame_equal(kept, ranking, check_dtype=False)
    assert {path.name for path in folder.iterdir()} == {
        "ranking.parquet", "ranking.csv", "strategies.parquet", "strategies.csv"
    }  # fmt: skip
