"""``forge datasets``: catalog of named market regimes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forge_core.cli.console import Commands, reports_errors, say, show_table

if TYPE_CHECKING:
    from forge_core.market.regimes.suggest import Suggestion

app = Commands(help="Datasets: named market regimes to train and test on.")


@app.command("list")
@reports_errors
def list_datasets() -> None:
    """List the datasets of the catalog with their built versions.

    Example: `forge datasets list`
    """
    from forge_core.market.datasets.build import latest_version
    from forge_core.market.reference.catalog import load_catalog

    rows = []
    for spec in load_catalog().values():
        version = latest_version(spec.name)
        rows.append(
            (
                spec.name,
                spec.symbol,
                f"{spec.start:%Y-%m-%d} to {spec.end:%Y-%m-%d}",
                ", ".join(spec.timeframes),
                spec.regime,
                version.content_hash if version else "not built",
            )
        )
    show_table(("dataset", "symbol", "period [start, end)", "timeframes", "regime", "version"), rows)


@app.command("show")
@reports_errors
def show_dataset(name: Annotated[str, typer.Argument(help="Name in the catalog.")]) -> None:
    """Show one dataset: period, contents of the latest version, and gaps.

    Example: `forge datasets show SP500_BEAR_2008`
    """
    from forge_core.market.datasets.build import latest_version
    from forge_core.market.reference.catalog import get_dataset_spec

    spec = get_dataset_spec(name)
    say(f"{spec.name}: {spec.symbol}, {spec.start:%Y-%m-%d} to {spec.end:%Y-%m-%d}, {spec.regime}")
    if spec.characteristics:
        say(spec.characteristics.strip())
    version = latest_version(name)
    if version is None:
        say(f"Not built yet. A study that uses it builds it; so does materializing regime_dataset partition {name}.")
        return
    say(f"version {version.content_hash} in {version.path}\n")
    rows = [
        (
            label,
            part["rows"],
            part["lead_in_rows"],
            part["first"][:16],
            part["last"][:16],
            part["gaps"]["count"],
            part["origin"],
        )
        for label, part in version.manifest["timeframes"].items()
    ]
    show_table(("timeframe", "bars", "lead-in bars", "first bar (UTC)", "last bar (UTC)", "gaps", "origin"), rows)
    if (rates := version.manifest.get("funding")) is not None:
        say(f"\nfunding: {rates['rows']} rates, {rates['first'][:16]} to {rates['last'][:16]} (UTC)")
    if (rolls := version.manifest.get("rolls")) is not None:
        say(f"\ncontract rolls: {len(rolls['times'])} from {rolls['origin']}; features: {rolls['adjust']} adjusted")
        if rolls["doubt"]:
            say(rolls["doubt"])


@app.command("add")
@reports_errors
def add(
    name: Annotated[str, typer.Argument(help="Name of the new dataset, such as BTCUSDT_BEAR_2022.")],
    symbol: Annotated[str, typer.Option("--symbol", "-s", help="Symbol of datasets/instruments.yaml.")],
    start: Annotated[str, typer.Option("--start", help="First day (UTC), such as 2022-01-01.")],
    end: Annotated[str, typer.Option("--end", help="First day after the period.")],
    timeframes: Annotated[
        str, typer.Option("--timeframes", "-t", help="Finest (the traded one) first, such as 15m,1h,4h.")
    ],
    regime: Annotated[str, typer.Option("--regime", "-r", help="full_cycle, bear, bull, range or volatile.")],
    characteristics: Annotated[str, typer.Option("--characteristics", help="Description of the period.")] = "",
) -> None:
    """Add a dataset to the catalog. All other lines of the file, including comments, are unchanged.

    Example: `forge datasets add BTCUSDT_BEAR_2018 -s BTCUSDT --start 2018-01-01 --end 2018-12-01 -t 1h,4h -r bear`
    """
    from forge_core.configuration import validate_model
    from forge_core.market.reference.catalog import DatasetSpec
    from forge_core.market.reference.catalog_edit import add_dataset

    entry: dict[str, Any] = {
        "name": name,
        "symbol": symbol,
        "start": start,
        "end": end,
        "timeframes": [label.strip() for label in timeframes.split(",")],
        "regime": regime,
        "characteristics": characteristics,
    }
    spec = validate_model(DatasetSpec, entry, source=f"dataset {name}")
    say(f"{name} added to {add_dataset(spec)}")


@app.command("remove")
@reports_errors
def remove(name: Annotated[str, typer.Argument(help="Name in the catalog.")]) -> None:
    """Remove a dataset and the comment above it from the catalog. Built versions are kept.

    A study that uses it cannot be resumed until `forge datasets add` restores it.

    Example: `forge datasets remove BTCUSDT_BEAR_2018`
    """
    from forge_core.market.reference.catalog_edit import remove_dataset

    say(f"{name} removed from {remove_dataset(name)}")


@app.command("check")
@reports_errors
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names [default: all].")] = None,
) -> None:
    """Check that built datasets are undamaged, and that the store has the bars to build the others.

    The exit code is 1 if a version is damaged, or if bars of a dataset given by name are missing in the store.

    Example: `forge datasets check BTCUSDT_BEAR_2022`
    """
    from forge_core.market.datasets.catalog_check import check_dataset
    from forge_core.market.reference.catalog import get_dataset_spec, load_catalog
    from forge_core.market.store.bar_store import BarStore
    from forge_core.paths import Home

    home = Home.current()
    specs = [get_dataset_spec(name) for name in names or load_catalog()]
    with BarStore(home.store) as store:
        checks = [check_dataset(spec, store, home) for spec in specs]
    rows = [(c.name, c.state, c.version or None, c.text if c.state != "no bars" else None) for c in checks]
    show_table(("dataset", "state", "version", ""), rows)
    without_bars = [c for c in checks if c.state == "no bars"] if names else []
    for found in without_bars:
        say(f"{found.name}: {found.text}")
    if without_bars or any(c.state == "damaged" for c in checks):
        raise typer.Exit(1)


@app.command("suggest")
@reports_errors
def suggest(symbol: Annotated[str, typer.Argument(help="Symbol whose bars are in the store.")]) -> None:
    """Suggest bear, bull, sideways and volatile periods from the bars of a symbol, with the commands that add them.

    Bull and bear phases run between turning points of the daily closes (peaks and troughs, by prominence). A sideways
    period has a range that is small compared with a random walk; a volatile one has the highest volatility.

    Example: `forge datasets suggest ETHUSDT`
    """
    from forge_core.market.reference.catalog import load_catalog
    from forge_core.market.reference.instruments import get_instrument
    from forge_core.market.regimes.stored_closes import stored_closes, usual_timeframes
    from forge_core.market.regimes.suggest import suggest_regimes
    from forge_core.market.store.bar_store import BarStore
    from forge_core.paths import Home

    instrument = get_instrument(symbol)
    with BarStore(Home.current().store) as store:
        closes = stored_closes(store, instrument)
        timeframes = usual_timeframes(store, symbol)
    suggestions = suggest_regimes(closes, instrument.annualization)
    say(f"{symbol}: {len(closes)} days, {closes.index[0]:%Y-%m-%d} to {closes.index[-1]:%Y-%m-%d}\n")
    rows = [(s.regime, f"{s.start:%Y-%m-%d} to {s.end:%Y-%m-%d}", str(s.figures), s.reason) for s in suggestions]
    show_table(("regime", "period [start, end)", "daily closes", "reason"), rows)
    say("\nTo add one:")
    known = {(spec.symbol, spec.start, spec.end) for spec in load_catalog().values()}
    for suggestion in suggestions:
        taken = " # already in the catalog" * ((symbol, suggestion.start, suggestion.end) in known)
        say(f"{_add_command(symbol, suggestion, timeframes)}{taken}")


def _add_command(symbol: str, suggestion: "Suggestion", timeframes: list[str]) -> str:
    name = f"{symbol}_{suggestion.regime.upper()}_{suggestion.start:%Y_%m}"
    period = f"--start {suggestion.start:%Y-%m-%d} --end {suggestion.end:%Y-%m-%d}"
    rest = f'-t {",".join(timeframes)} -r {suggestion.regime} --characteristics "{suggestion.figures}"'
    return f"forge datasets add {name} -s {symbol} {period} {rest}"


@app.command("prune")
@reports_errors
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the versions that would be removed.")] = False,
) -> None:
    """Remove versions that are neither the latest nor pinned by a study, and the features computed from them.

    Example: `forge datasets prune --dry-run`
    """
    from forge_core.market.datasets.pruning import prune_versions, unneeded_versions
    from forge_core.paths import Home

    home = Home.current()
    versions = unneeded_versions(home) if dry_run else prune_versions(home)
    show_table(("dataset", "version", "MiB"), [(v.dataset, v.content_hash, v.size / 2**20) for v in versions])
    size = sum(version.size for version in versions) / 2**20
    say(f"{len(versions)} versions, {size:,.1f} MiB {'would be' if dry_run else 'were'} removed")
