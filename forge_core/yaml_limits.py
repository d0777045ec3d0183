"""Limits of the YAML files that Forge reads, checked before anything is built from them."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from forge_core.errors import ConfigError

MOST_BYTES = 1_000_000
MOST_NODES = 100_000  # values and keys, those of an alias counted each time it is used
MOST_DEPTH = 40
MOST_CHARACTERS = 20_000  # of one value
_MOST_DIGITS = 1_000
_NUMERIC = re.compile(r"[-+0-9a-fA-FxXoO_:.]+")
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text_file(path: Path) -> str:
    """Read a small UTF-8 text file. Raises ConfigError for a device, a pipe, a folder, or a file that is too large."""
    try:
        # a pipe that nobody writes to would block an ordinary open
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{path}: not a regular file; a YAML text file is expected")
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: larger than {MOST_BYTES:,} bytes, the limit of a YAML file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


@dataclass
class _Open:
    """A list or mapping whose end has not been reached, and how much it holds with its aliases expanded."""

    anchor: str | None
    nodes: int = 1
    height: int = 1


def check_limits(text: str, source: str) -> None:
    """Raise ConfigError, naming ``source`` and the line, where YAML text is too large to be built.

    Text that is not YAML passes: the loader says what is wrong with it.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{source}: larger than {MOST_BYTES:,} characters, the limit of a YAML file")
    try:
        _check_events(text, source)
    except yaml.YAMLError:
        return


def _check_events(text: str, source: str) -> None:
    opened: list[_Open] = []
    anchored: dict[str, _Open] = {}
    total = 0

    def add(node: _Open, event: Any) -> None:
        nonlocal total
        total += node.nodes
        if total > MOST_NODES:
            raise _too_much(source, event, f"more than {MOST_NODES:,} values, aliases expanded")
        if len(opened) + node.height > MOST_DEPTH:
            raise _too_much(source, event, f"nested more than {MOST_DEPTH} levels deep")

    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > MOST_CHARACTERS:
                raise _too_much(source, event, f"a value has more than {MOST_CHARACTERS:,} characters")
            if len(event.value) > _MOST_DIGITS and _NUMERIC.fullmatch(event.value):
                raise _too_much(source, event, f"a number has more than {_MOST_DIGITS:,} digits")
            add(node := _Open(event.anchor), event)
        elif isinstance(event, yaml.AliasEvent):
            if any(event.anchor == outer.anchor for outer in opened):
                raise _too_much(source, event, f"*{event.anchor} is used inside its own value")
            if event.anchor not in anchored:
                continue  # the loader names it
            add(node := _Open(None, anchored[event.anchor].nodes, anchored[event.anchor].height), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            add(_Open(None), event)
            opened.append(_Open(event.anchor))
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            node = opened.pop()
        else:
            continue
        if event_anchor := node.anchor:
            anchored[event_anchor] = node
        if opened:
            opened[-1].nodes += node.nodes
            opened[-1].height = max(opened[-1].height, node.height + 1)


def _too_much(source: str, event: Any, fault: str) -> ConfigError:
    return ConfigError(f"{source}:{event.start_mark.line + 1}: {fault}; a YAML file must be smaller and flatter")
