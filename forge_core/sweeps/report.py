"""Reports of a sweep: ranking on disk, progress, failures, and exported tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forge_core.errors import ConfigError, StudyError
from forge_core.files import read_table, write_table, write_text
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home, safe_name
from forge_core.plotting.png import heat_png
from forge_core.sweeps.loading import Filters
from forge_core.sweeps.plan import SweepPlan, Task
from forge_core.sweeps.ranking import parameter_map, rank, rank_strategies
from forge_core.sweeps.results import RESULT_SCHEMA, TRADES_SCHEMA, ResultFiles, positions

EXPORTS = ("ranking", "strategies", "results", "trades")
_EXAMPLES = 3  # number of quoted errors
_SUFFIXES = (".csv", ".parquet")


def ranking_folder(name: str, home: Home) -> Path:
    """Return the folder of the ranking of a sweep."""
    return home.mass_tests / "rankings" / safe_name(name, "sweep name")


def write_ranking(plan: SweepPlan) -> pd.DataFrame:
    """Rank all results of a sweep, write ``ranking`` and ``strategies`` as Parquet and CSV, and return the ranking."""
    folder = ranking_folder(plan.spec.name, plan.home)
    ranking = rank(plan)
    for name, table in (("ranking", ranking), ("strategies", rank_strategies(ranking))):
        write_frame(folder / f"{name}.parquet", table)
        write_frame(folder / f"{name}.csv", table)
    return ranking


def heat_maps(ranking: pd.DataFrame) -> dict[str, bytes]:
    """Return a PNG of the pooled Sharpe ratio over two parameters for each strategy with two or more."""
    pictures = {}
    for strategy in dict.fromkeys(ranking["strategy"]):
        grid = parameter_map(ranking, strategy)
        if grid is not None and grid.notna().to_numpy().any():
            fixed = ", ".join(f"{name} {value}" for name, value in grid.attrs["fixed"].items())
            title = f"{strategy}: pooled Sharpe ratio" + (f" ({fixed})" if fixed else "")
            pictures[strategy] = heat_png(grid, title=title, value="Sharpe")
    return pictures


def sweep_status(plan: SweepPlan) -> pd.DataFrame:
    """Return one row per symbol and interval: bars, months, tests, done, failed, first and last month."""
    rows = []
    for task in plan.tasks:
        tests, cells = plan.test_hashes(task.interval), [cell.hash for cell in task.cells]
        files = ResultFiles(plan.home, "results", task.symbol, task.interval)
        done, failed = 0, 0
        for path in files.files():
            table = read_table(path, columns=["cell", "test", "error"])
            asked = (positions(table["test"], tests) >= 0) & (positions(table["cell"], cells) >= 0)
            done += int(asked.sum())
            failed += int((asked & table["error"].is_valid().to_numpy()).sum())
        rows.append(
            {
                "symbol": task.symbol,
                "interval": task.interval,
                "bars": task.bars,
                "first_month": task.cells[0].month,
                "last_month": task.cells[-1].month,
                "months": len(task.cells),
                "tests": len(task.cells) * len(tests),
                "done": done,
                "failed": failed,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Failures:
    """Number of completed and of failed tests of a sweep, and the first distinct errors with their symbols."""

    done: int
    failed: int
    errors: tuple[str, ...]


def read_failures(plan: SweepPlan) -> Failures:
    """Return the number of recorded failed tests of a sweep, with examples of their errors."""
    done = failed = 0
    errors: dict[str, str] = {}
    for task in plan.tasks:
        for table in _tables(plan, task, "results", Filters(), ["error"]):
            done += table.num_rows
            failed += table.num_rows - table["error"].null_count
            for error in pc.unique(table["error"].drop_null()).to_pylist():
                errors.setdefault(error, f"{task.name}: {error}")
    return Failures(done, failed, tuple(list(errors.values())[:_EXAMPLES]))


def month_figures(plan: SweepPlan) -> dict[str, dict[str, Any]]:
    """Return the figures of each month with results: tests, failed, total_trades, symbols, intervals, and under
    ``strategies`` for each strategy tests, total_trades, days, profitable (share of tests) and mean_return."""
    columns = ["month", "strategy", "error", "total_trades", "days", "total_return"]
    frames = []
    for task in plan.tasks:
        for table in _tables(plan, task, "results", Filters(), columns):
            frame = table.select(columns).to_pandas().astype({"month": str, "strategy": str})
            frames.append(frame.assign(symbol=task.symbol, interval=task.interval, failed=frame["error"].notna()))
    if not frames:
        return {}
    figures = {}
    for month, rows in pd.concat(frames).groupby("month"):
        strategies = {
            str(strategy): {
                "tests": len(tests),
                "total_trades": int(tests["total_trades"].sum()),
                "days": int(tests["days"].sum()),
                "profitable": float((tests["total_return"] > 0).mean()),
                "mean_return": float(tests["total_return"].mean()),
            }
            for strategy, tests in rows[~rows["failed"]].groupby("strategy")
        }
        figures[str(month)] = {
            "tests": len(rows),
            "failed": int(rows["failed"].sum()),
            "total_trades": int(rows["total_trades"].sum()),
            "symbols": sorted(set(rows["symbol"])),
            "intervals": sorted(set(rows["interval"]), key=Timeframe.parse),
            "strategies": strategies,
        }
    return figures


def export(plan: SweepPlan, what: str, path: Path, filters: Filters | None = None) -> int:
    """Write ``ranking``, ``strategies``, ``results`` (one row per test) or ``trades`` (one row per trade) to a CSV or
    Parquet file, according to its suffix; return the number of rows. Undefined values are empty, or null.

    Results have their daily returns only in Parquet. Raises ConfigError for another suffix, StudyError if there is
    nothing to export.
    """
    filters = filters or Filters()
    if what not in EXPORTS:
        raise ConfigError(f"cannot export {what!r}: use one of {', '.join(EXPORTS)}")
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"{path.name}: expected a file name that ends in {' or '.join(_SUFFIXES)}")
    if what in ("ranking", "strategies"):
        frame = rank(plan, filters)
        frame = rank_strategies(frame) if what == "strategies" and len(frame) else frame
        table = pa.Table.from_pandas(frame, preserve_index=False)
    else:
        tables = [table for task in filters.tasks(plan) for table in _tables(plan, task, what, filters)]
        schema = RESULT_SCHEMA if what == "results" else TRADES_SCHEMA
        table = pa.concat_tables(tables) if tables else schema.empty_table()
        table = _flat_trades(table) if what == "trades" else table
    if table.num_rows == 0:
        hint = "; set `verbose: true` in the sweep and run it again" if what == "trades" else ""
        raise StudyError(f"sweep {plan.spec.name!r} has no {what} of that kind to export{hint}")
    if path.suffix.lower() == ".csv" and "daily_returns" in table.column_names:
        table = table.drop_columns(["daily_returns"])
    _write(path, table)
    return table.num_rows


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame atomically as Parquet or CSV, according to the suffix; NaN becomes null, or empty."""
    _write(path, pa.Table.from_pandas(frame, preserve_index=False))


def _write(path: Path, table: pa.Table) -> None:
    if path.suffix.lower() == ".parquet":
        write_table(path, table)
    else:
        write_text(path, table.to_pandas().to_csv(index=False))


def _tables(
    plan: SweepPlan, task: Task, kind: str, filters: Filters, columns: list[str] | None = None
) -> list[pa.Table]:
    """Return the rows of one task that belong to the plan, one table per file."""
    tests, cells = plan.test_hashes(task.interval), [cell.hash for cell in task.cells]
    wanted = np.array([filters.wants(variant.strategy.name) for variant in plan.spec.variants], np.bool_)
    found = []
    for path in ResultFiles(plan.home, kind, task.symbol, task.interval).files():
        table = read_table(path, columns=None if columns is None else ["cell", "test", *columns])
        test = positions(table["test"], tests)
        asked = (test >= 0) & (positions(table["cell"], cells) >= 0) & wanted[test]
        found.append(table.filter(pa.array(asked)))
    return found


def _flat_trades(table: pa.Table) -> pa.Table:
    """Return one row per trade."""
    table = table.combine_chunks()
    if table.num_rows == 0:
        return table
    lists = table["trades"].combine_chunks()
    parents = pc.list_parent_indices(lists)
    flat = lists.flatten()
    columns: Mapping[str, Any] = {
        **{name: table[name].take(parents) for name in table.column_names if name != "trades"},
        **{field.name: flat.field(field.name) for field in flat.type},
    }
    return pa.table(dict(columns))
