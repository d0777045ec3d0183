"""The errors Forge raises for its user, each quoting what was wrong and saying what would be right."""

import difflib
from collections.abc import Iterable


class ForgeError(ValueError):
    """Base of every error that is the user's to mend; the CLI and Dagster show its message without a traceback."""


class ConfigError(ForgeError):
    """A YAML file, setting or command-line value is wrong."""


class DataError(ForgeError):
    """Bars or a stored file are missing, damaged or fail validation."""


class PlayError(ForgeError):
    """A Play does not make sense; the message names the line and suggests the nearest right word."""


class StudyError(ForgeError):
    """A study cannot begin or go on as asked (changed manifest, running elsewhere, unknown name)."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest of ``known`` to ``word``, in any case, or ``''``."""
    names = {str(k).lower(): str(k) for k in known}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f" (did you mean {names[near[0]]!r}?)" if near else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Compose the message for an unknown name: the word, its nearest neighbour, and all that is known."""
    names = sorted(str(k) for k in known)
    listed = ", ".join(names[:40]) + (f", ... ({len(names)} in all)" if len(names) > 40 else "")
    return f"unknown {kind} {word!r}{suggest(word, names)}; known: {listed or 'none'}"
