"""The checked build: an index outside an array raises; machine code of the two builds is cached apart."""

import os
import subprocess
import sys

READS = """
import numba, numpy as np
from forge_core.simd.compiled import _cache_folder
from forge_core.simd.memory import address, elements_at, float64_at, records_at

PAIR = np.dtype([("first", np.float64), ("second", np.float64)])

@numba.njit
def read(number, size, i):
    return float64_at(number, size)[i]

@numba.njit
def read_record(number, count, i):
    return records_at(number, count, PAIR)[i].second

def outcome(function, *arguments):
    try:
        return function(*arguments)
    except IndexError:
        return "IndexError"

values = np.arange(128.0)  # longer than the sizes given below, so that the plain build reads no foreign memory
at = address(values, np.float64)
print(_cache_folder().name)
print(outcome(read, at, 100, 99), outcome(read, at, 100, 100))
print(outcome(read_record, at, 50, 49), outcome(read_record, at, 50, 50))
print(*(outcome(elements_at, 0, first, 64, 100, 8) for first in (36, 37, -1)))
"""


def run(checked: str) -> tuple[str, list[str]]:
    command, env = [sys.executable, "-c", READS], os.environ | {"NUMBA_BOUNDSCHECK": checked}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, *lines = done.stdout.splitlines()
    return folder, lines


def test_a_read_outside_an_array_is_an_error_in_the_checked_build_alone():
    folder, checked = run("1")
    assert checked == ["99.0 IndexError", "99.0 IndexError", "288 IndexError IndexError"]
    plain_folder, plain = run("0")
    assert plain == ["99.0 100.0", "99.0 101.0", "288 296 -8"]
    assert folder != plain_folder
