"""``forge import``: import of bars and funding rates from files."""

from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say


@reports_errors
def import_bars(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files of bars or of funding rates.")],
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", "-s", help="Symbol of datasets/instruments.yaml [default: detected from the file]"),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="1m, 15m, 1h, 1d ... [default: detected from the file]")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="binance, tradingview, tvdatafeed, freqtrade, lean or plain [default: detected from the content]",
        ),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Time zone of times without one, such as Europe/Warsaw.")
    ] = None,
    contract: Annotated[
        str | None,
        typer.Option("--contract", help="Delivery month to import from a Lean zip with several, such as 202003."),
    ] = None,
    no_volume: Annotated[
        bool, typer.Option("--no-volume", help="Accept bars without volume, and store zeros.")
    ] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            metavar="CHECK",
            help="Skip a check: jumps, wicks, order, mixed, market, symbol, agreement, or all; may be repeated.",
        ),
    ] = None,
    revise: Annotated[
        bool, typer.Option("--revise", help="Replace stored bars that differ; the old values are recorded.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check the files without storing anything.")
    ] = False,
) -> None:
    """Import bars or funding rates from files into the store.

    Formats: Binance archive zips and CSVs, TradingView and tvDatafeed exports, freqtrade feather and JSON, Lean zips,
    and CSV, Parquet or Feather with the usual column names (bar OPEN time; without a zone it is UTC). The format is
    detected from the content. All files are checked before anything is stored. Importing a file again changes nothing.
    A bar that differs from the stored one is reported and not stored, unless `--revise` is given.

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
            say(f"{path.name}: {checked.detected}")
            say(f"  {checked}; nothing was stored")
            for doubt in checked.doubts:
                say(f"  warning: {doubt}")
        return
    reports = import_files(files, options=options)
    for report in reports:
        say(f"{report.path.name}: {report.detected}")
        say(f"  {report.stored}{report.left_out}")
        for doubt in report.doubts:
            say(f"  warning: {doubt}")
    if any(report.stored.conflicts for report in reports):
        raise typer.Exit(3)  # imported, except for conflicting bars
