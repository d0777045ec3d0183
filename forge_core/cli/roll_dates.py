"""``forge roll-dates``: contract rolls of continuous futures series."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forge_core.cli.console import Commands, reports_errors, say, show_table

if TYPE_CHECKING:
    import pandas as pd

app = Commands(help="Contract rolls: when a continuous futures series changes to the next contract.")


@app.command("import")
@reports_errors
def import_dates(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="YAML: a list of times by symbol.")],
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Time zone of times without an offset, such as Europe/Warsaw.")
    ] = None,
    trade_dates: Annotated[
        bool, typer.Option("--trade-dates", help="Use dates only: the first trade date on the new contract.")
    ] = False,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")
    ] = None,
) -> None:
    """Import roll dates from a YAML file; they replace the built-in ones of its symbols.

    A time needs a UTC offset (2024-02-15T01:00:00Z). For times without one, give their zone (--timezone), or use only
    the dates (--trade-dates): the roll is then at the open of the session of that trade date.

    Example: `forge roll-dates import contract_switch_dates.yaml --trade-dates`
    """
    from forge_core.market.futures.roll_dates import import_roll_dates

    found = import_roll_dates(path, timezone=timezone, trade_dates=trade_dates, symbols=symbols)
    for symbol, times in sorted(found.times.items()):
        say(f"{symbol}: {_period(times)}")
    if found.mappings:
        pairs = (f"{micro} with {big}" for micro, big in sorted(found.mappings.items()))
        say(f"rolls of another symbol: {', '.join(pairs)}")
    if found.left_out:
        say(f"left out: {', '.join(found.left_out)}")


@app.command("show")
@reports_errors
def show(symbol: Annotated[str | None, typer.Argument(help="List the roll dates of this symbol.")] = None) -> None:
    """List the symbols with roll dates and their origin, or the roll dates of one symbol.

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
    """Check whether the stored prices of a symbol jump at its roll dates, by timeframe.

    The share is far above 50 % if the dates belong to the series, and near 50 % or below for another series or zone.

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
        raise DataError(f"the store has no bars of {symbol}: import some with `forge import`")
    say(f"{symbol}: {_period(roll_dates)} from {dates.origin(symbol)}")
    show_table(("timeframe", "rolls in the period", "at a price jump", "median gap, points"), rows)


def _period(times: "pd.DatetimeIndex") -> str:
    """Return the number of rolls and their period as text."""
    if not len(times):
        return "none: the series does not jump"
    return f"{len(times)} rolls, {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}"
