"""Output, tables and error messages shared by all commands."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

from forge_core.errors import ConfigError, ForgeError

console = Console()
if not console.is_terminal:
    console = Console(width=240)  # file or pipe: keep rows on one line
errors = Console(stderr=True)

Command = TypeVar("Command", bound=Callable[..., Any])


_LEAST_MEMORY = 2_000_000_000  # bytes of address space for the libraries and a small query
_PATIENCE = 2.0  # seconds without output before progress is shown


class _Command(TyperCommand):
    """A command whose help names values in capitals: ``--dataset DATASET``; flags have none."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            parameter.metavar = _metavar(parameter)

    def get_help_option(self, ctx: Any) -> Any:
        return _without_value(super().get_help_option(ctx))


class _Group(TyperGroup):
    def get_help_option(self, ctx: Any) -> Any:
        return _without_value(super().get_help_option(ctx))


def _metavar(parameter: Any) -> str | None:
    if parameter.metavar is not None:
        return str(parameter.metavar)
    if getattr(parameter, "is_flag", False):
        return ""
    for kind in (getattr(parameter, "type_descriptor", None), getattr(parameter, "type", None)):
        if choices := getattr(kind, "choices", None):
            return "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    longest = max((name for name in parameter.opts if name.startswith("--")), default=parameter.name, key=len)
    return str(longest).lstrip("-").replace("-", "_").upper()


def _without_value(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option


class Commands(typer.Typer):
    """A group of commands with one style of help, shown by ``-h`` and ``--help``."""

    def __init__(self, **settings: Any) -> None:
        names = {"help_option_names": ["-h", "--help"]}
        super().__init__(cls=_Group, no_args_is_help=True, context_settings=names, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Command], Command]:
        """Register a command; see ``typer.Typer.command``."""
        return super().command(name, cls=_Command, **settings)


@contextmanager
def progress(task: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of the number done and the total that shows progress on stderr after two seconds.

    On a terminal the line is updated in place; elsewhere a line is written about every ten seconds.
    """
    started, shown = time.monotonic(), 0.0
    interval = 0.2 if errors.is_terminal else 10.0

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - started < _PATIENCE or now - shown < interval:
            return
        shown = now
        left = f", about {(now - started) * (total - done) / done:.0f} s left" if done else ""
        text = f"{task}: {done:,} of {total:,}{left}"
        errors.print(text, markup=False, highlight=False, end="\r" if errors.is_terminal else "\n", soft_wrap=True)

    try:
        yield show
    finally:
        if shown and errors.is_terminal:
            errors.print(" " * 79, end="\r")


def log_line(text: str) -> None:
    """Print a line of progress on stderr."""
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


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
