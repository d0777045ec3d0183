"""``forge play signal`` and ``forge play stress``, ``forge portfolio``: judgement of single Plays."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forge_core.cli.console import progress, reports_errors, say, show_table
from forge_core.cli.plays import Dataset, PlayFile, app

if TYPE_CHECKING:
    from forge_core.plays.model import Play


@app.command("signal")
@reports_errors
def signal(
    play: PlayFile,
    dataset: Dataset,
    end: Annotated[str | None, typer.Option(help="Bars before this day or time (UTC) [default: all].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the signal as JSON.")] = False,
) -> None:
    """Show the order that a Play queues at the last closed bar, and the values of each rule.

    Example: `forge play signal studies/plays/ema_cross.yaml -d SP500_FULL_CYCLE`
    """
    from forge_core.judging.inputs import dataset_feed
    from forge_core.judging.signal import signal as find
    from forge_core.plays.parser import load_play

    loaded = load_play(play)
    found = find(loaded, dataset_feed(dataset, loaded.timeframe, None, end))
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2))
        return
    held = found.position
    if found.entered is not None:
        held += f" since {found.entered:%Y-%m-%d %H:%M} at {found.entry_price:,.10g}, {found.bars_held} bars"
    say(f"{found.play} on {found.symbol}, bar closed {found.closed:%Y-%m-%d %H:%M} UTC at {found.close:,.10g}")
    say(f"position: {held}")
    say(f"order: {found.order} ({found.reason})")
    for name, level in found.levels.items():
        say(f"{name}: {'-' if level is None else f'{level:,.6g}'} from a fill at the close")
    rows = [
        (state.group, state.rule, *(_pair(values) for values in (state.values, state.before)), state.true)
        for state in found.rules
    ]
    show_table(("side", "rule", "now", "bar before", "true"), rows)


def _pair(values: tuple[float | None, ...]) -> str:
    return " | ".join("-" if value is None else f"{value:,.6g}" for value in values)


@app.command("stress")
@reports_errors
def stress(
    play: PlayFile,
    dataset: Dataset,
    cash: Annotated[float, typer.Option(help="Starting equity, in quote currency.")] = 100_000.0,
    html: Annotated[Path | None, typer.Option("--html", "-o", help="Write a page with the picture.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print all variants as CSV.")] = False,
) -> None:
    """Show what small changes do to a Play: costs, delays, start, parameters, noise, best trades, their order.

    Example: `forge play stress studies/plays/ema_cross.yaml -d SP500_FULL_CYCLE --html stress.html`
    """
    from forge_core.errors import DataError
    from forge_core.evidence.markets.market import Market
    from forge_core.files import write_text
    from forge_core.judging.stress import stress_page, stress_table, stress_test, summary
    from forge_core.market.datasets.build import ensure_dataset
    from forge_core.plays.parser import load_play

    loaded = load_play(play)
    version = ensure_dataset(dataset)
    if loaded.timeframe not in version.timeframes:
        raise DataError(f"dataset {dataset} has no {loaded.timeframe} bars; it has {', '.join(version.timeframes)}")
    rows = stress_test(loaded, Market.of(version, loaded.timeframe), cash=cash)
    table = stress_table(rows)
    if csv:
        typer.echo(table.to_csv(index=False), nl=False)
    else:
        cells = table.astype(object).where(table.notna(), None)
        show_table(list(table.columns), [tuple(row) for row in cells.itertuples(index=False)])
        say(summary(rows))
    if html is not None:
        write_text(html, stress_page(loaded, dataset, rows))
        say(f"page: {html}")


@reports_errors
def portfolio(
    parts: Annotated[
        list[str],
        typer.Argument(metavar="PART", help="PLAY.yaml@DATASET, STUDY@DATASET (its champion) or STUDY/HASH@DATASET."),
    ],
    weights: Annotated[
        str, typer.Option("--weights", "-w", help="`equal`, `inverse_volatility` or `minimum_variance`.")
    ] = "equal",
    start: Annotated[
        str | None, typer.Option(help="First day held; weights are fitted before [default: the middle].")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write growth of 1 of each part and the portfolio to this file.")
    ] = None,
) -> None:
    """Weight Plays of any studies, and show their joint equity on one calendar.

    Each part trades its own share of the capital and pays its own costs. Weights are fitted on the days before `start`
    alone. A holdout dataset in a part is no counted evaluation: choose parts before you look at it.

    Example: `forge portfolio studies/plays/ema_cross.yaml@SP500_FULL_CYCLE quickstart@NASDAQ_FULL_CYCLE`
    """
    from forge_core.files import write_text
    from forge_core.judging.portfolio import portfolio as combine

    with progress("parts") as show:
        chosen = {}
        for number, part in enumerate(parts, start=1):
            chosen[part] = _part(part)
            show(number, len(parts))
    found = combine(chosen, weighting=weights, start=start)  # type: ignore[arg-type]
    table = found.figures.assign(weight=found.weights).astype(object)
    table = table.where(table.notna(), None)
    say(f"{found.weighting} weights of the days before {found.start:%Y-%m-%d}; figures from then on")
    show_table(
        ("part", *table.columns), [(str(name), *row) for name, row in zip(table.index, table.to_numpy(), strict=True)]
    )
    say("\ncorrelation of daily returns")
    shown = found.correlation.round(2)
    rows = [
        (f"{number} {name}", *row)
        for number, (name, row) in enumerate(zip(shown.index, shown.to_numpy().tolist(), strict=True), start=1)
    ]
    show_table(("part", *map(str, range(1, len(shown) + 1))), rows)
    if csv is not None:
        write_text(csv, found.growth.to_csv())
        say(f"growth: {csv}")


def _part(text: str) -> "tuple[Play, str]":
    from forge_core.errors import ConfigError
    from forge_core.judging.choice import study_play
    from forge_core.plays.parser import load_play

    name, at, dataset = text.rpartition("@")
    if not at or not name or not dataset:
        raise ConfigError(f"part {text!r}: expected PLAY.yaml@DATASET, STUDY@DATASET or STUDY/HASH@DATASET")
    if name.endswith((".yaml", ".yml")):
        return load_play(name), dataset
    study, _, play = name.partition("/")
    return study_play(study, play or None), dataset
