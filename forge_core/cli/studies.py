"""``forge study``: status and results of studies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forge_core.cli.console import reports_errors, say, show_table

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, help="Studies: status, Pareto fronts and holdout results of evolution runs.")

StudyName = Annotated[str, typer.Argument(help="Name of a study, see `forge study list`.")]


@app.command("list")
@reports_errors
def list_all() -> None:
    """List the studies in studies/ with their progress.

    Example: `forge study list`
    """
    from forge_core.errors import ForgeError
    from forge_core.evolution.steps import list_studies, load_study, study_status

    rows: list[tuple[str | None, ...]] = []
    errors = []
    for name in list_studies():
        try:
            spec, status = load_study(name), study_status(name)
        except ForgeError as error:
            rows.append((name, None, "invalid", None, None))
            errors.append(str(error))
            continue
        rows.append(
            (
                name,
                f"{status.generation}/{spec.generations}",
                status.state,
                ", ".join(spec.train),
                ", ".join(spec.holdout),
            )
        )
    show_table(("study", "generation", "state", "train", "holdout"), rows)
    for message in errors:
        say(message)


@app.command("status")
@reports_errors
def status(name: StudyName) -> None:
    """Show the progress of a study and, once complete, its verdict and its champion on train and holdout.

    Example: `forge study status quickstart`
    """
    from forge_core.evidence.verdict.text import evidence_text
    from forge_core.evolution.steps import status_text

    text, evidence = status_text(name), evidence_text(name)
    say(text if not evidence else f"{evidence}\n{text}")


@app.command("front")
@reports_errors
def front(
    name: StudyName,
    limit: Annotated[int, typer.Option("--limit", "-n", help="The number of Plays to show, best first.")] = 10,
    csv: Annotated[bool, typer.Option("--csv", help="Print the whole front as CSV instead.")] = False,
) -> None:
    """Show the Pareto front of a study: the Plays that no other Play dominates.

    Example: `forge study front quickstart --limit 5`
    """
    from forge_core.evolution.steps import read_front

    table = read_front(name)
    if csv:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    rows = table.head(limit)
    show_table(_headings(rows), [tuple(row) for row in rows.itertuples(index=False)])
    if len(table) > limit:
        say(f"... {len(table)} in total; `--limit {len(table)}` shows them, `--csv` prints them")


@app.command("holdout")
@reports_errors
def holdout(
    name: StudyName,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="The number of Plays to evaluate, best first; all by default.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print all as CSV instead.")] = False,
) -> None:
    """Evaluate the Plays of a study's front on its holdout. Every evaluation is counted, and its number shown.

    The more Plays are evaluated, the less the best of them says. Example: `forge study holdout quickstart --limit 3`
    """
    from forge_core.evolution.steps import evaluate_front_on_holdout

    table = evaluate_front_on_holdout(name, limit=limit)
    if csv:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    show_table(_headings(table), [tuple(row) for row in table.itertuples(index=False)])
    for dataset, count in table.groupby("dataset", sort=False)["evaluations"].max().items():
        say(f"{dataset}: {count} holdout evaluations, over all studies")


@app.command("export")
@reports_errors
def export(
    name: StudyName,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.")],
) -> None:
    """Write the front as CSV and Parquet, and the champion and every Play of the front as YAML.

    Example: `forge study export quickstart --out front/`
    """
    from forge_core.evidence.verdict.export import export_evidence
    from forge_core.evolution.steps import export_study

    written = [*export_study(name, out), *export_evidence(name, out)]
    say(f"{len(written)} files written to {out}")


@app.command("reset")
@reports_errors
def reset(
    name: StudyName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Archive the results of a study, so that its next run starts from scratch. Its trials stay in the ledger.

    Example: `forge study reset quickstart`
    """
    from forge_core.evolution.steps import reset_study, study_status

    status = study_status(name)
    if status.state != "not begun" and not yes:
        typer.confirm(
            f"study {name} is {status.state}, generation {status.generation} of {status.generations}; archive it?",
            abort=True,
        )
    say(f"archived in {reset_study(name)}")


def _headings(table: "pd.DataFrame") -> list[str]:
    """Return the column names, with a line break between dataset and metric."""
    return [str(name).replace(".", "\n") for name in table.columns]
