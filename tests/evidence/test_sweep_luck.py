"""Luck of mass tests: the luck line, and the luck test over whole sweeps."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError, StudyError
from forge_core.evidence.statistics.sharpe import expected_maximum
from forge_core.evidence.sweeps import luck_test
from forge_core.evidence.sweeps.best_set import best_set, ranked_best
from forge_core.evidence.sweeps.luck_line import sets_tried, sweep_luck_line, sweep_luck_line_text
from forge_core.evidence.sweeps.luck_test import read_sweep_luck, sweep_luck_test
from forge_core.evidence.sweeps.mirrored_series import mirror_series, read_all
from forge_core.evidence.sweeps.text import sweep_luck_picture, sweep_luck_text
from forge_core.market.bars.resampling import resample_bars
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.ranking import rank
from forge_core.sweeps.steps import run_sweep
from tests.sweeps.made import SPEC, finished, futures_home, quiet, sweep


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    """A finished sweep of 30 sets on 4h and 1d bars of two futures that roll, all random walks."""
    return finished(sweep(**SPEC), futures_home(Home(Path(tmp_path_factory.mktemp("sweep")))))


def test_all_parameter_sets_count_whatever_the_ranking_shows(plan: SweepPlan) -> None:
    ranking = pd.DataFrame({"days": [1001, 1001], "sharpe": [0.4, 3.9]})
    a_year = np.mean([get_instrument(symbol).annualization for symbol in plan.spec.symbols])
    line = sweep_luck_line(plan, ranking, 92)
    assert line == pytest.approx(expected_maximum(92) / math.sqrt(1000) * math.sqrt(a_year))
    assert "the best of 92 parameter sets" in sweep_luck_line_text(plan, ranking, 92)
    assert "3.90, lies above" in sweep_luck_line_text(plan, ranking, 92)
    assert "0.40, lies below" in sweep_luck_line_text(plan, ranking.head(1), 92)


def test_a_single_set_has_no_luck_line(plan: SweepPlan) -> None:
    ranking = pd.DataFrame({"days": [1001], "sharpe": [0.4]})
    assert sweep_luck_line(plan, ranking, 1) is None
    assert sweep_luck_line_text(plan, ranking.head(0), 9) is None


def test_sets_that_another_sweep_tried_on_the_same_bars_count_too(futures_copy: Home) -> None:
    first = finished(sweep(strategies={"rsi": {"period": [5, 9]}}), futures_copy)
    assert sets_tried(first) == 2
    run_sweep(sweep("other", strategies={"rsi": {"period": [9, 14]}}), futures_copy, workers=1, log=quiet())
    assert sets_tried(first) == 3  # 9 is one and the same test
    run_sweep(sweep("dear", costs={"slippage_ticks": 5.0}), futures_copy, workers=1, log=quiet())
    assert sets_tried(first) == 4  # other costs are another look at the same bars
    run_sweep(sweep("months", months=["2023-02"]), futures_copy, workers=1, log=quiet())
    assert sets_tried(first) == 4


@pytest.fixture
def futures_copy(tmp_path: Path) -> Home:
    return futures_home(Home(tmp_path))


@pytest.mark.parametrize("change", [{}, {"adjust": "none"}])
def test_on_the_real_bars_the_best_set_is_that_of_the_ranking(futures_copy: Home, change) -> None:
    made = finished(sweep(**SPEC | change), futures_copy)
    expected, found = ranked_best(made), best_set(made, read_all(made), threads=2)
    assert expected is not None
    assert found is not None
    assert found.label == expected.label
    assert found.sharpe == pytest.approx(expected.sharpe, rel=1e-6)


def test_coarser_intervals_of_a_symbol_are_resampled_from_the_finest(plan: SweepPlan) -> None:
    real = read_all(plan)
    mirrored = mirror_series(plan, real, np.random.default_rng(3))
    assert mirrored.keys() == real.keys()
    for symbol in ("ZS", "GC"):
        fine, coarse = mirrored[symbol, "4h"].bars, mirrored[symbol, "1d"].bars
        joined = resample_bars(fine, Timeframe.parse("1d"), session=get_instrument(symbol).session)
        pd.testing.assert_frame_equal(coarse.iloc[: len(joined)], joined, check_freq=False)
        assert coarse.index[-1] == real[symbol, "1d"].bars.index[-1]  # days after the last 4h bar, by themselves
        assert len(coarse) > len(joined) + 100
        assert coarse["close"].iloc[-1] == pytest.approx(real[symbol, "1d"].bars["close"].iloc[-1])
        before, after = (bars[symbol, "4h"].bars["close"].diff() for bars in (real, mirrored))
        assert (before * after < 0).mean() == pytest.approx(0.5, abs=0.1)


def test_symbols_share_the_coin_of_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with BarStore(home.store) as store:
        for number, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
            noise = 0.02 * np.random.default_rng(number).standard_normal(500)
            store.upsert(symbol, "1d", days(100 * np.exp(np.cumsum(noise - noise.mean()))), source="made up")
    made = SweepPlan.make(sweep(symbols=["BTCUSDT", "ETHUSDT"], intervals=["1d"]), home, quiet())
    real = read_all(made)
    mirrored = mirror_series(made, real, np.random.default_rng(3))
    first, second = (
        np.sign(real[key].bars["close"].diff() * mirrored[key].bars["close"].diff()).iloc[1:] for key in real
    )
    assert (first == second).mean() > 0.95  # but for moves as small as the drift of the coins
    assert (first < 0).mean() == pytest.approx(0.5, abs=0.1)


def days(close: np.ndarray) -> pd.DataFrame:
    """Daily bars that open where the last one closed."""
    opens = np.concatenate([close[:1], close[:-1]])
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.001,
            "low": np.minimum(opens, close) * 0.999,
            "close": close,
            "volume": 1e6,
        },
        index=pd.date_range("2020-01-01", periods=close.size, freq="D", tz="UTC", unit="us", name="timestamp"),
    )


def test_it_is_the_same_when_it_was_stopped_on_the_way_and_run_again(plan: SweepPlan, monkeypatch) -> None:
    lines: list[str] = []
    whole = sweep_luck_test(plan, log=lines.append)
    assert len(lines) == whole.searches
    assert read_sweep_luck(plan) == whole
    assert whole.p == 3 / whole.searches if whole.stopped else whole.p == (1 + whole.as_good) / 20
    folder = next((plan.home.mass_tests / "luck" / plan.spec.name).iterdir())
    for path in sorted(folder.glob("*.json"))[1:]:
        path.unlink()
    assert read_sweep_luck(plan) is None
    with monkeypatch.context() as patched:
        patched.setattr(luck_test, "best_set", interrupted(luck_test.best_set))
        with pytest.raises(KeyboardInterrupt):
            sweep_luck_test(plan, threads=1)
    rest: list[str] = []
    assert sweep_luck_test(plan, threads=1, log=rest.append) == whole
    assert len(rest) == whole.searches - 2


def interrupted(function):
    """Raise KeyboardInterrupt at the second call."""
    calls = []

    def call(*arguments):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(*arguments)

    return call


def test_it_is_shown_with_the_luck_line(plan: SweepPlan) -> None:
    found = sweep_luck_test(plan)
    text = sweep_luck_text(plan, rank(plan))
    assert text is not None
    assert text.startswith(found.sentence)
    assert "luck line: the best of 30 parameter sets" in text
    assert sweep_luck_picture(found)[:4] == b"\x89PNG"
    other = replace(plan, spec=plan.spec.model_copy(update={"cash": 5.0}))
    assert "`forge sweep luck made`" in sweep_luck_text(other, rank(plan))  # another sweep has no test yet


def test_a_rule_that_earns_is_better_than_luck(tmp_path: Path) -> None:
    """Days that follow a wave of ten days: RSI knows them, and nothing does once they are mirrored."""
    rng, home = np.random.default_rng(1), Home(tmp_path)
    close = 100 * np.exp(0.06 * np.sin(np.arange(900) / 10 * 2 * np.pi) + 0.002 * rng.standard_normal(900).cumsum())
    with BarStore(home.store) as store:
        store.upsert("BTCUSDT", "1d", days(close), source="made up")
    spec = sweep(
        "wave", symbols=["BTCUSDT"], intervals=["1d"], strategies={"rsi": {"period": [3, 5], "lower": [30, 40]}}
    )
    found = sweep_luck_test(finished(spec, home))
    assert (found.p, found.as_good, found.searches) == (0.05, 0, 19)
    assert "better than luck" in found.sentence


def test_what_cannot_be_tested_is_refused(plan: SweepPlan, futures_copy: Home, caplog) -> None:
    with pytest.raises(ConfigError, match="searches is 5: expected 19 or more"):
        sweep_luck_test(plan, 5)
    planned = SweepPlan.make(sweep("unfinished"), futures_copy, logging.getLogger("tests.sweeps"))
    with pytest.raises(StudyError, match=r"'unfinished' is not finished \(ZS 4h\): run `FORGE_SWEEP=unfinished"):
        sweep_luck_test(planned)
    one = finished(sweep("few", strategies={"rsi": {"period": 30, "lower": 1, "upper": 99}}), futures_copy)
    with pytest.raises(StudyError, match="no parameter set has 30 trades"):
        sweep_luck_test(one)


def test_the_command_runs_it(plan: SweepPlan, monkeypatch) -> None:
    monkeypatch.setenv("FORGE_HOME", str(plan.home.root))
    result = CliRunner().invoke(app, ["sweep", "luck", "made"])
    assert result.exit_code == 0, result.output
    assert result.output.strip().endswith(sweep_luck_test(plan).sentence)
