"""``forge roll-dates``: when continuous futures series pass to another contract."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forge_core.cli.console import reports_errors, say, show_table

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    no_args_is_help=True, help="Contract rolls of futures: where a continuous series passes to the next contract."
)


@app.command("import")
@reports_errors
def import_dates(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="YAML: a list of times by symbol.")],
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Times without an offset are this zone's: Europe/Warsaw.")
    ] = None,
    trade_dates: Annotated[
        bool, typer.Option("--trade-dates", help="Only dates count: the first trade date on the new contract.")
    ] = False,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")
    ] = None,
) -> None:
    """Import roll dates from a YAML file; they take the place of the project's own for its symbols.

    A time needs its UTC offset (2024-02-15T01:00:00Z). Where the file has none, say whose clock it is (--timezone), or
    that only the date counts (--trade-dates): the roll is then where the session of that trade date opens.

    Example: `forge roll-dates import contract_switch_dates.yaml --trade-dates`
    """
    from forge_core.market.futures.roll_dates import import_roll_dates

    found = import_roll_dates(path, timezone=timezone, trade_dates=trade_dates, symbols=symbols)
    for symbol, times in sorted(found.times.items()):
        say(f"{symbol}: {_period(times)}")
    if found.mappings:
        pairs = (f"{micro} with {big}" for micro, big in sorted(found.mappings.items()))
        say(f"rolling with another: {', '.join(pairs)}")
    if found.left_out:
        say(f"left out: {', '.join(found.left_out)}")


@app.command("show")
@reports_errors
def show(symbol: Annotated[str | None, typer.Argument(help="List the roll dates of this symbol.")] = None) -> None:
    """Show which symbols have roll dates and where these are from, or the dates of one symbol.

    Example: `forge roll-dates show ZS`
    """
    from forge_core.market.futures.roll_dates import load_roll_dates

    dates = load_roll_dates()
    if symbol is not None:
        for time in dates.of(symbol):
            say(f"{time:%Y-%m-%d %H:%M} UTC")
        return
    rows = [(name, len(times), _period(times), dates.origin(name)) for name, times in sorted(dates.times.items())]
    show_table(("symbol", "rolls", "period", "from"), rows)


@app.command("check")
@reports_errors
def check(symbol: Annotated[str, typer.Argument(help="A future with bars in the store.")]) -> None:
    """Show whether the stored prices of a symbol jump at its roll dates, by timeframe.

    Dates that belong to the series come out far above 50 %; those of another series or time zone do not.

    Example: `forge roll-dates check ZS`
    """
    from forge_core.errors import DataError
    from forge_core.market.futures.roll_dates import load_roll_dates
    from forge_core.market.futures.rolls import fitting_share, roll_gaps
    from forge_core.market.store.bar_store import BarStore
    from forge_core.paths import Home
    from forge_core.sweeps.series import stored_intervals

    home = Home.current()
    dates = load_roll_dates(home)
    roll_dates = dates.of(symbol)
    rows = []
    with BarStore(home.store) as store:
        for interval in stored_intervals(store, symbol):
            bars = store.read(symbol, interval)
            gaps, share = roll_gaps(bars, roll_dates), fitting_share(bars, roll_dates)
            middle = float(gaps["gap"].abs().median()) if len(gaps) else None
            rows.append((interval, len(gaps), "-" if share is None else f"{share:.0%}", middle))
    if not rows:
        raise DataError(f"the store has no bars of {symbol}")
    say(f"{symbol}: {_period(roll_dates)} from {dates.origin(symbol)}")
    show_table(("timeframe", "rolls in it", "at a jump of the price", "median gap, points"), rows)


def _period(times: "pd.DatetimeIndex") -> str:
    """Say how many times there are and of which period."""
    if not len(times):
        return "none: the series does not jump"
    return f"{len(times)} rolls, {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}"
