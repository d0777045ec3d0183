"""``forge import``: bars and funding rates from files into the store."""

from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say


@reports_errors
def import_bars(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of bars or of funding rates.")],
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", "-s", help="Symbol of datasets/instruments.yaml [default: told by the file]"),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="1m, 15m, 1h, 1d ... [default: told by the file]")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="binance, tradingview, tvdatafeed, freqtrade, lean or plain [default: told by the content]",
        ),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Whose wall clock times without a zone are, as Europe/Warsaw.")
    ] = None,
    contract: Annotated[
        str | None, typer.Option("--contract", help="Delivery month to take of a Lean zip with several, as 202003.")
    ] = None,
    no_volume: Annotated[
        bool, typer.Option("--no-volume", help="Take bars without volume, and store zeros for it.")
    ] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            metavar="CHECK",
            help="Drop a check: jumps, wicks, order, mixed, market, symbol, agreement, or all; may be repeated.",
        ),
    ] = None,
    revise: Annotated[
        bool, typer.Option("--revise", help="Replace stored bars that differ, and keep what they were on record.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check the files, and store nothing.")] = False,
) -> None:
    """Import bars or funding rates from files into the store.

    Read are Binance archive zips and CSVs, TradingView and tvDatafeed exports, freqtrade feather and JSON, Lean zips,
    and CSV, Parquet or Feather with the usual column names (bar OPEN time; without a zone it is UTC). Which it is, is
    told by the content. All files are checked before anything is stored. Importing a file again changes nothing; a bar
    that the store has with other values is reported and stays as it is, unless `--revise` is given.

    Example: `forge import BTCUSDT-15m-2024-01.zip BTCUSDT-15m-2024-02.zip`
    """
    from forge_core.market.importing.importer import ImportOptions, import_files, read_for_store

    options = ImportOptions(
        symbol=symbol,
        timeframe=timeframe,
        format=format_,
        timezone=timezone,
        contract=contract,
        no_volume=no_volume,
        trust=tuple(trust or ()),
        revise=revise,
    )
    if dry_run:
        for path in files:
            checked = read_for_store(path, options=options)
            say(f"{path.name}: {checked.told}")
            say(f"  {checked}; nothing was stored")
            for doubt in checked.doubts:
                say(f"  warning: {doubt}")
        return
    reports = import_files(files, options=options)
    for report in reports:
        say(f"{report.path.name}: {report.told}")
        say(f"  {report.stored}{report.left_out}")
        for doubt in report.doubts:
            say(f"  warning: {doubt}")
    if any(report.stored.conflicts for report in reports):
        raise typer.Exit(3)  # imported, but not all of it as incoming
