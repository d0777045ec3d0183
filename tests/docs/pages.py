"""Pages of the documentation, and what is quoted in them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


def blocks() -> list[Block]:
    """Return the fenced blocks of all pages."""
    return [
        Block(path.relative_to(ROOT).as_posix(), *found)
        for path in PAGES
        for found in _FENCE.findall(path.read_text(encoding="utf-8"))
    ]


def command_lines(program: str) -> list[tuple[str, str]]:
    """Return page and text of every line of a block without a language that calls ``program``, comments cut off."""
    call = re.compile(rf"^(?:[A-Z_]+=\S+ )*({program} .*?)(?:\s+#.*)?$", re.MULTILINE)
    return [
        (block.page, found)
        for block in blocks()
        if block.language in ("", "bash")
        for found in call.findall(block.text)
    ]


def prose(path: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))
