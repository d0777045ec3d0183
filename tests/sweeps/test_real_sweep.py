"""The futures sweep on the real files: every interval and month of soybeans, gold and oil."""

import time

import numpy as np
import pytest

from forge_core.market.futures.roll_dates import import_roll_dates
from forge_core.market.importing.importer import import_files
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.steps import load_sweep, run_sweep
from tests.engine.reference_engine import reference_backtest
from tests.market.bar_tables import REAL, needs_real_bars
from tests.sweeps.made import all_rows, quiet
from tests.sweeps.test_tasks import months_of

pytestmark = [needs_real_bars, pytest.mark.long]


@pytest.fixture
def stored(home):
    """A home with the real files and their switch dates."""
    import_files(sorted(file for symbol in ("ZS", "GC", "CL") for file in REAL.glob(f"{symbol}_*.parquet")), home=home)
    import_roll_dates(REAL / "raw_formats" / "contract_switch_dates.yaml", trade_dates=True, home=home)
    return home


def test_twenty_thousand_tests_are_quick_whole_and_what_the_reference_engine_says(stored):
    spec = load_sweep("mass_test_futures")
    began = time.perf_counter()
    report = run_sweep(spec, stored, workers=2, log=quiet())
    seconds = time.perf_counter() - began
    assert report["run"] == report["asked"] > 20_000
    assert report["failed"] == 0
    assert report["run"] / seconds > 1_000
    rows = all_rows(stored)
    assert rows.num_rows == report["run"] == len(set(rows["key"].to_pylist()))
    assert {"15m", "30m", "1h", "4h", "1d"} == set(rows["interval"].to_pylist())
    began = time.perf_counter()
    assert run_sweep(spec, stored, workers=2, log=quiet())["known"] == report["asked"]
    assert time.perf_counter() - began < 10
    chosen = rows.take(np.random.default_rng(5).choice(rows.num_rows, 200, replace=False)).to_pylist()
    plan, trades, switched = SweepPlan.make(spec, stored, quiet()), 0, 0
    for row, feed, variant in months_of(plan, chosen):
        task = plan.task(row["symbol"], row["interval"])
        play = variant.strategy.play(task.interval, variant.options)
        expected = reference_backtest(play, feed, costs=task.costs, cash=spec.cash, policy="pessimistic")
        assert row["total_trades"] == len(expected.trades)
        net = sum(trade["net_pnl"] for trade in expected.trades)
        assert row["net_profit"] == pytest.approx(net, abs=1e-6)
        assert row["final_equity"] == pytest.approx(spec.cash + net, abs=1e-6)
        trades += len(expected.trades)
        switched += sum(trade["switch"] for trade in expected.trades)
    assert trades > 1_000
    assert switched > 20
