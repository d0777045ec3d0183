"""What a sweep writes: each test once, with everything it depends on, whatever was there before."""

import json
import logging
import math
import shutil
import threading
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forge_core import files as files_of_core
from forge_core.engine.backtest import backtest
from forge_core.engine.fill_rules import FillRules
from forge_core.engine.kernel.exit_reasons import EXIT_REASONS
from forge_core.errors import ConfigError, DataError, StudyError
from forge_core.features.bank import lazy_columns
from forge_core.features.bank.files import bank_stats
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.files import read_json, write_json, write_table, write_text
from forge_core.market.futures.roll_dates import load_roll_dates, roll_text
from forge_core.market.reference.catalog import LEAD_IN
from forge_core.market.reference.instruments import load_instruments
from forge_core.market.store.bar_store import BarStore
from forge_core.metrics.catalog import METRICS
from forge_core.paths import Home
from forge_core.sweeps import pending, simulation
from forge_core.sweeps import plan as planning
from forge_core.sweeps import task as tasks
from forge_core.sweeps.months import cut_months
from forge_core.sweeps.plan import SweepPlan, plan_path, read_plan
from forge_core.sweeps.results import RESULT_SCHEMA
from forge_core.sweeps.series import load_series, series_path
from forge_core.sweeps.steps import plan_sweep, run_sweep, run_sweep_task
from tests.engine.reference_engine import reference_backtest
from tests.market.bar_tables import walk
from tests.sweeps.made import SPEC, all_rows, content, finished, quiet, sweep

TRADED = [metric.name for metric in METRICS]


def month_of(plan: SweepPlan, task: planning.Task, label: str) -> Feed:
    """One month as a feed of its own: of a future that is adjusted the bars of the month and its lead-in alone."""
    series = load_series(task.symbol, task.interval, task.series, plan.home)
    months = cut_months(series.bars, task.instrument.session)
    k = months.labels.index(label)
    start, end = int(months.starts[k]), int(months.ends[k])
    first = max(0, start - LEAD_IN) if task.roll_dates is not None and plan.spec.adjust == "forward" else 0
    feed = feed_from_bars(
        series.bars.iloc[first:end],
        instrument=task.instrument,
        timeframe=task.interval,
        start=start - first,
        roll_dates=task.roll_dates,
        adjust=plan.spec.adjust,
    )
    return feed if series.funding is None else replace(feed, funding=series.funding[first:end])


def months_of(plan: SweepPlan, rows: list[dict]):
    """The feed of each row's month, and its variant."""
    feeds: dict[tuple[str, str, str], Feed] = {}
    variants = {(v.strategy.name, v.parameters_json, v.options_json): v for v in plan.spec.variants}
    for row in rows:
        key = row["symbol"], row["interval"], row["month"]
        if key not in feeds:
            feeds[key] = month_of(plan, plan.task(*key[:2]), key[2])
        yield row, feeds[key], variants[row["strategy"], row["parameters"], row["options"]]


# ---------------------------------------------------------------- what a row says


def test_there_is_a_row_for_each_test_and_its_key_is_its_own(plan):
    rows = all_rows(plan.home)
    assert rows.schema.equals(RESULT_SCHEMA)
    assert len(plan.spec.variants) == 2 * (4 + 6 + 2 + 2 + 1)
    assert rows.num_rows == plan.tests == len(set(rows["key"].to_pylist()))
    names = ("month", "symbol", "interval", "strategy", "parameters", "options")
    combinations = set(zip(*(rows[name].to_pylist() for name in names), strict=True))
    assert len(combinations) == plan.tests
    assert rows["error"].null_count == rows.num_rows
    assert sum(rows["total_trades"].to_pylist()) > 3_000
    numbers = np.concatenate([rows[name].to_numpy() for name in TRADED if rows[name].null_count == 0])
    assert np.isfinite(numbers).all()
    text = rows.slice(0, 1).to_pylist()[0]
    assert json.loads(text["costs"])["commission_per_contract"] == 2.5
    assert text["tested_at"].tzinfo is not None
    assert (text["cash"], text["annualization"], text["adjust"]) == (100_000.0, 252, "forward")


def test_two_hundred_rows_at_random_are_what_the_reference_engine_says(plan):
    rows = all_rows(plan.home)
    chosen = rows.take(np.random.default_rng(1).choice(rows.num_rows, 200, replace=False)).to_pylist()
    traded = 0
    for row, feed, variant in months_of(plan, chosen):
        task = plan.task(row["symbol"], row["interval"])
        play = variant.strategy.play(task.interval, variant.options)
        expected = reference_backtest(
            play, feed, costs=task.costs, cash=plan.spec.cash, policy="pessimistic", rollover=variant.options.rollover
        )
        assert row["total_trades"] == len(expected.trades)
        assert row["final_equity"] == pytest.approx(expected.equity[-1], rel=1e-12)
        assert row["net_profit"] == pytest.approx(sum(t["net_pnl"] for t in expected.trades), abs=1e-6)
        assert row["commission"] == pytest.approx(sum(t["commission"] for t in expected.trades), abs=1e-6)
        daily = np.array(row["daily_returns"], float)
        assert daily.size == row["days"]
        assert np.prod(1 + daily) == pytest.approx(1 + row["total_return"], abs=1e-5)
        traded += len(expected.trades)
    assert traded > 300


def test_a_row_is_what_backtest_gives_and_trades_add_up_to_equity(plan):
    rows = all_rows(plan.home)
    chosen = rows.take(np.random.default_rng(2).choice(rows.num_rows, 25, replace=False)).to_pylist()
    for row, feed, variant in months_of(plan, chosen):
        task = plan.task(row["symbol"], row["interval"])
        result = backtest(variant.strategy.play(task.interval, variant.options), feed, costs=task.costs)
        assert {name: row[name] for name in TRADED} == dict(result.metrics)
        assert row["final_equity"] == pytest.approx(plan.spec.cash + result.trades["net_pnl"].sum(), abs=1e-6)
        gained = result.trades["net_pnl"].clip(lower=0).sum(), result.trades["net_pnl"].clip(upper=0).sum()
        assert (row["gross_profit"], row["gross_loss"]) == pytest.approx(gained, abs=1e-6)
        np.testing.assert_allclose(row["daily_returns"], result.daily_returns, rtol=1e-6, atol=1e-9)


def test_fill_rules_of_a_sweep_are_used_and_recorded(futures):
    fills = FillRules(levels="exact", margin="close")
    options = {"trailing_stop": 0.011, "warmup_bars": 30}
    sweeps = [sweep(name, fills=rules, options=options) for name, rules in (("loose", dict(fills)), ("strict", {}))]
    loose, _ = (finished(spec, futures) for spec in sweeps)
    rows = all_rows(futures).to_pylist()
    assert {row["fills"] for row in rows} == {"strict", "levels=exact, margin=close"}
    earned = {label: [r["net_profit"] for r in rows if r["fills"] == label] for label in (fills.label, "strict")}
    assert earned["strict"] != earned[fills.label]
    chosen = [row for row in rows if row["fills"] == fills.label]
    for row, feed, variant in months_of(loose, chosen):
        play = variant.strategy.play("4h", variant.options)
        assert row["net_profit"] == backtest(play, feed, fills=fills).metrics["net_profit"]


# ---------------------------------------------------------------- what is done again, and what is not


def test_a_second_run_does_nothing(futures):
    spec = sweep(strategies={"ema": {"short_period": [3, 5], "long_period": 13}}, intervals="all", symbols=["ZS", "GC"])
    first = run_sweep(spec, futures, workers=2, log=quiet())
    before = {path: path.stat().st_mtime_ns for path in (futures.mass_tests / "results").rglob("*")}
    second = run_sweep(spec, futures, workers=2, log=quiet())
    assert (first["known"], first["run"], first["failed"]) == (0, first["asked"], 0)
    assert (second["known"], second["run"]) == (first["asked"], 0)
    assert {path: path.stat().st_mtime_ns for path in (futures.mass_tests / "results").rglob("*")} == before


def test_what_a_sweep_shares_with_another_is_not_done_again(futures):
    few = run_sweep(
        sweep("few", strategies={"ema": {"short_period": 3, "long_period": [13, 21]}}), futures, log=quiet()
    )
    more = run_sweep(
        sweep("more", strategies={"ema": {"short_period": [3, 5], "long_period": [13, 21]}}), futures, log=quiet()
    )
    assert more["known"] == few["run"] == more["asked"] // 2


def test_months_one_after_the_other_give_what_one_run_gives(futures, tmp_path):
    """As a backfill over months does; and the number of workers changes nothing."""
    spec = sweep(**{**SPEC, "symbols": ["ZS"]})
    document = plan_sweep(spec, futures, quiet())
    months = SweepPlan.read(document).months
    for month in reversed(months):
        for task in document["tasks"]:
            run_sweep_task(document, task["symbol"], task["interval"], [month], quiet())
    piecemeal = content(futures)
    shutil.rmtree(futures.mass_tests / "results")
    run_sweep(spec, futures, workers=2, log=quiet())
    assert len(piecemeal) == document["tests"]
    assert piecemeal.equals(content(futures))


def test_small_files_hold_what_large_ones_do(futures, monkeypatch):
    spec = sweep(**{**SPEC, "symbols": ["ZS"]})
    run_sweep(spec, futures, log=quiet())
    large, files = content(futures), len(list((futures.mass_tests / "results").rglob("*.parquet")))
    shutil.rmtree(futures.mass_tests / "results")
    monkeypatch.setattr(tasks, "CHUNK_ROWS", 20)
    run_sweep(spec, futures, log=quiet())
    assert len(list((futures.mass_tests / "results").rglob("*.parquet"))) > 5 * files
    assert content(futures).equals(large)


def keys(home) -> set[str]:
    return set(all_rows(home)["key"].to_pylist())


@pytest.mark.parametrize(
    "change",
    [
        {"costs": {"slippage_ticks": 2}},
        {"cash": 50_000},
        {"adjust": "none"},
        {"roll_mode": "prev_close"},
        {"policy": "ohlc_path"},
        {"fills": "relaxed"},
        {"options": {"rollover": False}},
        {"options": {"warmup_bars": 50}},
    ],
)
def test_another_setting_makes_other_tests(futures, change):
    run_sweep(sweep(), futures, log=quiet())
    before = keys(futures)
    report = run_sweep(sweep(**change), futures, log=quiet())
    assert report["known"] == 0
    assert len(keys(futures)) == 2 * len(before)


def test_another_engine_or_contract_makes_other_tests(futures, monkeypatch):
    asked = run_sweep(sweep(), futures, log=quiet())["asked"]
    monkeypatch.setattr(planning, "ENGINE", "2.x")
    assert run_sweep(sweep(), futures, log=quiet())["known"] == 0
    zs = load_instruments()["ZS"]
    for changes, known in (({"multiplier": 5.0}, 0), ({"description": "beans", "slippage_ticks": 9.0}, asked)):
        changed = zs.model_copy(update=changes)
        monkeypatch.setattr(planning, "get_instrument", lambda symbol, changed=changed: changed)
        spec = sweep(costs={"slippage_ticks": zs.slippage_ticks})
        assert run_sweep(spec, futures, log=quiet())["known"] == known


def test_new_bars_and_switches_redo_the_months_they_touch_and_no_others(futures):
    asked = run_sweep(sweep(), futures, log=quiet())["asked"]
    dates = load_roll_dates(futures)
    later = dates.of("ZS").append(dates.of("ZS")[-1:] + np.timedelta64(200, "D"))
    write_text(futures.roll_dates, roll_text({"ZS": later}, {}, "later"))
    assert run_sweep(sweep(), futures, log=quiet())["known"] == asked  # a switch after the last bar plays no part
    with BarStore(futures.store) as store:
        bars = store.read("ZS", "4h")
        more = bars.iloc[-40:].set_index(bars.index[-40:] + np.timedelta64(28, "D"))
        store.upsert("ZS", "4h", more, source="later")
    report = run_sweep(sweep(), futures, log=quiet())
    assert asked - 1 <= report["known"] <= asked  # the month that the new bars fall into, if it was there
    middle = bars.index[400]
    write_text(futures.roll_dates, roll_text({"ZS": later.insert(1, middle).sort_values()}, {}, "more"))
    untouched = len([m for m in SweepPlan.make(sweep(), futures, quiet()).months if m < f"{middle:%Y-%m}"])
    report = run_sweep(sweep(), futures, log=quiet())
    assert report["known"] == untouched > 0


# ---------------------------------------------------------------- what fails


def test_a_failing_test_is_recorded_and_the_others_go_on(futures, monkeypatch, caplog):
    simulate_windows = simulation.simulate_windows

    def breaking(play, *rest, **settings):
        if play.name == "ema_5_13":
            raise ZeroDivisionError("by hand")
        return simulate_windows(play, *rest, **settings)

    monkeypatch.setattr(simulation, "simulate_windows", breaking)
    spec = sweep(strategies={"ema": {"short_period": [3, 5, 8], "long_period": 13}})
    log = logging.getLogger("tests.failing")
    with caplog.at_level(logging.INFO, "tests.failing"):
        report = run_sweep(spec, futures, log=log)
    rows = all_rows(futures)
    assert report["run"] == report["asked"] == rows.num_rows
    assert report["failed"] == report["asked"] // 3
    failed = rows.filter(rows["error"].is_valid())
    assert set(failed["error"].to_pylist()) == {"ZeroDivisionError: by hand"}
    assert all(failed[name].null_count == failed.num_rows for name in TRADED)
    assert f"{report['failed']} failed" in caplog.text
    assert any(r.levelname == "WARNING" and "ZeroDivisionError: by hand" in r.message for r in caplog.records)
    assert report["failed_in_all"] == report["failed"]
    assert report["errors"] == ["ZS 4h: ZeroDivisionError: by hand"]
    again = run_sweep(spec, futures, log=quiet())
    assert again["known"] == report["asked"]  # recorded, so not tried again
    assert (again["failed"], again["failed_in_all"]) == (0, report["failed"])


def test_a_sweep_of_which_every_test_failed_ends_as_failed(futures, monkeypatch):
    def breaking(play, *rest, **settings):
        raise ZeroDivisionError(f"by hand in {play.name}")

    monkeypatch.setattr(simulation, "simulate_windows", breaking)
    spec = sweep(strategies={"ema": {"short_period": [3, 4, 5, 8], "long_period": 13}})
    for _ in range(2):  # run again, all of it is known, and it fails again
        with pytest.raises(StudyError, match=r"all \d+ tests failed; the first errors: ZS 4h: ZeroDiv") as caught:
            run_sweep(spec, futures, log=quiet())
        assert str(caught.value).count("by hand in ema_") == 3


# ---------------------------------------------------------------- threads


def test_threads_change_no_result_and_no_file(futures, monkeypatch):
    """The variants of one series run side by side; files are written in the order of the plan."""
    together, inside, most = threading.Barrier(2), 0, 0
    simulate_windows, lock = simulation.simulate_windows, threading.Lock()

    def meeting(play, *rest, **settings):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait(timeout=60)  # breaks unless two variants run at the same time
        found = simulate_windows(play, *rest, **settings)
        with lock:
            inside -= 1
        return found

    spec = sweep(strategies={"ema": {"short_period": [3, 5, 6, 8], "long_period": [13, 21]}}, verbose=True)
    monkeypatch.setattr(tasks, "CHUNK_ROWS", 12)
    run_sweep(spec, futures, workers=1, log=quiet())
    expected = content(futures)
    files = sorted(path.relative_to(futures.mass_tests) for path in futures.mass_tests.rglob("*.parquet"))
    for kind in ("results", "trades"):
        shutil.rmtree(futures.mass_tests / kind)
    monkeypatch.setattr(simulation, "simulate_windows", meeting)
    run_sweep(spec, futures, workers=2, log=quiet())
    assert most == 2
    pd.testing.assert_frame_equal(content(futures), expected)
    assert sorted(path.relative_to(futures.mass_tests) for path in futures.mass_tests.rglob("*.parquet")) == files


def test_what_is_the_machines_fault_ends_the_run_and_is_not_recorded(futures, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(simulation, "simulate_windows", full)
    with pytest.raises(OSError, match="No space left"):
        run_sweep(sweep(), futures, log=quiet())
    assert all_rows(futures).num_rows == 0
    monkeypatch.undo()
    assert run_sweep(sweep(), futures, log=quiet())["failed"] == 0


@pytest.mark.parametrize("verbose", [False, True])
def test_a_sweep_too_large_for_the_disk_is_refused_before_it_starts(futures, monkeypatch, verbose):
    spec, asked = sweep(verbose=verbose), []
    monkeypatch.setattr(pending, "check_free_space", lambda _folder, needed, _what: asked.append(needed))
    run_sweep(spec, futures, log=quiet())
    files = [path for kind in ("results", "trades") for path in (futures.mass_tests / kind).rglob("*.parquet")]
    overhead = 25_000 * len(files)  # schema and footer of each file, which matter in a tiny sweep alone
    assert sum(path.stat().st_size for path in files) < asked[0] + overhead
    run_sweep(spec, futures, log=quiet())
    assert asked[1] == 0  # a complete sweep is ranked on a full disk
    shutil.rmtree(futures.mass_tests / "results")
    monkeypatch.undo()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files_of_core.shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 100))
    with pytest.raises(DataError, match=r"sweep '\w+' needs about .* GB in .*, which has 0\.0 GB free"):
        run_sweep(spec, futures, log=quiet())
    assert not (futures.mass_tests / "results").exists()


def test_months_with_too_few_bars_are_left_out_with_a_warning(futures, caplog):
    with caplog.at_level(logging.WARNING, "tests.short"):
        plan = SweepPlan.make(sweep(intervals=["4h", "1d"]), futures, logging.getLogger("tests.short"))
    assert "ZS 1d: 6 months from 2023-01 to 2023-06 skipped" in caplog.text
    assert plan.task("ZS", "1d").cells[0].month == "2023-07"
    with pytest.raises(DataError, match="no month has 150 bars"):
        SweepPlan.make(sweep(intervals=["1d"], months=["2023-02"]), futures, quiet())


def test_a_damaged_file_is_named(futures):
    run_sweep(sweep(), futures, log=quiet())
    (path,) = (futures.mass_tests / "results").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=f"{path.name} is damaged.*delete it and run"):
        run_sweep(sweep(), futures, log=quiet())
    path.unlink()
    assert run_sweep(sweep(), futures, log=quiet())["known"] == 0


def test_bars_that_are_gone_or_changed_are_named(futures):
    document = plan_sweep(sweep(), futures, quiet())
    path = series_path("ZS", "4h", document["tasks"][0]["series"], futures)
    table = pq.read_table(path)
    write_table(path, table.set_column(1, "open", pa.array(table["open"].to_numpy() + 1)))
    with pytest.raises(DataError, match="does not match its hash"):
        run_sweep_task(document, "ZS", "4h", log=quiet())
    path.unlink()
    with pytest.raises(DataError, match="is missing: run the sweep again"):
        run_sweep_task(document, "ZS", "4h", log=quiet())
    with pytest.raises(StudyError, match="has no task GC 4h"):
        run_sweep_task(document, "GC", "4h", log=quiet())


def test_a_plan_of_another_format_is_not_read(futures):
    plan_sweep(sweep(), futures, quiet())
    path = plan_path("made", futures)
    write_json(path, read_json(path) | {"format": 1})
    with pytest.raises(StudyError, match=r"a plan of format 1, expected 2: run the sweep again with `FORGE_SWEEP=made"):
        read_plan("made", futures)


def test_a_plan_of_another_engine_is_not_carried_out(futures, monkeypatch):
    document = plan_sweep(sweep(), futures, quiet())
    monkeypatch.setattr(planning, "ENGINE", "2.x")
    with pytest.raises(StudyError, match=r"was planned for engine version .*, got 2.x: run the sweep again"):
        run_sweep_task(document, "ZS", "4h", log=quiet())


@pytest.mark.parametrize("funded", [True, False])
def test_a_perpetual_is_tested_with_its_funding_and_fails_without(home, funded):
    bars = walk(900, "4h", start="2024-01-01")
    times = pd.date_range("2024-01-01", "2024-07-01", freq="8h", tz="UTC")
    rates = pd.Series(np.random.default_rng(1).normal(0.0001, 0.0005, len(times)), index=times, name="rate")
    with BarStore(home.store) as store:
        store.upsert("BTCUSDTPERP", "4h", bars, source="made up")
        if funded:
            store.upsert_funding("BTCUSDTPERP", rates, source="made up")
    spec = sweep(symbols=["BTCUSDTPERP"], strategies={"ema": {"short_period": [3, 5], "long_period": 13}}, verbose=True)
    if not funded:
        with pytest.raises(StudyError, match=r"all 10 tests failed; .* funding series is missing"):
            run_sweep(spec, home, log=quiet())
        assert all("funding series is missing" in error for error in all_rows(home)["error"].to_pylist())
        return
    report = run_sweep(spec, home, log=quiet())
    rows = all_rows(home)
    assert report["run"] == rows.num_rows == 2 * 5
    assert report["failed"] == 0
    assert any(abs(value) > 0 for value in rows["financing"].to_pylist())
    plan = SweepPlan.make(spec, home, quiet())
    for row, feed, variant in months_of(plan, rows.to_pylist()):
        expected = reference_backtest(
            variant.strategy.play("4h", variant.options),
            feed,
            costs=plan.tasks[0].costs,
            cash=spec.cash,
            policy=spec.policy,
        )
        assert row["final_equity"] == pytest.approx(expected.equity[-1], rel=1e-12)


def test_a_symbol_without_bars_says_what_brings_them(home):
    with pytest.raises(DataError, match=r"there are no bars of ZS: .*forge import FILE --symbol ZS"):
        run_sweep(sweep(), home, log=quiet())
    with pytest.raises(ConfigError, match="workers is 0"):
        run_sweep(sweep(), home, workers=0, log=quiet())


def test_an_interval_the_store_lacks_is_joined_from_finer_bars_or_left_out(futures, caplog):
    with caplog.at_level(logging.WARNING, "tests.lacking"):
        plan = SweepPlan.make(sweep(intervals=["1h", "8h"]), futures, logging.getLogger("tests.lacking"))
    assert [(task.interval, task.origin) for task in plan.tasks] == [("8h", "joined from 4h")]
    assert "ZS 1h: no bars; skipped" in caplog.text


def test_roll_dates_that_do_not_fit_the_series_are_doubted(futures, caplog):
    wrong = load_roll_dates(futures).of("GC") + np.timedelta64(9, "D")
    write_text(futures.roll_dates, roll_text({"GC": wrong, "ZS": load_roll_dates(futures).of("ZS")}, {}, "wrong"))
    with caplog.at_level(logging.WARNING, "tests.doubt"):
        SweepPlan.make(sweep(symbols=["GC", "ZS"], intervals=["1d"]), futures, logging.getLogger("tests.doubt"))
    doubted = [r.message for r in caplog.records if "contract rolls" in r.message]
    assert len(doubted) == 1
    assert doubted[0].startswith("GC 1d: only ")


# ---------------------------------------------------------------- trades that are kept


def test_verbose_keeps_the_trades_of_every_test_once(futures):
    strategies = {"ema": {"short_period": [3, 5], "long_period": 13}}
    quiet_run = run_sweep(sweep(strategies=strategies), futures, log=quiet())
    assert all_rows(futures, "trades").num_rows == 0
    spec = sweep(strategies=strategies, verbose=True)
    report = run_sweep(spec, futures, log=quiet())
    assert (report["run"], report["kept"]) == (0, quiet_run["asked"])  # results were there, trades were not
    assert run_sweep(spec, futures, log=quiet())["kept"] == 0
    rows, kept = all_rows(futures), all_rows(futures, "trades")
    assert sorted(kept["key"].to_pylist()) == sorted(rows["key"].to_pylist())
    results = {row["key"]: row for row in rows.to_pylist()}
    for row in kept.to_pylist():
        result = results[row["key"]]
        assert len(row["trades"]) == result["total_trades"]
        assert math.fsum(t["net_pnl"] for t in row["trades"]) == pytest.approx(result["net_profit"], abs=1e-6)
        assert {t["exit_reason"] for t in row["trades"]} <= set(EXIT_REASONS)
        assert all(t["entry_time"] <= t["exit_time"] for t in row["trades"])
    assert any(t["switch"] for row in kept.to_pylist() for t in row["trades"])


def test_indicators_come_from_the_bank(futures, tmp_path, monkeypatch):
    """Columns of a series that is not adjusted are stored once, and another run computes none of them."""
    spec = sweep(symbols=["GC"], intervals=["4h"], adjust="none", strategies={"ema": {"short_period": [3, 5]}})
    run_sweep(spec, futures, workers=1, log=quiet())
    stored = bank_stats(futures)
    assert stored.features == 3  # two short averages and the long one
    moved = Home(tmp_path / "moved")
    shutil.copytree(futures.root, moved.root)
    shutil.rmtree(moved.mass_tests / "results")
    monkeypatch.delattr(lazy_columns, "compute_columns")
    run_sweep(spec, moved, workers=1, log=quiet())
    pd.testing.assert_frame_equal(content(moved), content(futures))
    assert bank_stats(moved).features == stored.features
