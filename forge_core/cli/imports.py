"""``forge import``: bars from files into the store."""

from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say


@reports_errors
def import_bars(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parquet or CSV files of one symbol's bars.")],
    symbol: Annotated[
        str | None, typer.Option("--symbol", "-s", help="Symbol of datasets/instruments.yaml [default: from the name]")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="1m, 15m, 1h, 1d ... [default: from the name]")
    ] = None,
) -> None:
    """Import bars from Parquet or CSV files into the store.

    Files need a time column (bar OPEN time; without a zone it is UTC), open, high, low, close and volume under their
    usual names. All files are checked before anything is stored. Importing a file again changes nothing; a bar that the
    store has with other values is reported and stays as it is.

    Example: `forge import BTCUSDT_15m.parquet --symbol BTCUSDT --timeframe 15m`
    """
    from forge_core.market.importer import import_files

    reports = import_files(files, symbol, timeframe)
    for report in reports:
        say(str(report))
    if any(report.stored.conflicts for report in reports):
        raise typer.Exit(3)  # imported, but not all of it as offered
