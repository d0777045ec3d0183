"""Hashes of source code: what they follow, and what they leave out."""

import importlib
import sys
from importlib import metadata

import pytest

from forge_core import source_hash as module
from forge_core.source_hash import source_hash

MAIN = """
from {package}.inner import helper as call
from {package} import constants
import numpy as np

SCALE = 2.0
OTHER = 3.0


def double(x):
    '''Documented.'''
    return call(x) * SCALE + constants.OFFSET


def unrelated(x):
    return x * OTHER


def make(factor):
    def scaled(x):
        return np.abs(x) * factor
    return scaled


add, take = lambda x: x + 1, lambda x: x - 1
"""
INNER = """
def helper(x: float) -> float:
    return deeper(x)


def deeper(x):
    return x
"""
CONSTANTS = "OFFSET = 1.0\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that loads an edited package of three modules, under the same name each time."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(main=MAIN, inner=INNER, constants=CONSTANTS):
        name = "hashed_package"
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file, text in (("main", main), ("inner", inner), ("constants", constants)):
            (folder / f"{file}.py").write_text(text.replace("{package}", name), encoding="utf-8")
        for known in [key for key in sys.modules if key.startswith(name)]:
            del sys.modules[known]
        importlib.invalidate_caches()
        for file in tmp_path.rglob("__pycache__/*"):
            file.unlink()
        module._read.cache_clear()
        return importlib.import_module(f"{name}.main")

    yield load
    for known in [key for key in sys.modules if key.startswith("hashed_package")]:
        del sys.modules[known]
    module._read.cache_clear()


EDITS = {
    "itself": {"main": MAIN.replace("* SCALE +", "* SCALE -")},
    "a constant": {"main": MAIN.replace("SCALE = 2.0", "SCALE = 4.0")},
    "a callee of a callee": {"inner": INNER.replace("    return x\n", "    return -x\n")},
    "a constant of a module": {"constants": "OFFSET = 2.0\n"},
}
NEUTRAL = {
    "a docstring": {"main": MAIN.replace("Documented.", "Explained.")},
    "a comment": {"main": "# comment\n" + MAIN},
    "an annotation": {"inner": INNER.replace("x: float", "x: int")},
    "an unrelated function": {"main": MAIN.replace("x * OTHER", "x / OTHER")},
    "an unrelated constant": {"main": MAIN.replace("OTHER = 3.0", "OTHER = 5.0")},
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_hash_follows(edit, package):
    before = source_hash(package().double)
    assert source_hash(package().double) == before
    assert source_hash(package(**EDITS[edit]).double) != before


@pytest.mark.parametrize("edit", NEUTRAL)
def test_the_hash_leaves_out(edit, package):
    before = source_hash(package().double)
    assert source_hash(package(**NEUTRAL[edit]).double) == before


def test_what_a_function_closes_over_counts(package):
    make = package().make
    assert source_hash(make(2.0)) == source_hash(make(2.0)) != source_hash(make(3.0))


def test_versions_of_libraries_count(package, monkeypatch):
    loaded = package()
    with_numpy, without = source_hash(loaded.make(2.0)), source_hash(loaded.double)
    module._version.cache_clear()
    monkeypatch.setattr(module, "version", lambda name: metadata.version(name) + ".next")
    assert source_hash(loaded.make(2.0)) != with_numpy
    assert source_hash(loaded.double) == without
    monkeypatch.undo()
    module._version.cache_clear()


def test_a_compiled_kernel_has_the_hash_of_its_source_and_numba():
    from forge_core.features.alignment import take_aligned

    search = module._Search()
    search.function(take_aligned)
    assert search.libraries == {"numba", "numpy"}


def test_a_function_of_the_console_is_hashed_by_its_byte_code():
    one, other, same = {}, {}, {}
    exec("def f(x): return x + 1", one)
    exec("def f(x): return x + 2", other)
    exec("def f(x): return x + 1", same)
    assert source_hash(one["f"]) == source_hash(same["f"]) != source_hash(other["f"])
