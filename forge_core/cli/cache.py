"""``forge cache``: the indicator bank on disk."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from forge_core.cli.console import Commands, reports_errors, say
from forge_core.errors import ConfigError

app = Commands(help="The indicator bank: cached columns, shared by all processes.")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*([hdw])", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_HOURS = {"h": 1, "d": 24, "w": 168}


def parse_size(text: str) -> int:
    """Return the number of bytes of ``500MB``, ``2G`` (powers of 1024); raise ConfigError for another form."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"size {text!r}: expected a number and a unit, such as 500MB or 2GB")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].upper()])


def parse_age(text: str) -> timedelta:
    """Return the duration of ``12h``, ``30d``, ``2w``; raise ConfigError for another form."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"age {text!r}: expected a number and a unit, such as 12h, 30d or 2w")
    return timedelta(hours=int(match[1]) * _HOURS[match[2].lower()])


@app.command("prune")
@reports_errors
def prune(
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size", help="Keep at most this size, such as 2GB; the least recently used columns are removed first."
        ),
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--max-age", help="Remove columns that were not used for this time, such as 30d.")
    ] = None,
) -> None:
    """Remove columns from the indicator bank by age and size; without options, those not used for 30 days.

    Safe during a run: open columns stay readable, and missing ones are computed again.

    Example: `forge cache prune --max-size 2GB --max-age 30d`
    """
    from forge_core.features.bank.files import MAX_AGE, prune_bank
    from forge_core.paths import Home

    size = parse_size(max_size) if max_size else None
    age = parse_age(max_age) if max_age else (None if max_size else MAX_AGE)
    report = prune_bank(Home.current(), max_bytes=size, max_age=age)
    say(
        f"removed {report.removed} files, {report.removed_bytes / 2**20:,.1f} MiB; "
        f"{report.kept} files, {report.kept_bytes / 2**20:,.1f} MiB kept"
    )


@app.command("show")
@reports_errors
def show() -> None:
    """Show the size of the indicator bank, and when its columns were last used.

    Example: `forge cache show`
    """
    from forge_core.features.bank.files import bank_stats
    from forge_core.paths import Home

    home = Home.current()
    stats = bank_stats(home)
    used = f", last used {stats.newest} to {stats.oldest} ago" if stats.newest is not None else ""
    say(f"{stats.features} columns, {stats.bytes / 2**20:,.1f} MiB in {home.features}{used}")
