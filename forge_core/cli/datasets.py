"""``forge datasets``: the catalog of named market regimes."""

from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say, show_table

app = typer.Typer(no_args_is_help=True, help="Named market regimes: what can be tested on.")


@app.command("list")
@reports_errors
def list_datasets() -> None:
    """List the datasets of the catalog, and which of them are built.

    Example: `forge datasets list`
    """
    from forge_core.market.catalog import load_catalog
    from forge_core.market.datasets import latest_version

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
    """Show one dataset: its period, what its latest version holds, and its gaps.

    Example: `forge datasets show SP500_BEAR_2008`
    """
    from forge_core.market.catalog import get_dataset_spec
    from forge_core.market.datasets import latest_version

    spec = get_dataset_spec(name)
    say(f"{spec.name}: {spec.symbol}, {spec.start:%Y-%m-%d} to {spec.end:%Y-%m-%d}, {spec.regime}")
    if spec.characteristics:
        say(spec.characteristics.strip())
    version = latest_version(name)
    if version is None:
        say(f"Not built yet. A study that needs it builds it; so does materializing regime_dataset partition {name}.")
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
    show_table(("timeframe", "bars", "of them lead-in", "first bar (UTC)", "last bar (UTC)", "gaps", "origin"), rows)
