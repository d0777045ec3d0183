"""Detection of common files that cannot be imported as bars, with advice."""

import re

from forge_core.market.importing.formats.source_file import Part, SourceFile

_MAP_ROW = re.compile(r"\d{8},[a-z0-9 ]+,[A-Z]+(,\d)?$", re.IGNORECASE)
_MAGIC = {
    b"\x89HDF": "is an HDF5 file; save the bars as CSV or Parquet",
    b"SQLite format 3": "is an SQLite database; export the bars as CSV",
    b"\x80\x04": "is a pickle, which is refused because it can run code when read; save the bars as Parquet",
    b"\x80\x05": "is a pickle, which is refused because it can run code when read; save the bars as Parquet",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
    b"%PDF": "is a PDF",
}


def why_unusable(file: SourceFile) -> str | None:
    """Return the kind of a file that is not bars, with advice; None if unknown."""
    if any(part.name == "workbook.xml" or part.name.endswith(".xml.rels") for part in file.parts):
        return "is a spreadsheet; save the sheet with the bars as CSV"
    return next((reason for part in file.parts if (reason := _reason(part))), None)


def _reason(part: Part) -> str | None:
    for magic, reason in _MAGIC.items():
        if part.head.startswith(magic):
            return reason
    if not part.lines:
        return None
    first = part.lines[0].strip()
    if re.match(r"<(!doctype|html|\?xml)", first, re.IGNORECASE):
        return "is a web page (perhaps an error page), not a table; download the file again"
    if first.startswith("{") and '"Date"' in first and "Scale" in first:
        return "has Lean's adjustment factors, not bars; Forge adjusts futures by the prices at their roll dates"
    if all(_MAP_ROW.match(line.strip()) for line in part.lines[:20]):
        return (
            "is a Lean map file of contracts by date and has no bars; import the contracts' zips, and the roll dates "
            "as YAML with `forge roll-dates import FILE`"
        )
    if re.match(r"(---|#|[\w\"']+:)\s*", first) and part.name.lower().endswith((".yaml", ".yml")):
        return "is YAML, not a table of bars; roll dates are imported with `forge roll-dates import FILE`"
    if first.startswith("{"):
        return "is a JSON object; a JSON array of [time, open, high, low, close, volume] can be imported"
    return None
