"""Optional extras in tests: skipped where an extra is not installed, required under ``make test-extras``."""

import os
from importlib import import_module
from types import ModuleType

import pytest

REQUIRED = "FORGE_TEST_EXTRAS"  # set by `make test-extras`: a missing extra is then a failure, not a skip


def import_extra(module: str, *, extra: str) -> ModuleType:
    """Import a module that ``extra`` installs, or skip the test."""
    if os.environ.get(REQUIRED):
        return import_module(module)
    return pytest.importorskip(module, reason=f"the extra {extra!r} is not installed; `make test-extras` installs it")
