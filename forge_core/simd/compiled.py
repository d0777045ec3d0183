"""``@compiled``: numba kernels, kept on disk between processes for as long as their sources stay as they are.

numba itself notices a change of the file in which a kernel stands, but not of a constant or a callee that comes from
another file, and would go on with the old machine code. So the cache folder bears a hash of all modules that have
kernels and of those they import from. A folder that cannot be written is a warning, not a crash: the kernels are then
compiled in each process.
"""

import re
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from platformdirs import user_cache_path

from forge_core.files import content_hash

_PACKAGE = Path(__file__).resolve().parents[1]
_IMPORTS = re.compile(
    rb"^from (forge_core[\w.]*) import (\w*)", re.MULTILINE
)  # imports of a module stand on a line each
_CONFIG: Any = numba.config  # its settings are made at run time, unknown to a type checker
_KEPT = 3  # cache folders of the latest versions of the sources


def compiled(function: Callable[..., Any]) -> Any:
    """Compile ``function`` in nopython mode, without the GIL, cached on disk where a folder for it can be written."""
    folder = _cache_folder()
    if folder is None:
        return numba.njit(nogil=True)(function)
    before = _CONFIG.CACHE_DIR
    _CONFIG.CACHE_DIR = str(folder)  # read when the function is decorated; other numba code keeps its own folder
    try:
        return numba.njit(cache=True, nogil=True)(function)
    finally:
        _CONFIG.CACHE_DIR = before


@cache
def _cache_folder() -> Path | None:
    """Return the folder of the present sources' machine code, made if need be, or None where none can be."""
    stamp = content_hash(*(part for path, text in _kernel_sources().items() for part in (path, text)))
    places = (_PACKAGE / "__pycache__", user_cache_path("forge"))
    for place in places:
        folder = place / f"kernels-{stamp}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        _remove_old(place)
        return folder
    warnings.warn(
        f"neither {places[0]} nor {places[1]} can be written: kernels are compiled anew in every process, "
        "which takes about half a minute each time",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _kernel_sources() -> dict[str, bytes]:
    """Return path and text of every module of the package that has kernels, and of those it imports from."""
    texts = {path.relative_to(_PACKAGE.parent).as_posix(): path.read_bytes() for path in _PACKAGE.rglob("*.py")}
    kernels = {path: text for path, text in texts.items() if b"import compiled\n" in text}
    names = {
        b"/".join(parts).replace(b".", b"/").decode()
        for text in kernels.values()
        for found in _IMPORTS.findall(text)
        for parts in (found[:1], found)  # `from module import name`, or `from package import module`
    }
    imported = {path: texts[path] for path in (f"{name}.py" for name in names) if path in texts}
    return dict(sorted((kernels | imported).items()))


def _remove_old(place: Path) -> None:
    folders = sorted(place.glob("kernels-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
