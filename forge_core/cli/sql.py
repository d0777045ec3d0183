"""``forge sql``: read-only SQL queries over all stored data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forge_core.cli.console import reports_errors, say, show_table

if TYPE_CHECKING:
    import pandas as pd

_SUFFIXES = (".csv", ".parquet", ".json")


@reports_errors
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT [default: list the views].")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to this file: .csv, .parquet or .json.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Maximum number of rows to show.")] = 50,
) -> None:
    """Query bars, datasets, generations and mass tests in SQL. Read-only; times are UTC.

    Safe during a run: only `bars`, `funding` and their revisions open the store, and wait while another process writes
    to it.

    Example: `forge sql "SELECT symbol, timeframe, count(*) FROM bars GROUP BY ALL"`
    """
    from forge_core.errors import ConfigError
    from forge_core.sql.query import describe_views, run_query

    if output is not None and output.suffix not in _SUFFIXES:
        raise ConfigError(f"{output}: expected a file name that ends in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")
    if query is None:
        described = [(view.name, view.description, ", ".join(_first(names))) for view, names in describe_views()]
        show_table(("view", "contents", "columns"), described)
        return
    table = run_query(query)
    if output is not None:
        _write(table, output)
        say(f"{len(table)} rows written to {output}")
        return
    show_table([str(name) for name in table.columns], [_cells(row) for row in table.head(rows).itertuples(index=False)])
    if len(table) > rows:
        say(f"... {len(table) - rows} more rows; --rows or --output show them")


def _first(names: list[str], limit: int = 20) -> list[str]:
    return names if len(names) <= limit else [*names[:limit], f"... ({len(names)} in total)"]


def _cells(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the cells of a row for display: prices with all digits, None for missing values."""
    import pandas as pd

    shown = []
    for cell in row:
        missing = pd.api.types.is_scalar(cell) and pd.isna(cell)
        shown.append(None if missing else f"{cell:.10g}" if isinstance(cell, float) else cell)
    return tuple(shown)


def _write(table: "pd.DataFrame", output: Path) -> None:
    from forge_core.files import replacing

    with replacing(output) as temporary:
        if output.suffix == ".csv":
            table.to_csv(temporary, index=False)
        elif output.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_json(temporary, orient="records", date_format="iso", lines=True)
