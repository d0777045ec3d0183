"""Output, tables and error messages shared by all commands."""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from forge_core.errors import ConfigError, ForgeError

console = Console()
if not console.is_terminal:
    console = Console(width=240)  # file or pipe: keep rows on one line
errors = Console(stderr=True)

Command = TypeVar("Command", bound=Callable[..., Any])


_LEAST_MEMORY = 2_000_000_000  # bytes of address space for the libraries and a small query


def reports_errors(command: Command) -> Command:
    """Wrap a command to print user errors to stderr without a traceback and exit with code 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            _check_memory_limit()
            return command(*args, **kwargs)
        except MemoryError as error:
            errors.print("[red]Error:[/red] out of memory: free some, or raise the limit (ulimit -v)", highlight=False)
            raise typer.Exit(1) from error
        except ForgeError as error:
            errors.print(f"[red]Error:[/red] {_plain(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            errors.print(f"[red]Error:[/red] {_plain(os.strerror(error.errno or 0))}{_plain(where)}", highlight=False)
            raise typer.Exit(1) from error

    return run  # type: ignore[return-value]


def _check_memory_limit() -> None:
    """Raise ConfigError if the memory limit is too low to load libraries, which would abort without a message."""
    try:
        import resource
    except ImportError:  # not supported by this system
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY:
        raise ConfigError(
            f"address space limit of {limit / 1e9:.1f} GB (ulimit -v); Forge needs {_LEAST_MEMORY / 1e9:.1f} GB "
            "or more: raise the limit with `ulimit -v unlimited`"
        )


def say(text: str) -> None:
    """Print a line verbatim, without markup or wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print ``rows`` as a table with headings ``columns``; numbers are right-aligned."""
    table = Table(
        title=title, title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0)
    )
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(_plain(_text(cell)) for cell in row))
    console.print(table)


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.4g}" if abs(cell) < 1e4 else f"{cell:,.0f}"
    return str(cell)


def _plain(text: str) -> str:
    return text.replace("[", r"\[") if "[" in text else text
