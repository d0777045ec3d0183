"""``forge study``: status and results of studies."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forge_core.cli.console import Commands, log_line, reports_errors, say, show_table

if TYPE_CHECKING:
    import pandas as pd

    from forge_core.evolution.spec.study import StudySpec

app = Commands(help="Studies: create, check, estimate, and read the results of evolution runs.")


class Format(StrEnum):
    """What an export of a study writes."""

    files = "files"
    optuna = "optuna"


StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study, see `forge study list`.")]


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


@app.command("new")
@reports_errors
def new(
    name: Annotated[str, typer.Argument(help="Name of the new study, and of its file in studies/.")],
    train: Annotated[list[str], typer.Option("--train", "-t", help="Dataset to train on; may be repeated.")],
    holdout: Annotated[
        list[str] | None, typer.Option("--holdout", help="Dataset that the search never sees; may be repeated.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="Bars to trade on [default: the first of the first dataset].")
    ] = None,
    level: Annotated[int, typer.Option(min=1, max=10, help="Size of the search space.")] = 3,
    population: Annotated[int, typer.Option(min=2, help="Plays in each generation.")] = 100,
    generations: Annotated[int, typer.Option(min=1, help="Number of generations.")] = 30,
) -> None:
    """Write a new study to studies/ and check it.

    Example: `forge study new mine --train SP500_2000_2011 --holdout SP500_2012_2018`
    """
    from forge_core.evolution.spec.template import new_study

    path, spec = new_study(
        name,
        train,
        holdout or [],
        timeframe=timeframe,
        level=level,
        population=population,
        generations=generations,
    )
    say(f"{path}")
    _describe(spec)
    say(f"next: `forge study estimate {name}`, `make evolve STUDY={name}`")


@app.command("check")
@reports_errors
def check(
    names: Annotated[list[str], typer.Argument(metavar="STUDY", help="Names of studies, or paths of YAML files.")],
) -> None:
    """Check studies without running them: keys, datasets, space, seeds, and what is known to bias their results.

    Example: `forge study check quickstart`
    """
    from forge_core.errors import ConfigError, ForgeError
    from forge_core.evolution.steps import load_study

    failures = []
    for name in names:
        try:
            spec = load_study(name)
        except ForgeError as error:
            failures.append(str(error))
            continue
        say(f"{name}: valid")
        _describe(spec)
    if failures:
        raise ConfigError("\n".join(failures))


def _describe(spec: "StudySpec") -> None:
    from forge_core.evolution.run.plan import StudyPlan
    from forge_core.evolution.spec.study import cautions, holdout_relation
    from forge_core.market.datasets.build import latest_version
    from forge_core.paths import Home

    plan = StudyPlan(spec, Home.current(), {})
    islands = f"{spec.islands} island{'s' * (spec.islands > 1)}, {spec.epochs} epoch{'s' * (spec.epochs > 1)}"
    say(f"  {spec.population:,} Plays x {spec.generations:,} generations = {spec.population * spec.generations:,} "
        f"evaluations; {islands}; {len(plan.genome.genes)} genes")  # fmt: skip
    for part, names in (("train", spec.train), ("holdout", spec.holdout)):
        for name in names:
            built = "built" if latest_version(name) else "not built yet"
            relation = f", {holdout_relation(spec, name)}" if part == "holdout" else ""
            say(f"  {part} {name}: {built}{relation}")
    if not spec.holdout:
        say("  caution: no holdout, so nothing tests the champion on bars that it was not chosen on")
    for caution in cautions(spec):
        say(f"  caution: {caution}")


@app.command("estimate")
@reports_errors
def estimate(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study, or path of a YAML file.")],
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Processes at a time [default: FORGE_WORKERS].")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to evolve a sample.")] = 1.0,
) -> None:
    """Estimate time, memory and disk of a study from a sample of its own Plays, evolved for about a second.

    Datasets that do not exist are built. Example: `forge study estimate quickstart --workers 2`
    """
    from forge_core.evolution.run.estimate import estimate_study
    from forge_core.evolution.steps import load_study
    from forge_core.market.datasets.build import ensure_dataset
    from forge_core.parallelism import worker_count

    spec = load_study(name)
    versions = [ensure_dataset(dataset, log=log_line) for dataset in spec.train]
    found = estimate_study(spec, versions, workers=workers or worker_count(), seconds=seconds)
    say(f"study {spec.name}: {found.evaluations:,} evaluations, {found.workers} workers, {found.sampled} Plays sampled")
    say(f"  time    about {_duration(found.seconds)}: {1e3 * found.seconds_per_play:.3g} ms a Play, "
        f"{found.columns:,} of {found.columns_in_space:,} columns at {1e3 * found.seconds_per_column:.3g} ms, "
        "and the start of the run")  # fmt: skip
    say(f"  memory  {found.memory_mb:,.0f} MB in {found.workers} processes, and {found.bank_mb:,.0f} MB of page cache")
    say(f"  disk    up to {found.disk_mb:,.0f} MB, {found.bank_mb:,.0f} MB of them in the indicator bank")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@app.command("extend")
@reports_errors
def extend(
    name: StudyName,
    generations: Annotated[int, typer.Option("--generations", "-g", min=1, help="Number of further generations.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Make a complete study longer by whole epochs. Its tables are then those of a study asked for at once.

    The front and champion so far are archived; the champion of the longer study is a further holdout evaluation.

    Example: `forge study extend quickstart --generations 15`
    """
    from forge_core.evolution.run.extend import extend_study

    if not yes:
        typer.confirm(f"archive the front and champion of {name} and continue its search?", abort=True)
    spec = extend_study(name, generations)
    say(f"study {name} has {spec.generations} generations in {spec.epochs} epochs now; "
        f"`make evolve STUDY={name}` continues it")  # fmt: skip


@app.command("status")
@reports_errors
def status(name: StudyName) -> None:
    """Show the progress of a study and, once complete, its verdict and its champion on train and holdout.

    Example: `forge study status quickstart`
    """
    from forge_core.evidence.following.champion_forward import read_forward
    from forge_core.evidence.verdict.text import evidence_text
    from forge_core.evolution.steps import status_text

    text, evidence, forward = status_text(name), evidence_text(name), read_forward(name)
    say(text if not evidence else f"{evidence}\n{text}")
    if forward is not None:
        say(f"forward test: {forward.sentence}")


@app.command("forward")
@reports_errors
def forward(name: StudyName) -> None:
    """Follow a study's champion on the bars after everything the study saw: does it still behave as found?

    Reads the bars that are in the store; `forge refresh` brings new ones. It may be run as often as you like.

    Example: `forge study forward quickstart`
    """
    from forge_core.evidence.following.champion_forward import follow_champion
    from forge_core.evidence.following.text import forward_lines

    for line in forward_lines(follow_champion(name)):
        say(line)


@app.command("front")
@reports_errors
def front(
    name: StudyName,
    limit: Annotated[int, typer.Option("--limit", "-n", help="The number of Plays to show, best first.")] = 10,
    twins: Annotated[bool, typer.Option("--twins", help="List near-twins too.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the whole front as CSV instead.")] = False,
) -> None:
    """Show the Pareto front of a study: the Plays that no other Play dominates.

    Of Plays that share 90 % of their trades on train one is listed, with the number of the others.

    Example: `forge study front quickstart --limit 5`
    """
    from forge_core.evolution.steps import read_front

    table = read_front(name, fold=not twins and not csv)
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
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to; with --to, the file.")],
    to: Annotated[
        Format, typer.Option("--to", help="`files`, or `optuna`: all trials as a journal file.")
    ] = Format.files,
) -> None:
    """Write the report, the front as CSV and Parquet, and the champion and every Play of the front as YAML.

    `--to optuna` writes all trials as an Optuna study instead; `optuna-dashboard FILE` opens it.

    Example: `forge study export quickstart --out front/`
    """
    if to is Format.optuna:
        from forge_core.exporting.optuna_study import export_optuna

        say(f"{export_optuna(name, out):,} trials written to {out}; open them with `optuna-dashboard {out}`")
        return
    from forge_core.evidence.verdict.export import export_evidence
    from forge_core.evolution.steps import export_study
    from forge_core.judging.study_report import write_study_report

    written = [*export_study(name, out), *export_evidence(name, out), write_study_report(name, out / "report.html")]
    say(f"{len(written)} files written to {out}")


@app.command("report")
@reports_errors
def report(
    name: StudyName,
    html: Annotated[
        Path | None, typer.Option("--html", "-o", help="File to write [default: in FORGE_HOME/reports].")
    ] = None,
) -> None:
    """Write a page about a complete study: verdict, champion, all trades, front, generations, holdout evaluations.

    Example: `forge study report quickstart --html quickstart.html`
    """
    from forge_core.judging.study_report import write_study_report

    say(f"report: {write_study_report(name, html)}")


@app.command("compare")
@reports_errors
def compare(
    names: Annotated[list[str], typer.Argument(metavar="STUDY", help="Names of complete studies.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Plays of each front, best first.")] = 50,
    csv: Annotated[Path | None, typer.Option(help="Write study, Play and cluster of every Play to this file.")] = None,
) -> None:
    """Compare studies: objectives, holdout, correlation of the champions' daily returns, clusters of their fronts.

    Example: `forge study compare quickstart mine`
    """
    from forge_core.files import write_text
    from forge_core.judging.compare import compare_studies

    found = compare_studies(names, limit=limit)
    table = found.studies.T.astype(object)
    table = table.where(table.notna(), None)
    show_table(
        ("", *table.columns), [(str(name), *row) for name, row in zip(table.index, table.to_numpy(), strict=True)]
    )
    if len(found.champions) > 1:
        say("\ncorrelation of the champions' daily returns on train")
        shown = found.champions.round(2).astype(object).where(found.champions.notna(), None)
        rows = [(str(name), *row) for name, row in zip(shown.index, shown.to_numpy(), strict=True)]
        show_table(("", *map(str, shown.columns)), rows)
    clusters = found.clusters.groupby(["cluster", "study"]).size().unstack(fill_value=0)  # noqa: PD010
    say(f"\n{len(found.clusters)} Plays of the fronts in {len(clusters)} clusters that trade alike")
    show_table(
        ("cluster", *map(str, clusters.columns)),
        [(int(label), *map(int, row)) for label, row in zip(clusters.index, clusters.to_numpy(), strict=True)],
    )
    if csv is not None:
        write_text(csv, found.clusters.to_csv(index=False))
        say(f"clusters: {csv}")


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
    if status.state != "not started" and not yes:
        typer.confirm(
            f"study {name} is {status.state}, generation {status.generation} of {status.generations}; archive it?",
            abort=True,
        )
    say(f"archived in {reset_study(name)}")


def _headings(table: "pd.DataFrame") -> list[str]:
    """Return the column names, with a line break between dataset and metric."""
    return [str(name).replace(".", "\n") for name in table.columns]
