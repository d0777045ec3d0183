"""``@compiled`` numba kernels, cached on disk until their sources, numba's settings or the processor change.

numba detects a change of the file that defines a kernel, but not of a constant or a callee from another file, nor of a
setting such as ``NUMBA_BOUNDSCHECK``, and would reuse outdated machine code. Therefore the name of the cache folder
includes a hash of all modules with kernels, of those they import from, of numba's settings and of the processor. If no
folder can be written, there is a warning and the kernels are compiled in each process.
"""

import re
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from platformdirs import user_cache_path

from forge_core.files import content_hash

_PACKAGE = Path(__file__).resolve().parents[1]
_IMPORTS = re.compile(rb"^from (forge_core[\w.]*) import (\w*)", re.MULTILINE)  # one import per line
_CONFIG: Any = numba.config  # its attributes are set at run time, unknown to a type checker
_SETTINGS = (  # settings of numba that change machine code; None where this version does not have one
    "BOUNDSCHECK",
    "CPU_FEATURES",
    "CPU_NAME",
    "DEBUGINFO_DEFAULT",
    "DISABLE_INTEL_SVML",
    "ENABLE_AVX",
    "FULL_TRACEBACKS",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
)
_KEPT = 4  # cache folders kept, of the latest sources and settings


def compiled(function: Callable[..., Any]) -> Any:
    """Compile ``function`` in nopython mode, without the GIL, cached on disk if a cache folder can be written."""
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
    """Return the cache folder of the current sources and settings, created if missing; None if none can be written."""
    sources = (part for path, text in _kernel_sources().items() for part in (path, text))
    stamp = content_hash(*sources, _code_generation())
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
        f"neither {places[0]} nor {places[1]} can be written: kernels are compiled in every process, "
        "which takes about half a minute each time; make one of them writable",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _code_generation() -> str:
    """Return a description of what determines machine code besides the sources: numba, its settings, the processor."""
    settings = {name: str(getattr(_CONFIG, name, None)) for name in _SETTINGS}
    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # unknown to llvmlite on this system
        features = ""
    return repr((numba.__version__, settings, llvm.get_host_cpu_name(), features))


def _kernel_sources() -> dict[str, bytes]:
    """Return path and text of every module of the package with kernels, and of the modules these import from."""
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
