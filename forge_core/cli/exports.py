"""``forge play export``: Plays for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say
from forge_core.cli.plays import PlayFile, app


class Target(StrEnum):
    """A program that a Play can be exported to."""

    python = "python"
    pine = "pine"
    freqtrade = "freqtrade"


@app.command("export")
@reports_errors
def export(
    play: PlayFile,
    target: Annotated[Target, typer.Option("--to", help="What to write.")],
    instrument: Annotated[
        str | None, typer.Option("--instrument", "-i", help="Symbol whose costs are written [default: generic terms].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write [default: the standard output].")
    ] = None,
) -> None:
    """Write a Play as a program of its own. What the target cannot express is refused by name.

    Example: `forge play export studies/plays/ema_cross.yaml --to python -o ema_cross.py`
    """
    from forge_core.engine.backtest import GENERIC_INSTRUMENT
    from forge_core.exporting.targets import TARGETS
    from forge_core.files import write_text
    from forge_core.market.reference.instruments import get_instrument
    from forge_core.plays.parser import load_play

    terms = GENERIC_INSTRUMENT if instrument is None else get_instrument(instrument)
    text = TARGETS[target.value](load_play(play), terms)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    say(f"{target.value}: {out}")
