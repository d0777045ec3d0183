"""The user's extensions: files of the folder ``extensions/`` and installed packages, loaded once a process.

A file registers its parts (indicators, metrics, strategies, ...) by the decorators of ``forge_core.extensions``. A file
with an error is refused as a whole and the others are loaded.
"""

import importlib.util
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from forge_core.errors import ConfigError, ForgeError
from forge_core.files import content_hash
from forge_core.paths import project_root

GROUP = "forge.extensions"
"""Entry points of installed packages: each names a module that registers parts when imported."""

PACKAGE = "forge_extensions"
"""Name under which the files of the folder are imported; one may import another from it."""

Kind = Literal["indicator", "structure", "metric", "strategy", "source", "format"]
KINDS: tuple[Kind, ...] = ("indicator", "structure", "metric", "strategy", "source", "format")

logger = logging.getLogger(__name__)
_lock = threading.RLock()


@dataclass(frozen=True)
class Part:
    """One registered part; ``version`` is the hash of the source code that its results depend on."""

    kind: Kind
    name: str
    value: Any
    file: str
    line: int
    version: str


@dataclass(frozen=True)
class Refusal:
    """A file that is not used, and why: ``file:line: reason``."""

    file: str
    message: str


@dataclass
class Extensions:
    """What a process loaded: parts by kind and name, and the refused files."""

    parts: dict[tuple[Kind, str], Part] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def of_kind(self, kind: Kind) -> dict[str, Part]:
        """Return the parts of one kind by name, in the order of their files."""
        return {name: part for (each, name), part in self.parts.items() if each == kind}


_loaded: dict[str, Extensions] = {}
_registrations = 0
_current: list[tuple[Extensions, str, bytes]] = []  # extensions, file and its content while one is loaded


def extension_folder() -> Path | None:
    """Return the folder of extensions: ``FORGE_EXTENSIONS``, else ``extensions/`` of the project; None if set empty.

    Without a folder no installed package is loaded either.
    """
    setting = os.environ.get("FORGE_EXTENSIONS")
    if setting is None:
        return project_root() / "extensions"
    return Path(setting).expanduser().resolve() if setting else None


def load_extensions() -> Extensions:
    """Return the extensions of this process, loaded at the first call; a process reads each file once."""
    folder = extension_folder()
    key = "" if folder is None else str(folder)
    with _lock:
        if key not in _loaded:
            _loaded[key] = found = Extensions()  # before the files run: they use what is registered so far
            if folder is not None:
                _load(found, folder)
            for refusal in found.refused:
                logger.warning("extension refused: %s", refusal.message)
    return _loaded[key]


def forget_extensions() -> None:
    """Load all extensions again at the next call."""
    global _registrations
    with _lock:
        _registrations += 1
        _loaded.clear()
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]


def registrations() -> int:
    """Return a number that changes when this process defines an extension again (a console, a notebook)."""
    return _registrations


def find_part(kind: Kind, name: str) -> Part | None:
    """Return the part of that name, or None."""
    return load_extensions().parts.get((kind, name))


def refusals_note() -> str:
    """Return ``; refused extensions: ...`` for messages about unknown names; empty if none was refused."""
    refused = load_extensions().refused
    return "".join(f"; refused extension: {each.message}" for each in refused)


def register(kind: Kind, name: str, value: Any, *, line: int, file: str, source: str) -> Part:
    """Add a part; ``source`` is the hash of its code. Raises ConfigError for a name that is registered already.

    Outside of a file that is being loaded (a console, a notebook) the part exists in this process only.
    """
    global _registrations
    with _lock:
        if _current:
            extensions, file, content = _current[-1]
        else:
            extensions, content = load_extensions(), b""
            _registrations += 1
        known = extensions.parts.get((kind, name))
        if known is not None and (_current or known.file != file):
            raise ConfigError(f"duplicate {kind} {name!r}, also in {known.file}:{known.line}; rename one of them")
        part = Part(kind, name, value, file, line, content_hash(content, source))
        extensions.parts[kind, name] = part
        return part


def describe_error(error: BaseException, file: str) -> str:
    """Return ``file:line: reason`` of an error raised by an extension's code, without Forge's frames."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == file else None
    if line is None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        line = frames[-1].lineno if frames else None
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, ForgeError) and text.startswith(f"{shown_path(file)}:"):
        return text
    reason = text if isinstance(error, ForgeError) else f"{type(error).__name__}: {text}"
    return f"{shown_path(file)}{f':{line}' if line else ''}: {reason}"


def shown_path(file: str) -> str:
    """Return a path relative to the project, if it is inside."""
    path = Path(file)
    root = project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def _load(extensions: Extensions, folder: Path) -> None:
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    paths = [path for path in sorted(folder.glob("*.py")) if not path.name.startswith(("_", "."))]
    for path in paths:
        with _refusing(extensions, str(path)):
            _run(extensions, path)
    again, extensions.refused = extensions.refused, []
    for refusal in again:  # a strategy may read an indicator of a later file
        with _refusing(extensions, refusal.file):
            _run(extensions, Path(refusal.file))
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        with _refusing(extensions, f"package {point.value}"):
            _run_package(extensions, point)


def _run(extensions: Extensions, path: Path) -> None:
    content = path.read_bytes()
    name = f"{PACKAGE}.{path.stem}"
    if not path.stem.isidentifier():
        raise ConfigError(f"the file name {path.name!r} is no Python name; rename it, such as my_indicator.py")
    module = ModuleType(name)
    module.__file__, module.__package__ = str(path), PACKAGE
    sys.modules[name] = module
    extensions.files = [*dict.fromkeys((*extensions.files, str(path)))]
    _current.append((extensions, str(path), content))
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)  # noqa: S102  (the user's own code)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        _current.pop()


def _run_package(extensions: Extensions, point: EntryPoint) -> None:
    spec = importlib.util.find_spec(point.module)
    file = str(spec.origin) if spec is not None and spec.origin else point.value
    extensions.files.append(file)
    content = Path(file).read_bytes() if Path(file).is_file() else b""
    _current.append((extensions, file, content))
    try:
        module = sys.modules.get(point.module)
        importlib.reload(module) if module else importlib.import_module(point.module)
    finally:
        _current.pop()


@contextmanager
def _refusing(extensions: Extensions, file: str) -> Iterator[None]:
    """Turn an error of a file into a refusal, and drop what the file had registered."""
    before = dict(extensions.parts)
    try:
        yield
    except (Exception, SystemExit) as error:
        extensions.parts.clear()
        extensions.parts.update(before)
        extensions.refused.append(Refusal(file, describe_error(error, file)))
