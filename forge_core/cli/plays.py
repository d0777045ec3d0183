"""``forge play``: validation and backtest of Plays."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say

app = typer.Typer(no_args_is_help=True, help="Plays: check and backtest a strategy in YAML.")

PlayFile = Annotated[Path, typer.Argument(metavar="PLAY", help="The Play's YAML file.")]


class PolicyName(StrEnum):
    """Fill policy for a bar that reaches both stop and target."""

    pessimistic = "pessimistic"
    ohlc_path = "ohlc_path"


@app.command("check")
@reports_errors
def check(
    plays: Annotated[list[Path], typer.Argument(metavar="PLAY...", help="YAML files of Plays.")],
) -> None:
    """Check Plays: syntax, names, scales, and that each has an entry and an exit.

    Example: `forge play check studies/plays/ema_cross.yaml`
    """
    from forge_core.plays.canonical import play_hash
    from forge_core.plays.describe import describe_play
    from forge_core.plays.parser import load_play

    for path in plays:
        play = load_play(path)
        say(f"{path}: {play.name} is valid, hash {play_hash(play)}")
        say(describe_play(play) + "\n")


@app.command("backtest")
@reports_errors
def backtest_play(
    play: PlayFile,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Name of a dataset; it is built if necessary.")],
    cash: Annotated[float, typer.Option(help="Starting equity, in quote currency.")] = 100_000.0,
    policy: Annotated[
        PolicyName, typer.Option(help="Which level fills in a bar that reaches both stop and target.")
    ] = PolicyName.pessimistic,
    no_costs: Annotated[bool, typer.Option("--no-costs", help="No commission, slippage or borrow.")] = False,
    trades: Annotated[int, typer.Option(help="Number of last trades to show.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write an offline HTML page with plot and metrics.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write trades, equity and metrics to this folder.")] = None,
) -> None:
    """Backtest a Play on a dataset and print its metrics.

    Example: `forge play backtest studies/plays/ema_cross.yaml --dataset SP500_FULL_CYCLE --html ema.html`
    """
    from forge_core.engine.backtest import backtest
    from forge_core.engine.costs import Costs

    result = backtest(play, dataset, costs=Costs.zero() if no_costs else None, cash=cash, policy=policy.value)
    say(result.summary())
    if trades > 0:
        say("")
        say(result.trades.tail(trades).to_string())
    if html is not None:
        say(f"\nplot: {result.to_html(html)}")
    if out is not None:
        say(f"tables: {result.to_parquet(out)}")
