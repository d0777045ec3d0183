"""``forge refresh``: import of new bars from the sources."""

from datetime import datetime
from typing import Annotated

import typer

from forge_core.cli.console import errors, reports_errors, say


@reports_errors
def refresh(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="SYMBOL", help="Symbols [default: all of the catalog]")
    ] = None,
    timeframe: Annotated[
        list[str] | None,
        typer.Option("--timeframe", "-t", help="15m, 1h ... [default: those that datasets name or the store has]"),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="First day [default: start of the lead-in of the symbol's earliest dataset]"
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Use only this source [default: the import folder and the symbol's own]")
    ] = None,
    recheck: Annotated[
        int, typer.Option(min=0, metavar="DAYS", help="Number of days to check for revised files of the source.")
    ] = 7,
) -> None:
    """Import bars that are missing in the store: from new files in `data/import`, and from downloads.

    Stored bars are not requested again. If a source is unreachable, the bars downloaded so far are kept, and the next
    refresh resumes from there.

    Example: `forge refresh BTCUSDT --timeframe 15m --since 2021-01-01`
    """
    import pandas as pd

    from forge_core.errors import ConfigError, ForgeError, unknown
    from forge_core.market.reference.catalog import load_catalog
    from forge_core.market.reference.instruments import get_instrument, source_names
    from forge_core.market.sources.refresh import refresh_bars
    from forge_core.paths import Home

    if source is not None and source not in source_names():
        raise ConfigError(unknown("source", source, source_names()))
    chosen = [get_instrument(symbol) for symbol in symbols or sorted({s.symbol for s in load_catalog().values()})]
    failed = False
    for instrument in chosen:
        try:
            reports = refresh_bars(
                instrument,
                Home.current(),
                timeframes=timeframe,
                since=None if since is None else pd.Timestamp(since, tz="UTC"),
                only=source,
                recheck=pd.Timedelta(days=recheck) if recheck else None,
                log=say,
            )
        except ForgeError as error:
            failed = True
            errors.print("Error:", str(error), markup=False, highlight=False, soft_wrap=True)
        else:
            if not reports:
                say(f"{instrument.symbol}: nothing new")
    if failed:
        raise typer.Exit(1)
