"""Description of the machine, the package versions and the load."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "forge-evolve",
    "vectorbt",
    "vectorbt-rust",
    "raptorbt",
    "backtesting",
    "numba",
    "numpy",
    "pandas",
    "TA-Lib",
)
_CPU = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Return the processor, Python and library versions, and the load of the last minute."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "load": round(os.getloadavg()[0], 2),
    }


def describe(found: dict[str, Any]) -> str:
    """Return the machine in one line."""
    return f"{found['processor']}, {found['cores']} cores, Python {found['python']}, load {found['load']:g}"


def _processor() -> str:
    if _CPU.is_file():
        for line in _CPU.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
