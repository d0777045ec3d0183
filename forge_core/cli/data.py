"""``forge data``: quality checks of stored bars, and gap filling."""

from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import Commands, reports_errors, say, show_table

app = Commands(help="Stored bars: quality checks and gap filling.")


@app.command("check")
@reports_errors
def check(
    symbols: Annotated[list[str] | None, typer.Argument(metavar="SYMBOL", help="Symbols [default: all].")] = None,
    page: Annotated[
        Path | None, typer.Option("--html", help="Also write an HTML page with a plot to this file.")
    ] = None,
) -> None:
    """Report gaps and their causes, duplicates, idle and stuck stretches, outliers, contradictions and stale ends.

    No bar is changed. The exit code is 1 if there is a finding of severity error (invalid bars).

    Example: `forge data check BTCUSDT --html quality.html`
    """
    from forge_core.files import write_text
    from forge_core.market.quality.checks import check_symbols, worst_first
    from forge_core.market.store.bar_store import BarStore
    from forge_core.paths import Home

    with BarStore(Home.current().store) as store:
        reports = check_symbols(store, symbols)
    if not reports:
        say("The store has no bars yet; add some with `forge import FILE`.")
        return
    rows = [
        (r.symbol, r.timeframe, r.rows, f"{r.first:%Y-%m-%d %H:%M}", f"{r.last:%Y-%m-%d %H:%M}", len(r.gaps), r.missing)
        for r in reports
    ]
    show_table(("symbol", "timeframe", "rows", "first (UTC)", "last (UTC)", "gaps", "missing"), rows)
    found = worst_first(reports)
    for severity, pairs in found.items():
        for report, finding in pairs:
            say(f"{severity}: {report.symbol} {report.timeframe}: {finding.text}")
    if page is not None:
        from forge_core.market.quality.page import quality_page

        write_text(page, quality_page(reports))
        say(f"written to {page}")
    if found["error"]:
        raise typer.Exit(1)


@app.command("fill")
@reports_errors
def fill(
    symbol: Annotated[str, typer.Argument(help="Symbol of datasets/instruments.yaml.")],
    timeframe: Annotated[str, typer.Argument(help="Timeframe whose gaps are filled, such as 15m.")],
    finer: Annotated[str, typer.Option("--from", help="Timeframe of the bars to resample, such as 5m.")],
) -> None:
    """Fill gaps of a timeframe with bars resampled from a finer timeframe of the store.

    A bar is made only if all its finer bars are present; existing bars are not changed. To fill gaps from a file, use
    `forge import`, which adds the bars that are missing in the store.

    Example: `forge data fill BTCUSDT 15m --from 5m`
    """
    from forge_core.market.sources.gap_filling import fill_gaps
    from forge_core.market.store.bar_store import BarStore
    from forge_core.paths import Home

    with BarStore(Home.current().store) as store:
        report = fill_gaps(store, symbol, timeframe, finer)
    say(str(report))
    if report.still_missing:
        say(f"{report.still_missing} still missing; `forge data check {symbol}` shows where and why")
