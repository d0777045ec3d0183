"""Entry point of the ``forge`` command line. Commands import heavy modules lazily."""

from typing import Annotated

import typer

from forge_core.cli import (
    cache,
    data,
    datasets,
    exports,  # noqa: F401  # registers its command
    extensions,
    features,
    imports,
    instruments,
    judging,
    plays,
    refresh,
    roll_dates,
    sql,
    studies,
    sweeps,
)
from forge_core.cli.console import Commands

app = Commands(
    name="forge",
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help=(
        "Evolve and backtest trading strategies.\n\n"
        "Start runs through Dagster: `dagster job execute -j evolve`, or `dagster dev` for the UI. "
        "Forge writes to `data/`, or to the folder given by the environment variable `FORGE_HOME`."
    ),
)
app.command("import")(imports.import_bars)
app.command("refresh")(refresh.refresh)
app.add_typer(data.app, name="data")
app.add_typer(datasets.app, name="datasets")
app.add_typer(plays.app, name="play")
app.add_typer(studies.app, name="study")
app.add_typer(sweeps.app, name="sweep")
app.add_typer(roll_dates.app, name="roll-dates")
app.add_typer(instruments.app, name="instruments")
app.add_typer(extensions.app, name="extensions")
app.add_typer(cache.app, name="cache")
app.command("portfolio")(judging.portfolio)
app.command("sql")(sql.sql)
app.command("indicators")(features.list_features)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"forge {version('forge-evolve')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
