"""Tables, pictures and figures of asset pages, as Dagster metadata."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import dagster as dg

Metadata = dict[str, Any]


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """Show a PNG on the asset's page."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def sketch(svg: str, alt: str) -> dg.MarkdownMetadataValue:
    """Show a small SVG on the asset's page."""
    return dg.MetadataValue.md(f"![{alt}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


OPEN_MARKDOWN = 1000
"""Markdown of fewer characters is shown on a page at once, longer one after a click."""


def small_sketch(svg: str, alt: str) -> dg.MarkdownMetadataValue:
    """Show a tiny SVG without a click: percent-encoded, which is shorter than base64."""
    encoded = quote(svg, safe="=:/,-.'")
    return dg.MetadataValue.md(f"![{alt}](data:image/svg+xml,{encoded})")


def rounded(value: float) -> float:
    """Return a number for a plot, with six significant digits."""
    return float(f"{value:.6g}")


def code_block(text: str, language: str) -> dg.MarkdownMetadataValue:
    """Show ``text`` as code."""
    return dg.MetadataValue.md(f"```{language}\n{text.rstrip()}\n```")


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """Show ``rows`` as a table; the first column is aligned left, the others right."""
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "|".join([":---", *["---:"] * (len(columns) - 1)]) + "|",
        *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
    ]
    return dg.MetadataValue.md("\n".join(lines))


def figure(value: float | None) -> str:
    """Write a number for a table: four digits, whole from a thousand on, a dash where it is undefined."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.4g}"
