"""``forge sweep``: mass tests, how far they are, and what is best in them."""

from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say, show_table

app = typer.Typer(
    no_args_is_help=True,
    help="Sweeps: every strategy on every month, symbol and interval. `dagster job execute -j mass_test` runs one.",
)

SweepName = Annotated[str, typer.Argument(help="A sweep's name, as in `forge sweep list`.")]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")]
Intervals = Annotated[list[str] | None, typer.Option("--interval", "-i", help="Only this interval; may be repeated.")]
Strategies = Annotated[list[str] | None, typer.Option("--strategy", help="Only this strategy; may be repeated.")]
First = Annotated[str | None, typer.Option("--from", help="First month, such as 2024-01.")]
Last = Annotated[str | None, typer.Option("--to", help="Last month, itself included.")]
MinTrades = Annotated[int, typer.Option("--min-trades", help="Leave out what made fewer trades, all tests together.")]

_COUNTS = ("tests", "total_trades", "days")
_SHOWN = (*_COUNTS, "sharpe", "profit_factor", "positive_months", "neighbour_sharpe", "net_profit")


@app.command("list")
@reports_errors
def list_all() -> None:
    """List the sweeps in studies/ and how far each is.

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
            state = "complete" if done == tests else "begun"
        except StudyError:
            tests, done, state = None, None, "not run yet"
        rows.append((name, ", ".join(spec.symbols), len(spec.variants), tests, done, state))
    show_table(("sweep", "symbols", "strategies", "tests", "done", "state"), rows)
    for message in errors:
        say(message)


@app.command("status")
@reports_errors
def status(name: SweepName) -> None:
    """Show how far a sweep is, by symbol and interval: as it was planned when it was last run.

    Example: `forge sweep status mass_test`
    """
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.report import sweep_status

    table = sweep_status(read_plan(name))
    show_table(list(table.columns), [tuple(row) for row in table.astype(object).itertuples(index=False)])
    say(f"{table['done'].sum():,} of {table['tests'].sum():,} tests done, {table['failed'].sum():,} failed")


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
        list[str] | None, typer.Option("--split", help="Rank apart by `symbol` or `interval`; may be repeated.")
    ] = None,
    families: Annotated[
        bool, typer.Option("--by-strategy", help="A row a strategy instead: all its parameter sets together.")
    ] = False,
) -> None:
    """Show the best strategies of a sweep, over all its symbols, intervals and months or those named.

    Ratios are of the daily returns of all tests of a row together; the trades and days they come from stand beside
    them. `neighbour_sharpe` is the mean of the parameter sets one step away: a peak among poor neighbours is luck.

    Example: `forge sweep top mass_test --symbol SP500 --from 2007-01 --to 2009-12 --min-trades 30`
    """
    from forge_core.evidence.sweep_luck import sweep_luck_text
    from forge_core.sweeps.loading import Filters
    from forge_core.sweeps.plan import read_plan
    from forge_core.sweeps.ranking import rank, rank_strategies

    filters, plan = Filters(symbols, intervals, strategies, first, last, min_trades), read_plan(name)
    table = rank(plan, filters, split=split or (), sort=sort)
    if table.empty:
        say("no test matches")
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
        say(f"... {len(table)} in all; `--limit {len(table)}` shows them, `forge sweep export {name} FILE` writes them")


@app.command("export")
@reports_errors
def export(
    name: SweepName,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A name that ends in .csv or .parquet.")],
    what: Annotated[
        str, typer.Option("--what", help="`ranking`, `strategies`, `results` (a row a test) or `trades`.")
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
    """Show JSON of parameters as people write them."""
    text = str(cell)
    return text.strip("{}").replace('"', "").replace(",", " ") if text.startswith("{") else cell
