"""Errors for the user: each message says what is wrong, which value was given, and how to fix it."""

import difflib
from collections.abc import Iterable
from pathlib import Path

_MUCH_NEARER = 0.15  # difference of two ratios of likeness, 0 to 1


class ForgeError(ValueError):
    """Base of the errors that the user can fix; the CLI and Dagster show the message without a traceback."""


class ConfigError(ForgeError):
    """A YAML file, setting or command-line value is wrong."""


class DataError(ForgeError):
    """Bars or a stored file are missing, damaged or fail validation."""


class DamagedFileError(DataError):
    """A file that Forge wrote is damaged; ``fault`` says how, for a caller that knows better what to do about it."""

    def __init__(self, path: Path, fault: str, remedy: str) -> None:
        super().__init__(f"{path} is damaged ({fault}); {remedy}")
        self.path, self.fault, self.remedy = path, fault, remedy

    def __reduce__(self) -> tuple[type["DamagedFileError"], tuple[Path, str, str]]:
        """Keep the parts when a process sends the error to another."""
        return type(self), (self.path, self.fault, self.remedy)


class PlayError(ForgeError):
    """A Play is invalid; the message names the line and suggests the nearest known word."""


class StudyError(ForgeError):
    """A study cannot be started or resumed (changed manifest, running elsewhere, unknown name)."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the three or fewer of ``known`` nearest to ``word``, in any case, or ``''``.

    The nearest comes first. Others are named unless it is much nearer than they are.
    """
    names = {str(k).lower(): str(k) for k in known}
    near = difflib.get_close_matches(word.lower(), names, n=3, cutoff=0.6)
    if not near:
        return ""
    likeness = [difflib.SequenceMatcher(None, name, word.lower()).ratio() for name in near]
    shown = [repr(names[name]) for name, like in zip(near, likeness, strict=True) if like > likeness[0] - _MUCH_NEARER]
    return f" (did you mean {' or '.join([', '.join(shown[:-1]), shown[-1]] if shown[1:] else shown)}?)"


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the word, its nearest neighbour, and the known names."""
    names = sorted(str(k) for k in known)
    listed = ", ".join(names[:40]) + (f", ... ({len(names)} in all)" if len(names) > 40 else "")
    return f"unknown {kind} {word!r}{suggest(word, names)}; known: {listed or 'none'}"
