"""``forge study``: what a study found, and how far it is."""

from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say, show_table

app = typer.Typer(no_args_is_help=True, help="Studies: what is evolved, how far it is, what it found.")

StudyName = Annotated[str, typer.Argument(help="A study's name, as in `forge study list`.")]


@app.command("list")
@reports_errors
def list_all() -> None:
    """List the studies in studies/ and how far each is.

    Example: `forge study list`
    """
    from forge_core.evolution.steps import list_studies, load_study, study_status

    rows = []
    for name in list_studies():
        spec, status = load_study(name), study_status(name)
        rows.append(
            (
                name,
                f"{status['generation']}/{spec.generations}",
                status["state"],
                ", ".join(spec.train),
                ", ".join(spec.holdout),
            )
        )
    show_table(("study", "generation", "state", "train", "holdout"), rows)


@app.command("status")
@reports_errors
def status(name: StudyName) -> None:
    """Show how far a study is and, once it is complete, its champion on train and holdout.

    Example: `forge study status quickstart`
    """
    from forge_core.evolution.steps import status_text

    say(status_text(name))


@app.command("front")
@reports_errors
def front(
    name: StudyName,
    most: Annotated[int, typer.Option("--most", "-n", help="Show at most so many Plays.")] = 10,
    csv: Annotated[bool, typer.Option("--csv", help="Print the whole front as CSV instead.")] = False,
) -> None:
    """Show the Pareto front of a study: the Plays that no other beats in every objective.

    Example: `forge study front quickstart --most 5`
    """
    from forge_core.evolution.steps import read_front

    table = read_front(name)
    if csv:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    rows = table.head(most)
    show_table(list(rows.columns), [tuple(row) for row in rows.itertuples(index=False)])
    if len(table) > most:
        say(f"... {len(table)} in all; `--most {len(table)}` shows them, `--csv` prints them")
