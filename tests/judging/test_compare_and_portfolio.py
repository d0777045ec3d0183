"""Comparison of studies, and portfolios."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import forge_core
from forge_core.cli.main import app
from forge_core.errors import ConfigError, DataError, StudyError
from forge_core.evolution.steps import run_study
from forge_core.judging.choice import study_play
from forge_core.judging.compare import compare_studies, correlations
from forge_core.judging.portfolio import fit_weights, weigh
from forge_core.paths import Home
from tests.evolution.studies import small_spec


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    for name in ("first", "second"):
        run_study(small_spec(name, holdout=["SP500_BULL_2003"], seed=3 if name == "first" else 4), home)
    run_study(small_spec("first_again", holdout=["SP500_BULL_2003"], seed=3), home)
    return home


@pytest.fixture
def forge(home, monkeypatch):
    monkeypatch.setenv("FORGE_HOME", str(home.root))
    monkeypatch.setenv("COLUMNS", "250")

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_twins_are_one_cluster_and_correlate_fully(home):
    found = compare_studies(["first", "first_again", "second"], home)
    assert found.champions.loc["first", "first_again"] == pytest.approx(1.0)
    twins = found.clusters.groupby("play")["cluster"].nunique()
    assert (twins == 1).all()
    assert found.studies.loc["first", "champion"] == found.studies.loc["first_again", "champion"]
    assert found.studies.loc["first", "SP500_BULL_2003 evaluation"] == 1
    with pytest.raises(StudyError, match="different studies"):
        compare_studies(["first", "first"], home)


def test_clusters_are_what_trades_alike(home):
    found = compare_studies(["first", "second"], home, alike=0.999)
    loose = compare_studies(["first", "second"], home, alike=0.01)
    assert found.clusters["cluster"].nunique() >= loose.clusters["cluster"].nunique()
    assert (found.clusters["size"].diff().dropna() <= 0).all()


def test_too_few_common_days_have_no_correlation():
    rng = np.random.default_rng(1)
    a = pd.Series(rng.standard_normal(100), pd.date_range("2024-01-01", periods=100))
    b = pd.Series(rng.standard_normal(100), pd.date_range("2024-04-01", periods=100))
    assert np.isnan(correlations({"a": a, "b": b}).loc["a", "b"])


def returns(count=400, seed=2):
    rng = np.random.default_rng(seed)
    index = pd.date_range("2023-01-01", periods=count)
    shared = rng.standard_normal(count)
    made = {"calm": 0.002 * rng.standard_normal(count), "wild": 0.02 * shared, "twin": 0.02 * shared}
    return {name: pd.Series(values, index) for name, values in made.items()}


def test_weights_sum_to_one_and_follow_the_variance():
    table = pd.DataFrame(returns())
    equal, inverse, minimum = (
        fit_weights(table, weighting) for weighting in ("equal", "inverse_volatility", "minimum_variance")
    )
    np.testing.assert_allclose(equal, 1 / 3)
    np.testing.assert_allclose(inverse, (1 / table.std()) / (1 / table.std()).sum())
    for weights in (equal, inverse, minimum):
        assert weights.sum() == pytest.approx(1.0)
        assert (weights >= 0).all()
    assert minimum[0] > 0.9
    variance = [w @ table.cov().to_numpy() @ w for w in (minimum, inverse, equal)]
    assert variance[0] <= variance[1] * 1.05
    assert variance[1] < variance[2]


def test_the_joint_equity_is_the_weighted_growth_of_days_after_the_fit():
    parts = returns()
    found = weigh(parts, weighting="inverse_volatility", start="2023-08-01")
    assert found.growth.index[0] == pd.Timestamp("2023-08-01")
    changed = {name: series.where(series.index < "2023-08-01", 0.0) for name, series in parts.items()}
    assert found.weights.equals(weigh(changed, weighting="inverse_volatility", start="2023-08-01").weights)
    own = {name: (1 + series["2023-08-01":]).prod() for name, series in parts.items()}
    assert found.growth["portfolio"].iloc[-1] == pytest.approx(sum(own[n] * found.weights[n] for n in own))
    assert found.figures.loc["portfolio", "total_return"] == pytest.approx(found.growth["portfolio"].iloc[-1] - 1)


def test_days_of_one_part_alone_are_on_the_calendar():
    parts = returns()
    weekdays = parts["calm"][parts["calm"].index.day_of_week < 5]
    found = weigh({"calm": weekdays, "wild": parts["wild"]})
    assert set(found.growth.index.day_of_week) == set(range(7))
    assert found.growth["calm"].iloc[-1] == pytest.approx((1 + weekdays[found.start :]).prod())


def test_bad_portfolios_are_refused():
    parts = returns()
    with pytest.raises(ConfigError, match="portfolio of 1 part"):
        weigh({"calm": parts["calm"]})
    with pytest.raises(ConfigError, match="did you mean 'equal'"):
        weigh(parts, weighting="equals")
    with pytest.raises(DataError, match="no common period"):
        weigh({"calm": parts["calm"][:100], "wild": parts["wild"][200:]})
    with pytest.raises(DataError, match="expected 60 or more"):
        weigh(parts, start="2023-01-20")


def test_the_commands(forge, tmp_path):
    shown = forge("study", "compare", "first", "second", "--csv", str(tmp_path / "clusters.csv"))
    assert "correlation of the champions' daily returns" in shown
    assert (tmp_path / "clusters.csv").read_text().startswith("study,play,cluster,size")
    parts = ["first@SP500_FULL_CYCLE", "studies/plays/ema_cross.yaml@NASDAQ_FULL_CYCLE"]
    shown = forge("portfolio", *parts, "--weights", "minimum_variance", "--csv", str(tmp_path / "growth.csv"))
    assert "portfolio" in shown
    growth = pd.read_csv(tmp_path / "growth.csv", index_col=0)
    assert list(growth) == [*parts, "portfolio"]
    assert "expected PLAY.yaml@DATASET" in forge("portfolio", "first", "second", code=1)
    assert "Play of the front of 'first'" in forge("portfolio", "first/zz@SP500_FULL_CYCLE", *parts, code=1)
    assert "order: " in forge("play", "signal", "studies/plays/ema_cross.yaml", "-d", "SP500_BEAR_2008")
    assert '"order"' in forge("play", "signal", "studies/plays/ema_cross.yaml", "-d", "SP500_BEAR_2008", "--json")
    stressed = forge(
        "play", "stress", "studies/plays/ema_cross.yaml", "-d", "SP500_BEAR_2008", "-o", str(tmp_path / "s.html")
    )
    assert "variants earn" in stressed


def test_a_study_s_plays_are_found_by_name(home):
    champion = study_play("first", home=home)
    assert forge_core.backtest(champion, "SP500_BEAR_2008").metrics["total_trades"] >= 0
