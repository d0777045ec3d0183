"""Plain text tables for the terminal, logs and documents."""

from collections.abc import Sequence


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Print a table with the first column left-aligned and the others right-aligned; ``note`` is printed below it."""
    widths = [max(len(text) for text in column) for column in zip(columns, *rows, strict=True)]
    print(title)
    for cells in (columns, ["-" * width for width in widths], *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join([cells[0].ljust(len(first)), *others]))
    if note:
        print(note)
    print(flush=True)


def number(value: float | None, digits: int = 3) -> str:
    """Return ``value`` with about ``digits`` significant digits, a dash for None and NaN."""
    if value is None or value != value:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}"


def ratio(value: float, base: float) -> str:
    """Return ``value / base`` as text."""
    return f"{number(value / base)}x"
