"""``forge sweep``: status, rankings and exports of mass tests."""

from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import Commands, reports_errors, say, show_table

app = Commands(
    help="Sweeps: every strategy on every month, symbol and interval. `dagster job execute -j mass_test` runs one.",
)

SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="Name of a sweep, see `forge sweep list`.")]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")]
Intervals = Annotated[list[str] | None, typer.Option("--interval", "-i", help="Only this interval; may be repeated.")]
Strategies = Annotated[list[str] | None, typer.Option("--strategy", help="Only this strategy; may be repeated.")]
First = Annotated[str | None, typer.Option("--from", help="First month, such as 2024-01.")]
Last = Annotated[str | None, typer.Option("--to", help="Last month (inclusive).")]
MinTrades = Annotated[int, typer.Option("--min-trades", help="Minimum number of trades of a row, over all its tests.")]

_COUNTS = ("tests", "total_trades", "days")
_SHOWN = (*_COUNTS, "sharpe", "profit_factor", "positive_months", "neighbour_sharpe", "net_profit")


@app.command("list")
@reports_errors
def list_all() -> None:
    """List the sweeps in studies/ with their progress.

    Example: `forge sweep list`
    """
    from forge_core.errors import ForgeError, StudyError
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.report import sweep_status
    from forge_core.sweeps.spec import list_sweeps, load_sweep

    rows: list[tuple[object, ...]] = []
    errors = []
    for name in list_sweeps():
        try:
            spec = load_sweep(name)
        except ForgeError as error:
            rows.append((name, None, None, None, None, "invalid"))
            errors.append(str(error))
            continue
        try:
            status = sweep_status(read_plan(name))
            tests, done = int(status["tests"].sum()), int(status["done"].sum())
            state = "complete" if done == tests else "under way"
        except StudyError:
            tests, done, state = None, None, "not run yet"
        rows.append((name, ", ".join(spec.symbols), len(spec.variants), tests, done, state))
    show_table(("sweep", "symbols", "strategies", "tests", "done", "state"), rows)
    for message in errors:
        say(message)


@app.command("status")
@reports_errors
def status(name: SweepName) -> None:
    """Show the progress of a sweep by symbol and interval, according to the plan of its last run.

    Example: `forge sweep status mass_test`
    """
    from forge_core.engine.fill_rules import STRICT
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.report import sweep_status

    plan = read_plan(name)
    table = sweep_status(plan)
    show_table(list(table.columns), [tuple(row) for row in table.astype(object).itertuples(index=False)])
    say(f"{table['done'].sum():,} of {table['tests'].sum():,} tests done, {table['failed'].sum():,} failed")
    if plan.spec.fills != STRICT:
        say(f"fill rules: {plan.spec.fills.label} (not strict)")


@app.command("reset")
@reports_errors
def reset(
    name: SweepName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete the recorded tests of a sweep's last plan, so that its next run tests them again.

    Tests that other sweeps share are deleted for them too. The job does the same with the config `again: true`.

    Example: `forge sweep reset mass_test`
    """
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.steps import forget_results

    plan = read_plan(name)
    if not yes:
        typer.confirm(f"delete the recorded results of {plan.tests:,} tests?", abort=True)
    deleted = forget_results(plan.document())
    say(f"{deleted:,} tests deleted; `FORGE_SWEEP={name} dagster job execute -j mass_test` runs them again")


@app.command("top")
@reports_errors
def top(
    name: SweepName,
    symbols: Symbols = None,
    intervals: Intervals = None,
    strategies: Strategies = None,
    first: First = None,
    last: Last = None,
    min_trades: MinTrades = 1,
    limit: Annotated[int, typer.Option("--limit", "-n", help="The number of rows to show.")] = 15,
    sort: Annotated[str, typer.Option("--sort", help="Any figure of `forge sweep export`.")] = "sharpe",
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Rank separately by `symbol` or `interval`; may be repeated.")
    ] = None,
    families: Annotated[
        bool, typer.Option("--by-strategy", help="Show one row per strategy over all its parameter sets.")
    ] = False,
) -> None:
    """Show the best strategies of a sweep, over all its symbols, intervals and months or the given ones.

    Ratios are computed from the pooled daily returns of all tests of a row; the numbers of trades and days are shown
    next to them. `neighbour_sharpe` is the mean over the parameter sets one step away: a peak with poor neighbours is
    probably luck.

    Example: `forge sweep top mass_test --symbol SP500 --from 2007-01 --to 2009-12 --min-trades 30`
    """
    from forge_core.evidence.sweeps.text import sweep_luck_text
    from forge_core.sweeps.loading import Filters
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.ranking import rank, rank_strategies

    filters, plan = Filters(symbols, intervals, strategies, first, last, min_trades), read_plan(name)
    table = rank(plan, filters, split=split or (), sort=sort)
    if table.empty:
        say("no tests match the filters")
        return
    told_apart = [*(["options"] if table["options"].nunique() > 1 else []), *(split or ())]
    if families:
        columns = ["strategy", *told_apart, "parameter_sets", "sharpe_median", "positive_sets", "best_parameters"]
        columns += ["best_sharpe", "best_total_trades", "best_days", "neighbour_sharpe"]
        found = rank_strategies(table)
    else:
        shown = dict.fromkeys([*_SHOWN, sort])
        columns, found = ["strategy", "parameters", *told_apart, *shown], table.head(limit)
    cells = found[columns].astype(object).where(found[columns].notna(), None)
    show_table(columns, [tuple(_plain(cell) for cell in row) for row in cells.itertuples(index=False)])
    if not families and (luck := sweep_luck_text(plan, table)):
        say(luck)
    if not families and len(table) > limit:
        say(f"... {len(table)} in total: see `--limit {len(table)}` or `forge sweep export {name} FILE`")


@app.command("luck")
@reports_errors
def luck(
    name: SweepName,
    searches: Annotated[int, typer.Option("--searches", "-k", help="Sweeps on mirrored bars, 19 or more.")] = 19,
) -> None:
    """Repeat a finished sweep on mirrored bars, where nothing can be found: is its best parameter set more than luck?

    Ends early once three mirrored sweeps were as good. Interrupted, it resumes.

    Example: `forge sweep luck mass_test`
    """
    from forge_core.evidence.sweeps.luck_test import sweep_luck_test
    from forge_core.sweeps.plan import read_plan

    say(sweep_luck_test(read_plan(name), searches, log=say).sentence)


@app.command("export")
@reports_errors
def export(
    name: SweepName,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, .csv or .parquet.")],
    what: Annotated[
        str, typer.Option("--what", help="`ranking`, `strategies`, `results` (one row per test) or `trades`.")
    ] = "ranking",
    symbols: Symbols = None,
    intervals: Intervals = None,
    strategies: Strategies = None,
    first: First = None,
    last: Last = None,
    min_trades: MinTrades = 0,
) -> None:
    """Write the ranking, the results or the trades of a sweep to a CSV or Parquet file.

    Example: `forge sweep export mass_test results.parquet --what results --symbol SP500`
    """
    from forge_core.sweeps.loading import Filters
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.report import export as write

    rows = write(read_plan(name), what, path, Filters(symbols, intervals, strategies, first, last, min_trades))
    say(f"{path}: {rows:,} rows")


def _plain(cell: object) -> object:
    """Return parameters in JSON as plain text."""
    text = str(cell)
    return text.strip("{}").replace('"', "").replace(",", " ") if text.startswith("{") else cell
